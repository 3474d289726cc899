"""Set-user-ID and set-group-ID bits go when content changes, for whom they should; times change with it."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, FOREIGN_GID, Check, Step, Thing, case

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

MODES = (0o666, 0o4777, 0o2777, 0o6777, 0o2767, 0o6666, 0o1666)
CHANGES: dict[str, tuple[Step, ...]] = {
    "write": (("open", "f", "x", os.O_RDWR), ("write", "f", "X"), ("fstat", "f")),
    "write and sync": (("open", "f", "x", os.O_RDWR), ("write", "f", "X"), ("fsync", "f"), ("fstat", "f")),
    "write at": (("open", "f", "x", os.O_WRONLY), ("pwrite", "f", "X", 5000), ("fstat", "f")),
    "append": (("open", "f", "x", os.O_WRONLY | os.O_APPEND), ("write", "f", "X"), ("fstat", "f")),
    "overwrite and close": (
        ("open", "f", "x", os.O_WRONLY | os.O_TRUNC),
        ("write", "f", "X"),
        ("close", "f"),
    ),
    "open with O_TRUNC": (("open", "f", "x", os.O_WRONLY | os.O_TRUNC), ("fstat", "f")),
    "truncate": (("truncate", "x", 3), ("stat", "x")),
    "extend": (("truncate", "x", 10_000), ("stat", "x")),
    "ftruncate": (("open", "f", "x", os.O_WRONLY), ("ftruncate", "f", 3), ("fstat", "f")),
    "ftruncate to the same": (("open", "f", "x", os.O_WRONLY), ("ftruncate", "f", 7), ("fstat", "f")),
    "fextend": (("open", "f", "x", os.O_WRONLY), ("ftruncate", "f", 5000), ("fstat", "f")),
    "two writers": (
        ("open", "f", "x", os.O_WRONLY),
        ("open", "g", "x", os.O_RDWR | os.O_APPEND),
        ("write", "f", "12345678"),
        ("write", "g", "9"),
        ("ftruncate", "f", 8),
        ("read", "g", 9),
        ("fstat", "g"),
    ),
}

NOT_CHANGES: dict[str, tuple[Step, ...]] = {
    "write nothing": (("open", "f", "x", os.O_RDWR), ("write", "f", ""), ("fstat", "f")),
    "read": (("open", "f", "x", os.O_RDONLY), ("read", "f", 100), ("fstat", "f")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changing_content(check: Check, change: str) -> None:
    """By anybody who may write."""
    check(
        [
            case(actor, [Thing("x", "file", mode, gid=gid, content="content")], *CHANGES[change])
            for actor, mode, gid in product(ACTORS, MODES, (40_001, FOREIGN_GID))
        ]
    )


@pytest.mark.parametrize("change", NOT_CHANGES)
def test_changing_nothing(check: Check, change: str) -> None:
    """Opening for writing takes nothing away, nor does reading."""
    check(
        [
            case(actor, [Thing("x", "file", mode, gid=gid, content="content")], *NOT_CHANGES[change])
            for actor, mode, gid in product(ACTORS, MODES, (40_001, FOREIGN_GID))
        ]
    )


def test_truncating_to_the_same_size(check: Check) -> None:
    """It counts as a change of content, by the name of the file as by a descriptor."""
    check(
        [
            case(actor, [Thing("x", "file", mode, content="content")], ("truncate", "x", 7), ("stat", "x"))
            for actor, mode in product(ACTORS, MODES)
        ]
    )


def test_changing_nothing_in_an_empty_file(check: Check) -> None:
    """O_TRUNC of what is empty takes the bits away; writing nothing does not."""
    changes = (CHANGES["open with O_TRUNC"], *NOT_CHANGES.values())
    check(
        [
            case(actor, [Thing("x", "file", mode)], *change)
            for actor, mode, change in product(ACTORS, (0o666, 0o6777), changes)
        ]
    )
