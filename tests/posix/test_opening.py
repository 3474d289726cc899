"""open: which flags on what, by whom; what reading and writing do to modes and times."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, KINDS, OTHER, OWNER, ROOT, Check, Thing, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

ACCESS = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)
# No open waits for the other end of a FIFO, or for a device.
MORE = (
    0,
    os.O_CREAT,
    os.O_CREAT | os.O_EXCL,
    os.O_CREAT | os.O_TRUNC,
    os.O_TRUNC,
    os.O_APPEND,
    os.O_NOFOLLOW,
    os.O_CREAT | os.O_NOFOLLOW,
    os.O_DIRECTORY,
    os.O_DIRECTORY | os.O_NOFOLLOW,
    os.O_DIRECTORY | os.O_TRUNC,
    os.O_CREAT | os.O_DIRECTORY,
    os.O_PATH,
    os.O_PATH | os.O_NOFOLLOW,
    os.O_NOATIME,
    os.O_SYNC,
    os.O_DSYNC | os.O_APPEND,
)
SHAPES = (
    [thing("file", "x", mode=0o666)],
    [thing("file", "x", mode=0o600)],
    [thing("dir", "x", mode=0o777)],
    [thing("fifo", "x", mode=0o666)],
    [thing("socket", "x", mode=0o666)],
    [thing("char", "x", mode=0o666)],
    [Thing("x", "char", 0o666, rdev=(250, 250))],
    [Thing("x", "symlink", content="file"), thing("file", "file", mode=0o666)],
    [Thing("x", "symlink", content="dir"), thing("dir", "dir", mode=0o777)],
    [Thing("x", "symlink", content="nothing")],
    [Thing("x", "symlink", content="x")],
    [],
)


def test_every_flag_on_every_kind(check: Check) -> None:
    """What open gives for any flags, on anything that may stand at the name."""
    check(
        [
            case(
                actor,
                things,
                ("open", "f", "x", access | more | os.O_NONBLOCK, 0o640),
                ("flags", "f"),
                ("fstat", "f"),
            )
            for actor, things, access, more in product((ROOT, OTHER), SHAPES, ACCESS, MORE)
        ]
    )


def test_permission_bits(check: Check) -> None:
    """The first class that one belongs to decides, on opening as with access(2)."""
    flags = (*ACCESS, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND)
    modes = [bits << shift for shift in (6, 3, 0) for bits in range(1, 8)] + [0, 0o666, 0o777]
    check(
        [
            case(actor, [thing("file", "x", mode=mode)], ("open", "f", "x", flag))
            for actor, mode, flag in product(ACTORS, modes, flags)
        ]
    )


def test_access(check: Check) -> None:
    """access(2) says what opening would."""
    modes = [bits << shift for shift in (6, 3, 0) for bits in range(8)]
    check(
        [
            case(actor, [thing(kind, "x", mode=mode)], *(("access", "x", wanted) for wanted in range(8)))
            for actor, kind, mode in product(ACTORS, ("file", "dir", "fifo"), modes)
        ]
    )


def test_execution(check: Check) -> None:
    """A program runs for whom its mode says, and not while it is open for writing."""
    program = "#!/bin/sh\nexit 7\n"
    modes = (0o000, 0o111, 0o444, 0o555, 0o755, 0o654, 0o645, 0o666)
    check(
        [
            case(actor, [Thing("x", "file", mode, content=program)], ("execute", "./x"))
            for actor, mode in product(ACTORS, modes)
        ]
        + [
            case(
                actor,
                [Thing("x", "file", 0o777, content=program)],
                ("open", "f", "x", os.O_WRONLY),
                ("execute", "./x"),
                ("close", "f"),
                ("execute", "./x"),
            )
            for actor in (ROOT, OTHER)
        ]
    )


def test_first_come_with_any_mode(check: Check) -> None:
    """Who creates a file has what they asked for, whatever mode it has then."""
    check(
        [
            case(
                actor,
                [],
                ("open", "f", "new", os.O_CREAT | access | more, mode),
                ("write", "f", "text"),
                ("open", "g", "new", access),
                ("fstat", "f"),
            )
            for actor, access, more, mode in product(
                (ROOT, OWNER), ACCESS, (0, os.O_EXCL, os.O_TRUNC, os.O_APPEND), (0, 0o200, 0o400, 0o6777)
            )
        ]
    )


def test_protected_directories(check: Check) -> None:
    """In a sticky directory nothing keeps O_CREAT from what may be opened anyway, or as the system is set."""
    check(
        [
            case(
                actor,
                [Thing("d", "dir", mode, uid=uid), thing(kind, "d/x", mode=0o666)],
                ("open", "f", "d/x", os.O_CREAT | os.O_RDWR | os.O_NONBLOCK),
            )
            for actor, mode, uid, kind in product(
                ACTORS, (0o777, 0o1777, 0o1770), (0, 30_001, 30_004), ("file", "fifo")
            )
        ]
    )


def test_without_a_name(check: Check) -> None:
    """O_TMPFILE."""
    check(
        [
            case(actor, [Thing("d", "dir", 0o777)], ("open", "f", "d", os.O_TMPFILE | os.O_RDWR))
            for actor in (ROOT, OTHER)
        ]
    )


def test_kinds_that_cannot_be_opened_for_what(check: Check) -> None:
    """Reading a directory, writing to what is open for reading, and the like."""
    check(
        [
            case(
                actor,
                [thing(kind, "x", mode=0o777)],
                ("open", "f", "x", flag | os.O_NONBLOCK),
                ("read", "f", 3),
                ("write", "f", "abc"),
                ("ftruncate", "f", 1),
                ("fallocate", "f", 0, 10),
                ("seek", "f", 0, os.SEEK_END) if kind == "file" else ("fsync", "f"),
            )
            for actor, kind, flag in product((ROOT, OTHER), KINDS, ACCESS)
            if (kind, flag) != ("fifo", os.O_RDWR)
        ]
    )
