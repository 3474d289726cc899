"""truncate, ftruncate, posix_fallocate, seeking writes: every edge of a size, holes included."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import KINDS, OTHER, ROOT, Actor, Case, Check, Thing, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

SIZES = (
    0,
    1,
    7,
    8,
    4095,
    4096,
    4097,
    8192,
    12_289,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    1 << 32,
    1 << 40,
    1 << 61,
)
CONTENTS = ("", "content", "c" * 4096, "d" * 10_000)


def test_truncate(check: Check) -> None:
    """From any size to any size, by name and by descriptor, and back."""
    check(
        [
            case(ROOT, [Thing("x", "file", content=content)], ("truncate", "x", size), ("stat", "x"))
            for content, size in product(CONTENTS, SIZES)
            if not content or size != len(content)
        ]
        + [
            case(
                OTHER,
                [Thing("x", "file", 0o666, content=content)],
                ("open", "f", "x", os.O_RDWR),
                ("ftruncate", "f", size),
                ("fstat", "f"),
                ("seek", "f", -min(size, 9), os.SEEK_END),
                ("read", "f", 10),
                ("ftruncate", "f", 3),
                ("write", "f", "w"),
                ("ftruncate", "f", 4097),
            )
            for content, size in product(CONTENTS, SIZES)
        ]
    )


def test_sizes_that_are_none(check: Check) -> None:
    """Negative sizes, and sizes of what has none."""
    check(
        [
            case(actor, [Thing("x", "file", 0o666)], ("truncate", "x", size))
            for actor in (ROOT, OTHER)
            for size in (-1, -(1 << 62))
        ]
        + [case(ROOT, [Thing("x", "file")], ("open", "f", "x", os.O_RDWR), ("ftruncate", "f", -1))]
        + [case(ROOT, [Thing("x", "file")], ("open", "f", "x", os.O_RDONLY), ("ftruncate", "f", 0))]
        + [
            case(actor, [thing(kind, "x", mode=0o777)], ("truncate", "x", 0))
            for actor in (ROOT, OTHER)
            for kind in KINDS
        ]
    )


def test_truncate_to_the_same_size(check: Check) -> None:
    """It counts as a change."""
    check(
        [
            case(ROOT, [Thing("x", "file", content=text)], ("truncate", "x", len(text)))
            for text in CONTENTS[1:]
        ]
    )


def test_sizes_beyond_the_limit(check: Check) -> None:
    """What cannot be held, its ciphertext being longer."""
    check(
        [case(ROOT, [Thing("x", "file")], ("truncate", "x", size)) for size in ((1 << 62) + 1, (1 << 63) - 1)]
    )


def allocating(actor: Actor, content: str, start: int, length: int, mode: int = 0o666) -> Case:
    """Return a case of posix_fallocate."""
    return case(
        actor,
        [Thing("x", "file", mode, content=content)],
        ("open", "f", "x", os.O_RDWR),
        ("fallocate", "f", start, length),
        ("fstat", "f"),
    )


def test_fallocate(check: Check) -> None:
    """posix_fallocate makes a file as long as it says, changes no content and refuses what is no range."""
    ranges = ((0, 1), (0, 4097), (0, 5000), (3, 2), (4095, 2), (8000, 9000), (100_000, 1))
    check(
        [
            allocating(actor, content, start, length, mode)
            for actor, content, (start, length), mode in product(
                (ROOT, OTHER), CONTENTS, ranges, (0o666, 0o6777)
            )
            if start + length > len(content)
        ]
        + [
            allocating(OTHER, content, *one)
            for content in CONTENTS
            for one in ((0, 0), (-1, 1), (1, -1), (-2, 1))
        ]
        + [case(ROOT, [Thing("x", "file")], ("open", "f", "x", os.O_RDONLY), ("fallocate", "f", 0, 10))]
        + [case(ROOT, [Thing("x", "file")], ("open", "f", "x", os.O_WRONLY), ("fallocate", "f", 0, 10))]
    )


def test_fallocate_of_what_is_there(check: Check) -> None:
    """Where there is content, posix_fallocate has nothing to do."""
    ranges = ((0, 1), (3, 2), (0, 4096), (4095, 2), (0, 10_000))
    check(
        [
            allocating(actor, content, start, length)
            for actor, content, (start, length) in product((ROOT, OTHER), CONTENTS[1:], ranges)
            if start + length <= len(content)
        ]
    )


def test_fallocate_takes_bits_away(check: Check) -> None:
    """So set-user-ID and set-group-ID bits stay as well."""
    check([allocating(OTHER, "content", 0, 7, mode) for mode in (0o4777, 0o6777)])


def test_writing_beyond_the_end(check: Check) -> None:
    """What was skipped reads as zeros and counts into the size."""
    check(
        [
            case(
                ROOT,
                [Thing("x", "file", content=content)],
                ("open", "f", "x", os.O_RDWR),
                ("pwrite", "f", "end", offset),
                ("fstat", "f"),
                ("seek", "f", max(offset - 5, 0), os.SEEK_SET),
                ("read", "f", 20),
            )
            for content, offset in product(CONTENTS, SIZES)
        ]
    )


def test_appending(check: Check) -> None:
    """O_APPEND writes at the end, wherever that is by now and whatever pwrite(2) says."""
    check(
        [
            case(
                ROOT,
                [Thing("x", "file", content=content)],
                ("open", "f", "x", os.O_RDWR | os.O_APPEND),
                ("open", "g", "x", os.O_WRONLY),
                ("write", "f", "one"),
                ("ftruncate", "g", size),
                ("write", "f", "two"),
                ("pwrite", "f", "three", 0),
                ("fstat", "f"),
            )
            for content, size in product(CONTENTS, (0, 1, 4096, 9000))
        ]
    )
