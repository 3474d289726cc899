"""rename, with and without flags: any kind over any kind, by anybody, into anything."""

from __future__ import annotations

import os
from itertools import product

import pytest

from cases import ACTORS, KINDS, OTHER, OWNER, ROOT, Check, Thing, case, thing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

NOREPLACE, EXCHANGE = 1, 2
FLAGS = (0, NOREPLACE, EXCHANGE)
D, E = Thing("d", "dir", 0o777), Thing("e", "dir", 0o777)


def at(kind: str, path: str) -> list[Thing]:
    """Return what makes a thing of a kind; a full directory is one of the kinds."""
    if kind == "absent":
        return []
    if kind == "full":
        return [thing("dir", path, mode=0o777), thing("file", f"{path}/inside")]
    return [thing(kind, path, mode=0o777 if kind == "dir" else 0o644)]


def test_every_kind_over_every_kind(check: Check) -> None:
    """In one directory and between two."""
    check(
        [
            case(
                actor, [D, E, *at(old, "d/x"), *at(new, f"{where}/y")], ("rename", "d/x", f"{where}/y", flags)
            )
            for actor, old, new, where, flags in product(
                (ROOT, OWNER), (*KINDS, "full", "absent"), ("absent", *KINDS, "full"), ("d", "e"), FLAGS
            )
        ]
    )


def test_flags_that_are_none(check: Check) -> None:
    """Flags that contradict each other or mean nothing."""
    check([case(ROOT, at("file", "x"), ("rename", "x", "y", flags)) for flags in (3, 6, 7, 8, 1 << 31)])


def test_whiteout(check: Check) -> None:
    """What overlayfs wants of the filesystem below it."""
    check([case(ROOT, at("file", "x"), ("rename", "x", "y", flags)) for flags in (4, NOREPLACE | 4)])


def test_two_names_of_one_inode(check: Check) -> None:
    """Renaming one over the other does nothing; exchanging them neither."""
    check(
        [
            case(
                actor,
                [D, E, thing(kind, "d/x"), Thing("d/y", "link", content="x")],
                ("rename", old, new, flags),
            )
            for actor, kind, (old, new), flags in product(
                (ROOT, OWNER, OTHER), ("file", "fifo", "symlink"), (("d/x", "d/y"), ("d/x", "d/x")), FLAGS
            )
        ]
    )


def test_of_one_of_two_names(check: Check) -> None:
    """A file with two names keeps the other, here and elsewhere."""
    check(
        [
            case(
                actor,
                [D, E, thing(kind, "d/x"), Thing("d/y", "link", content="x"), *at(over, new)],
                ("rename", "d/x", new, flags),
            )
            for actor, kind, new, over, flags in product(
                (ROOT, OTHER), ("file", "fifo"), ("d/z", "e/z"), ("absent", "file", "symlink"), FLAGS
            )
        ]
    )


def test_impossible_places(check: Check) -> None:
    """Not into oneself, not above oneself, not by a dot."""
    tree = [D, Thing("d/a", "dir", 0o777), Thing("d/a/b", "dir", 0o777), thing("file", "f")]
    pairs = (
        ("d", "d/x"), ("d", "d/a"), ("d", "d/a/b"), ("d", "d/a/b/x"), ("d/a", "d"), ("d/a/b", "d"),
        ("d", "d"), ("d/.", "x"), ("d/..", "x"), (".", "x"), ("..", "x"), ("f", "."), ("f", ".."),
        ("d", "d/."), ("d", "d/.."), ("d/a/", "x"), ("d/a/", "x/"), ("d/a", "x/"), ("f", "x/"),
        ("f/", "x"), ("f", "d/"), ("f", "f/"), ("d", "f/"), ("", "x"), ("f", ""), ("f", "f/x"),
        ("f/x", "y"), ("d/a", "f"), ("f", "d/a"), ("none", "none"), ("none", "d"),
    )  # fmt: skip
    check(
        [
            case(actor, tree, ("rename", *pair, flags))
            for actor, pair, flags in product((ROOT, OWNER), pairs, FLAGS)
        ]
    )


def test_sticky_directories(check: Check) -> None:
    """From a sticky directory and over what is in one, things are moved by their owners."""
    check(
        [
            case(
                actor,
                [
                    Thing("d", "dir", 0o1777 if sticky == "d" else 0o777, uid=above),
                    Thing("e", "dir", 0o1777 if sticky == "e" else 0o777, uid=above),
                    thing(kind, "d/x", uid=uid),
                    *([thing(kind, "e/y", uid=other)] if other >= 0 else []),
                ],
                ("rename", "d/x", "e/y", flags),
            )
            for actor, sticky, above, uid, other, kind, flags in product(
                (ROOT, OWNER, OTHER),
                ("d", "e"),
                (0, 30_001),
                (30_001, 30_004),
                (-1, 0, 30_001),
                ("file", "dir"),
                (0, EXCHANGE),
            )
        ]
    )


def test_permissions_of_both_directories(check: Check) -> None:
    """Both directories must be writable, and a directory that changes its parent as well."""
    check(
        [
            case(
                actor,
                [Thing("d", "dir", old), Thing("e", "dir", new), thing(kind, "d/x", mode=mode)],
                ("rename", "d/x", "e/x"),
            )
            for actor, old, new, kind, mode in product(
                ACTORS,
                (0o777, 0o755, 0o775, 0o666, 0o500),
                (0o777, 0o755, 0o333),
                ("file", "dir"),
                (0o755, 0o577, 0o000),
            )
        ]
    )


def test_open_things(check: Check) -> None:
    """What is open is moved and replaced as anything is, and goes on."""
    check(
        [
            case(
                actor,
                [
                    D,
                    E,
                    Thing("d/x", "file", 0o666, content="one"),
                    Thing("e/y", "file", 0o666, content="other"),
                ],
                ("open", "f", "d/x", os.O_RDWR),
                ("open", "g", "e/y", os.O_RDWR),
                ("write", "f", "ONE and more"),
                ("write", "g", "O"),
                ("rename", "d/x", "e/y", flags),
                ("fstat", "f"),
                ("fstat", "g"),
                ("read", "g", 9),
                ("write", "g", "gone"),
                ("write", "f", "kept"),
                ("fstat", "f"),
                ("fstat", "g"),
            )
            for actor, flags in product((ROOT, OTHER), FLAGS)
        ]
    )
