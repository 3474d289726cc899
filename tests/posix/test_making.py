"""mkdir, mkfifo, mknod, symlink and open with O_CREAT: whose a new thing is, with which mode, where."""

from __future__ import annotations

import os
import stat
from itertools import product

import pytest

from cases import (
    ACTORS,
    FILES_GID,
    FOREIGN_GID,
    KINDS,
    MEMBER,
    OTHER,
    OWNER,
    ROOT,
    Check,
    Step,
    Thing,
    case,
    thing,
)  # fmt: skip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

MODES = (0o000, 0o644, 0o777, 0o1777, 0o2755, 0o2777, 0o4755, 0o7777)
UMASKS = (0o000, 0o027)
PARENTS = (
    Thing("d", "dir", 0o777),
    Thing("d", "dir", 0o2777),
    Thing("d", "dir", 0o3777, gid=FOREIGN_GID),
    Thing("d", "dir", 0o2777, uid=0, gid=40_005),
)


def making(path: str, mode: int) -> list[Step]:
    """Return every way to make something."""
    return [
        ("mkdir", path, mode),
        ("mkfifo", path, mode),
        ("mknod", path, stat.S_IFREG | mode),
        ("mknod", path, stat.S_IFSOCK | mode),
        ("mknod", path, stat.S_IFCHR | mode, 1, 3),
        ("mknod", path, stat.S_IFBLK | mode, 7, 200),
        ("open", "f", path, os.O_CREAT | os.O_RDWR, mode),
        ("symlink", "some/target", path),
    ]


def test_every_mode_in_every_directory(check: Check) -> None:
    """Umask, set-group-ID directories and privilege decide about owner, group and mode of what is new."""
    check(
        [
            case(actor, [parent], ("umask", umask), step)
            for actor, parent, umask, mode in product((ROOT, OWNER, MEMBER), PARENTS, UMASKS, MODES)
            for step in making("d/new", mode)
        ]
    )


def test_over_what_is_there(check: Check) -> None:
    """Nothing is made where something is, whatever it is."""
    check(
        [
            case(actor, [thing(kind, "x")], step)
            for actor, kind in product((ROOT, OTHER), KINDS)
            for step in making("x", 0o644)
        ]
    )


def test_in_a_directory_of_others(check: Check) -> None:
    """Writing and searching a directory is what making takes, and with it nothing else."""
    check(
        [
            case(actor, [Thing("d", "dir", bits << 6 | bits << 3 | bits)], step)
            for actor, bits in product(ACTORS, range(8))
            for step in making("d/new", 0o644)
        ]
    )


def test_below_what_is_not_a_directory(check: Check) -> None:
    """Nothing is made below a file, a FIFO or a link to nothing."""
    check([case(ROOT, [thing(kind, "x")], step) for kind in KINDS for step in making("x/new", 0o644)])


@pytest.mark.parametrize("kind", [0, stat.S_IFDIR, stat.S_IFLNK, 0o170000])
def test_kinds_that_mknod_does_not_make(check: Check, kind: int) -> None:
    """Mknod makes a file where no kind is given, and neither directories nor links."""
    check([case(actor, [], ("mknod", "new", kind | 0o644)) for actor in (ROOT, OTHER)])


def test_device_numbers(check: Check) -> None:
    """Device nodes keep their numbers; only root makes them."""
    numbers = ((0, 0), (0, 1), (1, 255), (255, 256), (4095, 0xFFFFF), (511, 65_536))
    kinds = (stat.S_IFCHR, stat.S_IFBLK)
    check(
        [
            case(actor, [Thing("d", "dir", 0o777)], ("mknod", "d/new", kind | 0o600, *number))
            for actor, kind, number in product((ROOT, OTHER), kinds, numbers)
        ]
    )


def test_targets(check: Check) -> None:
    """A link keeps any target but the empty one, and the length of what it holds is its size."""
    targets = ("t", "/", ".", "..", "a//b/../", "x" * 255, "x" * 256, "y/" * 1000, "", "ä\n", "t" * 3055)
    check(
        [
            case(actor, [], ("symlink", target, "s"), ("lstat", "s"))
            for actor in (ROOT, OTHER)
            for target in targets
        ]
    )


def test_group_of_the_directory(check: Check) -> None:
    """Directories in set-group-ID directories are such ones themselves, all the way down."""
    steps = (("mkdir", "d/e", 0o755), ("mkdir", "d/e/f", 0o700), ("open", "f", "d/e/f/g", os.O_CREAT, 0o644))
    check(
        [
            case(actor, [Thing("d", "dir", 0o2777, gid=gid)], *steps)
            for actor in ACTORS
            for gid in (FILES_GID, FOREIGN_GID)
        ]
    )
