"""A program on a volume, and what it counts on: each call is made on the core, and noted with its journal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from journal import Entry
from kmsfs import backing, jobs
from kmsfs.core import Core
from kmsfs.file import File
from kmsfs.inodes import ROOT_INODE
from kmsfs.mkfs import VolumePlan, make_volume
from kmsfs.opening import open_volume
from kmsfs.reencrypt import Reencrypt, reencrypt
from kmsfs.rewrap import Rewrap, rewrap
from local_keys import LocalKeys
from offline import ME
from recorder import KilledError, Recorder

Place = tuple[bytes, ...]
"""The names from the root to an entry."""

Names = dict[Place, bytes | int]
"""All entries: a file's node, a link's target, or nothing for a directory."""


@dataclass(frozen=True, slots=True)
class Version:
    """Something that a program made of the names, or of one file's content.

    Attributes:
        began, ended: how many entries of the journal had been made before the call, and after it.
    """

    began: int
    ended: int
    value: object


class Program:
    """One volume over several mounts.

    Args:
        path: where it is made.

    Attributes:
        names: versions of `Names`, oldest first.
        contents: per file, versions of its content.
        attributes: per file, versions of its one extended attribute.
        formatted: how many entries of the journal made the volume.
    """

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.keys = LocalKeys()
        self.recorder = Recorder(os.fsencode(path))
        self._patch = patch
        self._core: Core | None = None
        with self.recorder.recording(patch):
            make_volume(str(path), self.keys.client(), VolumePlan())
        self.formatted = len(self.journal)
        self.names: list[Version] = [Version(0, 0, {})]
        self.contents: dict[int, list[Version]] = {}
        self.attributes: dict[int, list[Version]] = {}

    @property
    def journal(self) -> list[Entry]:
        """What the store was asked for so far."""
        return self.recorder.journal

    @contextmanager
    def mounted(self, *, crashes: bool = False) -> Iterator[None]:
        """Have the volume mounted until the body ends; the page cache keeps all of it, even in a crash."""
        with (
            self.recorder.recording(self._patch),
            suppress(KilledError),
            open_volume(str(self.path), self.keys.client()) as volume,
        ):
            self._core = core = Core(volume)
            try:
                yield
                if crashes:
                    leave(core)
                    raise KilledError
                core.files.close()
            finally:
                core.inodes.close()
                self._core = None

    def killed_at_mount(self) -> None:
        """Mount, and be killed when a new description is in its place and not durable."""
        self.recorder.dies = True
        with (
            self.recorder.recording(self._patch),
            suppress(KilledError),
            open_volume(str(self.path), self.keys.client()),
        ):
            raise AssertionError("a mount writes the description first")

    @property
    def core(self) -> Core:
        """The core of the mount."""
        assert self._core is not None
        return self._core

    def current(self) -> Names:
        """Return all entries as they are now."""
        names: Names = dict(self.names[-1].value)  # type: ignore[call-overload]  # versions of names hold names
        return names

    def content(self, place: Place) -> bytes:
        """Return what a file holds now."""
        return self.contents[self.file_at(place)][-1].value  # type: ignore[return-value]  # so do those of content

    def file_at(self, place: Place) -> int:
        """Return the node of a file."""
        node = self.current()[place]
        assert isinstance(node, int)
        return node

    # Calls of a program

    def create(self, *place: bytes) -> None:
        with self._renaming() as names:
            entry, _ = self.core.create(self._parent(place), place[-1], 0o644, os.O_RDWR | os.O_EXCL, ME)
            node = names[place] = self.recorder.node_of(entry.status.st_ino)
            self.contents[node] = [Version(0, len(self.journal), b"")]
            self.attributes[node] = [Version(0, len(self.journal), None)]

    def close(self, *place: bytes) -> None:
        """Close a file that was created; those that are not are closed at the end of the mount."""
        self.core.files.release(self.core.tree.lookup(self._parent(place), place[-1]).status.st_ino)

    def write(self, place: Place, offset: int, content: bytes) -> None:
        before = self.content(place)
        end = offset + len(content)
        after = before[:offset].ljust(offset, b"\0") + content + before[end:]
        with self._changing(place, after) as file:
            file.write(offset, content)

    def append(self, place: Place, content: bytes) -> None:
        self.write(place, len(self.content(place)), content)

    def truncate(self, place: Place, size: int) -> None:
        with self._changing(place, self.content(place)[:size].ljust(size, b"\0")) as file:
            file.truncate(size)

    def fsync(self, place: Place, *, data_only: bool = False) -> None:
        """As `Waiting.fsync` does, without its thread."""
        with self._opened(place) as file:
            file.settle()
            backing.fsync(file.chunks.fd, data_only=data_only)

    def fsync_directory(self, *place: bytes) -> None:
        directory = self.core.inodes.directory(self._find(place))
        backing.fsync_directory(self.core.directories.dirfd(directory))

    def mkdir(self, *place: bytes) -> None:
        with self._renaming() as names:
            self.core.tree.mkdir(self._parent(place), place[-1], 0o755, ME)
            names[place] = b""

    def symlink(self, place: Place, target: bytes) -> None:
        with self._renaming() as names:
            self.core.tree.symlink(self._parent(place), place[-1], target, ME)
            names[place] = target

    def link(self, place: Place, new: Place) -> None:
        with self._renaming() as names:
            self.core.tree.link(self._find(place), self._parent(new), new[-1])
            names[new] = names[place]

    def unlink(self, *place: bytes) -> None:
        with self._renaming() as names:
            self.core.tree.unlink(self._parent(place), place[-1])
            del names[place]

    def rmdir(self, *place: bytes) -> None:
        with self._renaming() as names:
            self.core.tree.rmdir(self._parent(place), place[-1])
            del names[place]

    def rename(self, place: Place, new: Place) -> None:
        before = self.current()
        with self._renaming() as names:
            self.core.renaming.rename(self._parent(place), place[-1], self._parent(new), new[-1], 0)
            move(names, place, new)
        if place[:-1] != new[:-1] and before[place] and isinstance(before[place], bytes):
            # A link is made anew for another directory, and then removed from its own.
            last = self.names[-1]
            self.names.insert(-1, Version(last.began, last.ended, before | {new: before[place]}))

    def exchange(self, place: Place, new: Place) -> None:
        with self._renaming() as names:
            old, other = self._parent(place), self._parent(new)
            self.core.renaming.rename(old, place[-1], other, new[-1], backing.RENAME_EXCHANGE)
            move(names, place, (b"",))
            move(names, new, place)
            move(names, (b"",), new)

    def set_attribute(self, place: Place, value: bytes | None) -> None:
        began = len(self.journal)
        if value is None:
            self.core.xattrs.remove(self._find(place), b"user.note")
        else:
            self.core.xattrs.set(self._find(place), b"user.note", value)
        self.attributes[self.file_at(place)].append(Version(began, len(self.journal), value))

    def rewrap(self) -> None:
        """Wrap all keys anew; neither names nor content change."""
        list(jobs.here(rewrap(self.core, Rewrap(with_files=True))))

    def reencrypt(self, *place: bytes) -> None:
        """Give a file a new data key: another file takes its place, with the same in it."""
        content, attribute = self.content(place), self.attributes[self.file_at(place)][-1].value
        with self._renaming() as names:
            path = os.fsdecode(b"/".join(place))
            list(jobs.here(reencrypt(self.core, Reencrypt(path=path))))
            inode = self.core.tree.lookup(self._parent(place), place[-1]).status.st_ino
            assert self.recorder.node_of(inode) != names[place]
            node = names[place] = self.recorder.node_of(inode)
            self.contents[node] = [Version(0, len(self.journal), content)]
            self.attributes[node] = [Version(0, len(self.journal), attribute)]

    @contextmanager
    def _renaming(self) -> Iterator[Names]:
        """Note a change of names; the body makes it, of a copy too."""
        began, names = len(self.journal), self.current()
        yield names
        self.names.append(Version(began, len(self.journal), names))

    @contextmanager
    def _changing(self, place: Place, after: bytes) -> Iterator[File]:
        """Note a change of content; the body makes it."""
        began = len(self.journal)
        with self._opened(place) as file:
            yield file
        self.contents[self.file_at(place)].append(Version(began, len(self.journal), after))

    @contextmanager
    def _opened(self, place: Place) -> Iterator[File]:
        nodeid = self._find(place)
        file = self.core.open(nodeid, os.O_RDWR)
        try:
            yield file
        finally:
            self.core.files.release(file.chunks.inode)

    def _parent(self, place: Place) -> int:
        return self._find(place[:-1])

    def _find(self, place: Place) -> int:
        nodeid = ROOT_INODE
        for name in place:
            nodeid = self.core.tree.lookup(nodeid, name).nodeid
        return nodeid


def move(names: Names, place: Place, new: Place) -> None:
    """Move an entry with all below it over whatever is at the new place."""
    moved = [entry for entry in names if entry[: len(place)] == place]
    for entry in moved:
        names[new + entry[len(place) :]] = names.pop(entry)


def leave(core: Core) -> None:
    """Close what a process had open, as the kernel does for one that is killed: nothing is settled."""
    for file in (*(file for file, _ in core.files._open.values()), *core.files._idle.values()):
        file.chunks.close()
