"""What a case of the POSIX suite is: who does what to which things. Values only, nothing is done here.

Paths are relative to a directory of the case's own, which anybody may write to. A step is the name of one of
the calls in `actor` and its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Step = tuple[object, ...]
Check = Callable[..., None]
"""The fixture that takes cases."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who makes system calls."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


FILES_UID, FILES_GID = 30_001, 40_001
"""Whose things are, unless a case says otherwise."""
FOREIGN_GID = 40_009
"""A group that nobody below is in."""

ROOT = Actor("root", 0, 0)
OWNER = Actor("owner", FILES_UID, FILES_GID, (40_005,))
GROUP = Actor("group", 30_002, FILES_GID)
MEMBER = Actor("member", 30_003, 40_003, (FILES_GID, 40_005))
OTHER = Actor("other", 30_004, 40_004)
USERS = (OWNER, GROUP, MEMBER, OTHER)
ACTORS = (ROOT, *USERS)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that is there before a case begins.

    Attributes:
        path: where.
        kind: file, dir, symlink, link (a hard link), fifo, socket, char or block.
        mode: permission bits, with those above them.
        uid, gid: owner.
        content: bytes of a file; the target of a symlink or link.
        rdev: of a device node: major, minor.
    """

    path: str
    kind: str = "file"
    mode: int = 0o644
    uid: int = FILES_UID
    gid: int = FILES_GID
    content: str = ""
    rdev: tuple[int, int] = (1, 3)

    def __str__(self) -> str:
        shown = f"{self.path}: {self.kind} {self.mode:o} of {self.uid}:{self.gid}"
        return f"{shown} {self.content[:20]!r}" if self.content else shown


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `steps`, by `actor`, on what `things` are there."""

    actor: Actor
    things: tuple[Thing, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        steps = "; ".join(" ".join(map(_short, step)) for step in self.steps)
        return f"{steps} by {self.actor.name} on {', '.join(map(str, self.things)) or 'nothing'}"


KINDS = ("file", "dir", "symlink", "fifo", "socket", "char", "block")


def thing(kind: str, path: str, *, mode: int = 0o644, uid: int = FILES_UID, gid: int = FILES_GID) -> Thing:
    """Return a thing of any kind, with what that kind needs."""
    content = {"file": "content", "symlink": "target"}.get(kind, "")
    return Thing(path, kind, mode, uid, gid, content)


def case(actor: Actor, things: Sequence[Thing], *steps: Step) -> Case:
    """Return a case."""
    return Case(actor, tuple(things), steps)


def _short(argument: object) -> str:
    text = f"0o{argument:o}" if isinstance(argument, int) and argument > 0 else str(argument)
    return text if len(text) <= 60 else f"{text[:20]}…({len(text)})"
