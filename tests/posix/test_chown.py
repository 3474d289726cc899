"""chown, lchown, fchown: to whom one may give things, and which bits that takes away."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, FILES_GID, FILES_UID, FOREIGN_GID, KINDS, Check, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

KEEP = -1
OWNERS = (
    (KEEP, KEEP),
    (FILES_UID, KEEP),
    (FILES_UID, FILES_GID),
    (KEEP, 40_005),
    (KEEP, FOREIGN_GID),
    (30_004, KEEP),
    (0, 0),
)
MODES = (0o644, 0o6755, 0o2745)
TARGET = thing("file", "target", mode=0o6755)


def test_every_owner_of_every_kind(check: Check) -> None:
    """Root gives anything to anybody; an owner only to groups of their own; nobody else anything."""
    check(
        [
            case(actor, [TARGET, thing(kind, "x", mode=mode)], ("chown", "x", *owner))
            for actor, kind, mode, owner in product(ACTORS, KINDS, MODES, OWNERS)
        ]
    )


def test_of_a_link_itself(check: Check) -> None:
    """Lchown changes the symlink and not what it leads to."""
    check(
        [
            case(actor, [TARGET, thing("symlink", "x")], ("lchown", "x", *owner), ("readlink", "x"))
            for actor, owner in product(ACTORS, OWNERS)
        ]
    )


def test_through_a_descriptor(check: Check) -> None:
    """An open file is given away like any other, and stays open."""
    check(
        [
            case(
                actor,
                [thing("file", "x", mode=0o6777)],
                ("open", "f", "x", os.O_RDWR),
                ("fchown", "f", *owner),
                ("fstat", "f"),
                ("write", "f", "more"),
                ("fstat", "f"),
            )
            for actor, owner in product(ACTORS, OWNERS)
        ]
    )
