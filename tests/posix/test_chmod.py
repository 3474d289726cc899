"""chmod, fchmod: whose files, which bits are dropped, which times change."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, FOREIGN_GID, KINDS, Check, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

MODES = (0o000, 0o644, 0o755, 0o1777, 0o2745, 0o2755, 0o4755, 0o6777, 0o7777)
TARGET = thing("file", "target")


def test_every_mode_of_every_kind(check: Check) -> None:
    """A mode is set on things of every kind by their owner and root, and by nobody else."""
    check(
        [
            case(actor, [TARGET, thing(kind, "x")], ("chmod", "x", mode))
            for actor, kind, mode in product(ACTORS, KINDS, MODES)
        ]
    )


def test_group_that_the_owner_is_not_in(check: Check) -> None:
    """The set-group-ID bit does not stay where the owner is not in the group."""
    check(
        [
            case(actor, [thing(kind, "x", gid=gid)], ("chmod", "x", mode))
            for actor, kind, gid, mode in product(
                ACTORS, ("file", "dir", "fifo"), (40_005, FOREIGN_GID), (0o2755, 0o2745, 0o6777)
            )
        ]
    )


def test_through_a_descriptor(check: Check) -> None:
    """The same holds for fchmod, and an open file goes on."""
    check(
        [
            case(
                actor,
                [thing(kind, "x", mode=0o666 if kind == "file" else 0o777, gid=gid)],
                ("open", "f", "x", os.O_RDONLY),
                ("fchmod", "f", mode),
                ("fstat", "f"),
                ("fchmod", "f", 0),
                ("read", "f", 4),
                ("fstat", "f"),
            )
            for actor, kind, gid, mode in product(ACTORS, ("file", "dir"), (40_001, FOREIGN_GID), MODES)
        ]
    )
