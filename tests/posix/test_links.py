"""link, unlink and rmdir on things of every kind, by everybody, in directories of every mode."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, KINDS, OTHER, OWNER, ROOT, Check, Thing, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

WHERE = (Thing("d", "dir", 0o777), Thing("e", "dir", 0o777))
TARGET = thing("file", "d/target")
TARGET_AT_TOP = thing("file", "target")


def test_one_more_name(check: Check) -> None:
    """A link is the same inode with one more name, for anything but directories."""
    check(
        [
            case(
                actor,
                [*WHERE, TARGET, thing(kind, "d/x")],
                ("link", "d/x", "d/new"),
                ("unlink", "d/x"),
                ("lstat", "d/new"),
            )
            for actor, kind in product(ACTORS, KINDS)
        ]
    )


def test_a_name_elsewhere(check: Check) -> None:
    """So it is in another directory, but for symlinks."""
    check(
        [
            case(actor, [*WHERE, TARGET, thing(kind, "d/x")], ("link", "d/x", "e/new"))
            for actor, kind in product(ACTORS, KINDS)
            if kind != "symlink"
        ]
        + [
            case(actor, [*WHERE, TARGET, thing("symlink", "d/x")], ("link_followed", "d/x", "e/followed"))
            for actor in ACTORS
        ]
    )


def test_of_a_symlink_elsewhere(check: Check) -> None:
    """A symlink has no name in another directory."""
    check(
        [case(actor, [*WHERE, thing("symlink", "d/x")], ("link", "d/x", "e/new")) for actor in (ROOT, OWNER)]
    )


def test_over_what_is_there(check: Check) -> None:
    """A link never replaces anything, not even itself."""
    check(
        [
            case(actor, [TARGET_AT_TOP, thing(kind, "x"), thing(other, "y")], ("link", "x", "y"))
            for actor, kind, other in product((ROOT, OTHER), KINDS, KINDS)
        ]
        + [case(actor, [thing(kind, "x")], ("link", "x", "x")) for actor in ACTORS for kind in KINDS]
    )


def test_removing_every_kind(check: Check) -> None:
    """Unlink takes everything but directories, rmdir nothing but empty ones."""
    check(
        [
            case(actor, [Thing("d", "dir", mode), thing(kind, "d/x")], (call, "d/x"))
            for actor, kind, call, mode in product(ACTORS, KINDS, ("unlink", "rmdir"), (0o777, 0o755, 0o1777))
        ]
    )


def test_removing_one_of_two_names(check: Check) -> None:
    """The other name stays, with its change noted."""
    check(
        [
            case(
                actor,
                [thing(kind, "x"), Thing("y", "link", content="x")],
                ("unlink", name),
                ("lstat", "x"),
                ("lstat", "y"),
            )
            for actor, kind, name in product((ROOT, OTHER), KINDS, ("x", "y"))
            if kind != "dir"
        ]
    )


def test_directories_that_are_not_empty(check: Check) -> None:
    """Rmdir refuses while there is anything in it, whoever asks, and does it when there is not."""
    check(
        [
            case(
                actor,
                [Thing("d", "dir", 0o777), thing(kind, "d/x")],
                ("rmdir", "d"),
                ("unlink" if kind != "dir" else "rmdir", "d/x"),
                ("rmdir", "d"),
            )
            for actor, kind in product(ACTORS, KINDS)
        ]
    )


def test_sticky_directories(check: Check) -> None:
    """In a sticky directory a thing is removed by its owner, the directory's owner, or root."""
    check(
        [
            case(actor, [Thing("d", "dir", 0o1777, uid=above), thing(kind, "d/x", uid=uid)], (call, "d/x"))
            for actor, above, uid, (kind, call) in product(
                ACTORS,
                (0, 30_001, 30_004),
                (0, 30_001, 30_004),
                (("file", "unlink"), ("symlink", "unlink"), ("fifo", "unlink"), ("dir", "rmdir")),
            )
        ]
    )


def test_open_things_without_a_name(check: Check) -> None:
    """What is removed while it is open goes on, with fewer names, until it is closed."""
    check(
        [
            case(
                actor,
                [Thing("x", "file", 0o666, uid=actor.uid, content="content"), *more],
                ("open", "f", "x", os.O_RDWR),
                ("unlink", "x"),
                ("fstat", "f"),
                ("write", "f", "CON"),
                ("read", "f", 9),
                ("ftruncate", "f", 10),
                ("fchmod", "f", 0o4711),
                ("fchown", "f", -1, -1),
                ("futimens", "f", [5, 6], "now"),
                ("fstat", "f"),
                ("relink", "f", "again"),
                ("open", "g", "x", os.O_RDWR),
                ("open", "g", "x", os.O_RDWR | os.O_CREAT),
                ("fstat", "g"),
            )
            for actor in (ROOT, OWNER, OTHER)
            for more in ([], [Thing("y", "link", content="x")])
        ]
    )


def test_directory_without_a_name(check: Check) -> None:
    """In a directory that is gone nothing can be made or found."""
    inside = (
        ("mkdir", "x", 0o777),
        ("open", "f", "x", os.O_CREAT | os.O_RDWR),
        ("symlink", "t", "x"),
        ("mkfifo", "x", 0o600),
        ("link", "../x", "x"),
        ("rename", "../x", "x"),
        ("stat", "."),
        ("stat", ".."),
        ("listdir", "."),
        ("chmod", ".", 0o700),
        ("utimensat", ".", [1, 2], [3, 4]),
        ("rmdir", "../d"),
    )
    check(
        [
            case(
                actor, [Thing("d", "dir", 0o777), thing("file", "x")], ("chdir", "d"), ("rmdir", "../d"), step
            )
            for actor in (ROOT, OTHER)
            for step in inside
        ]
    )
