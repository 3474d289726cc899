"""Owns whether files and directories are where they belong, and ties them to their new places when they move.

What is not where it belongs may be moved on, and is no better for it: it is not tied to anything by that.

A file's header is data to the store: it may reach the disk long before the rename that it was written for, or
long after. So the header keeps the place that is certain to be on the disk, beside the newest one; and a note
in an extended attribute, which like names is metadata to the store and comes to the disk in order, has the
last two. Directories' records are metadata as they are. Knows nothing of FUSE, nor of what a rename replaces.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import stat_result
from typing import Final

from kmsfs import backing, notes
from kmsfs.bindings import Bindings, Note
from kmsfs.directories import Directories
from kmsfs.errors import CorruptFileError, CorruptNameError, CorruptRecordError
from kmsfs.file import File
from kmsfs.files import Files
from kmsfs.inodes import Directory, Node
from kmsfs.records import DirectoryRecord

MOVED: Final = "moved"

_MAX_MOVED: Final = 1 << 16


class Places:
    """The places of one mount's files and directories.

    Args:
        bindings: of the volume; None where nothing is tied to its place.
        directories: places and names.
        files: open files.
    """

    def __init__(self, bindings: Bindings | None, directories: Directories, files: Files) -> None:
        self._bindings = bindings
        self._directories = directories
        self._files = files
        # What has moved in this mount: none of its new places is certain to be on the disk.
        self._moved: set[int] = set()

    def check(self, node: Node, file: File) -> None:
        """Refuse a file that is not where it belongs. One that has lost its last name was looked at before.

        Raises:
            CorruptFileError: somebody without the key put it there.
        """
        bindings, chunks = self._bindings, file.chunks
        if bindings is None or node.fd >= 0:
            return
        try:
            place = node.binding or self._directories.binding(node)
        except CorruptNameError as error:
            raise CorruptFileError(node.inode, None, f"{MOVED}: {error}") from error
        is_here = place in (chunks.binding, chunks.next_binding)
        if (is_here and not node.others) or not chunks.is_tied:
            return
        note = notes.read(bindings, chunks)
        if note.anywhere:
            return
        if node.others:
            # The kernel does not say by which of the names it is opened.
            raise CorruptFileError(node.inode, None, f"{MOVED}: nobody with the key gave it a second name")
        if not is_here and place not in note.places:
            raise CorruptFileError(node.inode, None, f"{MOVED}: it was not put here by anybody with the key")

    @contextmanager
    def moving(
        self, parent: Directory, stored: bytes, status: stat_result, old: bytes | None, new: bytes | None
    ) -> Iterator[None]:
        """Tie an inode to the place that the body moves it to; if the body raises, it is as it was.

        Args:
            parent: the directory that it is in.
            stored: its name there, on the store.
            status: of it.
            old: binding of the place that it has.
            new: binding of the place that it gets.

        Raises:
            KeyUnavailableError: the file's key cannot be had.
            OSError: from the store; EPERM for somebody else's file or directory, unless as root.
        """
        if self._bindings is None or old is None or new is None:
            yield
        elif stat.S_ISREG(status.st_mode):
            with self._moving_file(self._bindings, parent, stored, status.st_ino, (old, new)):
                yield
        elif stat.S_ISDIR(status.st_mode):
            with self._moving_directory(parent, stored, status, (old, new)):
                yield
        else:
            yield

    def untie(self, node: Node) -> None:
        """Let a file that is to get one more name be found under any.

        Raises:
            KeyUnavailableError, OSError: as `moving`.
        """
        if self._bindings is None or node.parent is None:
            return
        if not stat.S_ISREG(backing.stat(self._directories.dirfd(node.parent), node.stored).st_mode):
            return
        with self._loaded(node.parent, node.stored, node.inode) as file:
            place = self._directories.binding(node)
            if file is None or not _belongs(file, place, notes.read(self._bindings, file.chunks)):
                return
            # Without a header nobody could tell, after a crash, that it was given its names by us.
            file.settle()
            notes.write(self._bindings, file.chunks, Note(anywhere=True))
            file.untie()

    @contextmanager
    def _moving_file(
        self, bindings: Bindings, parent: Directory, stored: bytes, inode: int, places: tuple[bytes, bytes]
    ) -> Iterator[None]:
        with self._loaded(parent, stored, inode) as file:
            if file is None:
                yield
                return
            note = notes.read(bindings, file.chunks)
            if note.anywhere or not _belongs(file, places[0], note):
                yield
                return
            before = file.chunks.binding, file.chunks.next_binding
            self._tie(bindings, file, places)
            try:
                yield
            except BaseException:
                with suppress(OSError):
                    file.bind(*before)
                raise

    def _tie(self, bindings: Bindings, file: File, places: tuple[bytes, bytes]) -> None:
        """Tie a file to the place that it is about to get, too."""
        old, new = places
        if not file.chunks.has_header:
            # It is on the disk only after the name is; until then the file is empty, whatever its name.
            file.bind(new)
            return
        inode = file.chunks.inode
        is_first = inode not in self._moved and len(self._moved) < _MAX_MOVED
        is_noted = notes.write(bindings, file.chunks, Note(places))
        file.bind(old if is_first or not is_noted else file.chunks.binding, new)
        if is_first:
            self._moved.add(inode)

    @contextmanager
    def _moving_directory(
        self, parent: Directory, stored: bytes, status: stat_result, places: tuple[bytes, bytes]
    ) -> Iterator[None]:
        old, new = places
        fd = backing.open_directory(self._directories.dirfd(parent), stored)
        try:
            record = self._record(fd)
            if record is None or not record.is_tied_to(old):
                yield
                return
            self._rewrite(fd, status, record.tied(old, new))
            try:
                yield
            except BaseException:
                self._rewrite(fd, status, record)
                raise
            # It is tied to its new place either way.
            with suppress(OSError):
                self._rewrite(fd, status, record.tied(new))
        finally:
            os.close(fd)

    def _record(self, fd: int) -> DirectoryRecord | None:
        try:
            return self._directories.record_of(fd)
        except CorruptRecordError:
            return None

    def _rewrite(self, fd: int, status: stat_result, record: DirectoryRecord) -> None:
        """Replace a directory's record; its times stay."""
        try:
            self._directories.replace_record(fd, record)
        except PermissionError:
            with backing.widened(fd, stat.S_IRWXU):
                self._directories.replace_record(fd, record)
        backing.utimens_fd(fd, (status.st_atime_ns, status.st_mtime_ns))

    @contextmanager
    def _loaded(self, parent: Directory, stored: bytes, inode: int) -> Iterator[File | None]:
        """Yield a file, opened for the moment if it is not open, whatever its length; None if damaged."""
        file = self._files.get(inode)
        if file is not None:
            if not file.chunks.is_writable:
                file.chunks.replace_fd(self._open(parent, stored))
            yield file
            return
        file = self._files.load(self._open(parent, stored), inode)
        try:
            yield file
        finally:
            if file is not None:
                file.chunks.close()

    def _open(self, parent: Directory, stored: bytes) -> int:
        dirfd = self._directories.dirfd(parent)
        try:
            return backing.open_regular(dirfd, stored, writable=True)
        except PermissionError:
            path_fd = backing.open_path(dirfd, stored)
        try:
            with backing.widened(path_fd, stat.S_IRUSR | stat.S_IWUSR):
                return backing.reopen_regular(path_fd, writable=True)
        finally:
            os.close(path_fd)


def _belongs(file: File, place: bytes, note: Note) -> bool:
    """Say whether a file is tied to places, and this is one of them."""
    chunks = file.chunks
    return chunks.is_tied and (place in (chunks.binding, chunks.next_binding) or place in note.places)
