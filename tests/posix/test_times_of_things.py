"""utimensat and futimens: who may set which times, to which values."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, KINDS, OTHER, OWNER, ROOT, Check, Thing, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

WAYS: tuple[object, ...] = ("now", "omit", [1_234_567_890, 987_654_321])
SECONDS = (
    0, 1, -1, -86_400, 1 - (1 << 31), (1 << 31) - 2, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1,
    1 << 32, (1 << 31) + 86_400, 4_102_444_800, 1 << 33,
    1 << 34, 1 << 40, -(1 << 31), -(1 << 31) - 1, -(1 << 40),
)  # fmt: skip
NANOSECONDS = (0, 1, 999, 500_000_000, 999_999_999)


def test_who_may(check: Check) -> None:
    """The owner sets anything; who may write, only both to now; and what is omitted needs no right."""
    check(
        [
            case(actor, [thing(kind, "x", mode=mode)], ("utimensat", "x", atime, mtime))
            for actor, kind, mode, atime, mtime in product(
                ACTORS, ("file", "dir", "fifo"), (0o777, 0o700, 0o464, 0o000), WAYS, WAYS
            )
        ]
    )


def test_every_kind(check: Check) -> None:
    """Times of things of every kind, of a symlink itself too."""
    check(
        [
            case(actor, [thing("file", "target", mode=0o666), thing(kind, "x")], (call, "x", atime, mtime))
            for actor, kind, call, atime, mtime in product(
                (ROOT, OWNER, OTHER), KINDS, ("utimensat", "lutimens"), WAYS, WAYS
            )
        ]
    )


def test_every_second(check: Check) -> None:
    """Before 1970, up to 2038, after it, and to the nanosecond."""
    check(
        [
            case(OWNER, [thing(kind, "x")], ("lutimens", "x", [second, nanosecond], [second + 1, nanosecond]))
            for kind, second, nanosecond in product(("file", "dir", "symlink", "fifo"), SECONDS, NANOSECONDS)
        ]
    )


def test_nanoseconds_that_are_none(check: Check) -> None:
    """A nanosecond is below a second."""
    check(
        [
            case(actor, [thing("file", "x")], ("utimensat", "x", [0, nanosecond], [0, 0]))
            for actor in (OWNER, OTHER)
            for nanosecond in (-1, 1_000_000_000, (1 << 30) - 3, 1 << 30, 1 << 40)
        ]
    )


def test_through_a_descriptor(check: Check) -> None:
    """An open file, also one that is written to: what is set stays, until the next write."""
    check(
        [
            case(
                actor,
                [Thing("x", "file", 0o666, content="content")],
                ("open", "f", "x", os.O_RDWR),
                *((("write", "f", "before"),) if before else ()),
                ("futimens", "f", atime, mtime),
                *((("write", "f", "after"),) if after else ()),
                ("close", "f"),
            )
            for actor, atime, mtime, before, after in product(
                (ROOT, OWNER, OTHER), WAYS, WAYS, (0, 1), (0, 1)
            )
        ]
    )
