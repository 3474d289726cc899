"""Owns going through the regular files of an open volume, one by one, while it may be in use on a mount.

Goes by the core's own nodes, which renames carry along, so a directory that is moved meanwhile is still gone
into. What moves from where the visit has not been to where it has been is missed: `Inodes.moves` tells.
"""

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Final, NamedTuple

from kmsfs import backing, jobs, names
from kmsfs.core import Core
from kmsfs.directories import TEMPORARY_PREFIX
from kmsfs.errors import KmsfsError
from kmsfs.inodes import Directory, Node
from kmsfs.jobs import Call, Pace, Progress

_PROGRESS_SECONDS: Final = 0.2


class Refusal(NamedTuple):
    """An entry with which nothing was done.

    Attributes:
        stored: its path in the ciphertext directory.
        plain: its path in the volume; None where that cannot be told.
        reason: why.
    """

    stored: bytes
    plain: bytes | None
    reason: str


Step = Call | Refusal | None
"""What a job with files yields: something to do, a file that was left, or nothing for each that is behind."""

Steps = Generator[Step, None, None]


def told(steps: Steps, reach: Callable[[], Progress]) -> Iterator[jobs.Step]:
    """Turn what a job with files yields into what a job yields.

    Args:
        steps: of the job.
        reach: says how far it is; told as "reach" now and then, beside each file left as "left".
    """
    pace, due = Pace(), 0.0
    with closing(steps):
        for step in steps:
            if isinstance(step, Call):
                yield step
            elif step is not None:
                plain = None if step.plain is None else os.fsdecode(step.plain)
                yield {
                    "left": {"path": plain, "stored_path": os.fsdecode(step.stored), "reason": step.reason}
                }
            elif pace.is_over():
                now = time.monotonic()
                yield {"reach": reach()} if now >= due else None
                due = now + _PROGRESS_SECONDS if now >= due else due


def _spelled(left: Refusal) -> Progress:
    plain = None if left.plain is None else os.fsdecode(left.plain)
    return {"path": plain, "stored_path": os.fsdecode(left.stored), "reason": left.reason}


class Aside(NamedTuple):
    """Something that is being made under a name of kmsfs's own, to be put in its place later."""


class Place(NamedTuple):
    """A regular file, seen at a place."""

    parent: Directory
    stored: bytes
    status: os.stat_result


Seen = Place | Aside | Refusal


def files(core: Core, top: Node, *, recursive: bool = True) -> Iterator[Seen | None]:
    """Yield a regular file itself, or each that is in a directory or below it; those with many names once.

    Args:
        core: of the volume.
        top: where to begin; the caller has a reference to it.
        recursive: go into directories below.

    Yields:
        Files, what is made aside, directories and entries that cannot be looked at, and None for all others.
    """
    visit = _Visit(core, recursive=recursive)
    if not isinstance(top, Directory):
        yield from visit.alone(top)
        return
    core.inodes[top.nodeid].lookups += 1
    visit.pending.append(top)
    try:
        while visit.pending:
            directory = visit.pending.pop()
            try:
                yield from visit.directory(directory)
            finally:
                core.inodes.forget(directory.nodeid, 1)
    finally:
        for directory in visit.pending:
            core.inodes.forget(directory.nodeid, 1)


def refusal(core: Core, parent: Directory | None, stored: bytes, reason: object) -> Refusal:
    """Return what to tell of an entry of a directory; without a directory it is the volume's root."""
    steps: list[tuple[Directory, bytes]] = []
    while parent is not None:
        steps.append((parent, stored))
        stored = parent.stored
        parent = parent.parent
    path = b"/".join(step for _, step in reversed(steps)) or b"."
    try:
        plain = b"/" + b"/".join(core.directories.plain_name(*step) for step in reversed(steps))
    except (KmsfsError, OSError):
        return Refusal(path, None, str(reason))
    return Refusal(path, plain, str(reason))


class _Visit:
    """One visit under way; `pending` holds the directories that are still to be gone into."""

    def __init__(self, core: Core, *, recursive: bool) -> None:
        self.pending: list[Directory] = []
        self._core = core
        self._recursive = recursive
        self._device = os.fstat(core.volume.root_fd).st_dev
        self._linked: set[int] = set()

    def alone(self, node: Node) -> Iterator[Seen | None]:
        """Yield what is no directory."""
        if node.parent is not None:
            yield from self._entry(node.parent, node.stored)

    def directory(self, directory: Directory) -> Iterator[Seen | None]:
        """Yield the files of a directory, and note the directories in it."""
        core = self._core
        try:
            entries = backing.list_names(core.directories.dirfd(directory))
        except OSError as error:
            yield refusal(core, directory.parent, directory.stored, f"cannot be read: {error.strerror}")
            return
        for stored in entries:
            if stored.startswith(TEMPORARY_PREFIX):
                yield Aside()
            elif not names.is_reserved(stored):
                yield from self._entry(directory, stored)

    def _entry(self, parent: Directory, stored: bytes) -> Iterator[Seen | None]:
        core = self._core
        try:
            status = backing.stat(core.directories.dirfd(parent), stored)
        except FileNotFoundError:
            return
        except OSError as error:
            yield refusal(core, parent, stored, f"cannot be looked at: {error.strerror}")
            return
        if status.st_dev != self._device:
            return
        if stat.S_ISDIR(status.st_mode):
            if self._recursive:
                node = core.inodes.remember(status.st_ino, parent, stored, is_directory=True)
                if isinstance(node, Directory):
                    self.pending.append(node)
        elif stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1:
                if status.st_ino in self._linked:
                    return
                self._linked.add(status.st_ino)
            yield Place(parent, stored, status)
        else:
            yield None
