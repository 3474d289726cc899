"""Every call with every path that leads nowhere: errno for errno."""

from __future__ import annotations

import os
import stat
from itertools import product

import pytest

from cases import OTHER, ROOT, Case, Check, Step, Thing, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

CHAIN = [Thing("c0", "symlink", content="d")] + [
    Thing(f"c{number}", "symlink", content=f"c{number - 1}") for number in range(1, 41)
]
THINGS = (
    Thing("d", "dir", 0o777),
    thing("file", "d/in", mode=0o666),
    thing("file", "f", mode=0o666),
    thing("fifo", "p", mode=0o666),
    Thing("s", "symlink", content="f"),
    Thing("sd", "symlink", content="d"),
    Thing("dangling", "symlink", content="nothing"),
    Thing("loop", "symlink", content="loop"),
    Thing("one", "symlink", content="two"),
    Thing("two", "symlink", content="one/x"),
    Thing("long", "symlink", content="n" * 256),
    Thing("closed", "dir", 0o000),
)
PATHS = (
    "", ".", "..", "/", "nothing", "nothing/", "nothing/x", "f/x", "f/", "f/.", "p/x", "d/", "d/.", "d/..",
    "d/in/..", "s/", "s/x", "sd/", "sd/in", "sd/nothing", "dangling", "dangling/", "dangling/x", "loop",
    "loop/", "loop/x", "one", "one/x", "long", "n" * 255, "n" * 256, "d/" + "n" * 256, "n" * 256 + "/x",
    "closed/x", "closed/", "d/../" * 818 + "d/in", "d/../" * 819, "./" * 2046 + "xyz", "./" * 2047 + "x",
    "./" * 2048,
)  # fmt: skip


def calls(path: str) -> list[Step]:
    """Return every call on one path."""
    return [
        ("chmod", path, 0o640),
        ("chown", path, -1, -1),
        ("lchown", path, -1, -1),
        ("truncate", path, 3),
        ("utimensat", path, "now", "now"),
        ("lutimens", path, "now", "now"),
        ("open", "o", path, os.O_RDONLY | os.O_NONBLOCK),
        ("open", "o", path, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK),
        ("open", "o", path, os.O_CREAT | os.O_EXCL | os.O_RDWR),
        ("mkdir", path, 0o755),
        ("mkfifo", path, 0o644),
        ("mknod", path, stat.S_IFREG | 0o644),
        ("symlink", "target", path),
        ("unlink", path),
        ("rmdir", path),
        ("link", path, "new"),
        ("link", "f", path),
        ("link_followed", path, "new"),
        ("rename", path, "new"),
        ("rename", "f", path),
        ("rename", "d", path),
        ("readlink", path),
        ("access", path, 0),
        ("stat", path),
        ("lstat", path),
        ("chdir", path),
    ]


def cases_of(paths: tuple[str, ...]) -> list[Case]:
    """Return every call on each of the paths, by root and by somebody else."""
    return [
        case(actor, [one for one in THINGS if one.path.split("/")[0] in {"d", "f", *path.split("/")}], step)
        for actor, path in product((ROOT, OTHER), paths)
        for step in calls(path)
        if path not in {"/", ".."}
        or step[0] in {"rmdir", "unlink", "mkdir", "rename", "link", "symlink", "mkfifo"}
    ]


@pytest.mark.parametrize("part", range(4))
def test_every_call_with_every_path(check: Check, part: int) -> None:
    """A path that leads nowhere, or not to where it seems."""
    check(cases_of(PATHS[part::4]))


def test_chains_of_links(check: Check) -> None:
    """Forty links may follow each other, and not one more."""
    check(
        [
            case(ROOT, [Thing("d", "dir", 0o777), thing("file", "d/in"), *CHAIN], step)
            for number in (38, 39, 40)
            for step in (
                ("stat", f"c{number}"),
                ("stat", f"c{number}/in"),
                ("mkdir", f"c{number}/new", 0o755),
            )
        ]
    )


def test_addresses_that_are_none(check: Check) -> None:
    """EFAULT."""
    ones = (
        ("open", 0),
        ("mkdir", 0o755),
        ("unlink",),
        ("rmdir",),
        ("chmod", 0),
        ("truncate", 0),
        ("chown", 0, 0),
    )
    check([case(actor, [], ("bad_address", *one)) for actor in (ROOT, OTHER) for one in ones])


def test_names_of_every_length(check: Check) -> None:
    """Names are up to 255 bytes, whatever they become on the store."""
    lengths = (1, 2, 100, 140, 141, 142, 143, 144, 170, 171, 175, 176, 177, 200, 254, 255, 256)
    check(
        [
            case(
                ROOT,
                [Thing("d", "dir", 0o777)],
                make,
                ("lstat", f"d/{name}"),
                ("rename", f"d/{name}", "d/x"),
                ("rename", "d/x", f"d/{name}"),
                ("listdir", "d"),
            )
            for name in ("n" * length for length in lengths)
            for make in (
                ("mkdir", f"d/{name}", 0o755),
                ("symlink", "t", f"d/{name}"),
                ("mkfifo", f"d/{name}", 0o644),
            )
        ]
    )


def test_names_of_any_bytes(check: Check) -> None:
    """Everything but the slash and NUL may be in a name."""
    names = [chr(number) for number in range(1, 128) if chr(number) not in "/."] + [
        "...",
        " x ",
        "é",
        "-",
        "\udcff",
    ]
    check(
        [
            case(
                OTHER,
                [Thing("d", "dir", 0o777)],
                *(("open", "o", f"d/{name}", os.O_CREAT | os.O_EXCL) for name in names),
                ("listdir", "d"),
            )
        ]
    )
