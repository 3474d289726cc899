"""Owns copying out of a damaged volume what still authenticates, chunk by chunk, and telling what was lost.

What has lost its name keeps its name on the store. Changes nothing in the volume. Of the copy every entry is
made under a directory's descriptor, so nobody can lead it elsewhere meanwhile.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from kmsfs import backing, names, notes, paths
from kmsfs.bindings import Bindings
from kmsfs.core import Core
from kmsfs.errors import CorruptFileError, KmsfsError
from kmsfs.file import File
from kmsfs.loading import Loader

_NEW_DIRECTORY: Final = 0o700
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REFUSALS: Final = (KmsfsError, OSError)


class Loss(NamedTuple):
    """Something that the copy has not.

    Attributes:
        path: of the entry in the copy, relative to it.
        what: which part of it, and why.
    """

    path: bytes
    what: str


@dataclass(slots=True)
class Salvaged:
    """What has been copied so far; counted up in place.

    Attributes:
        directories, files, others: entries; a hard link counts as one of the others.
        content_bytes: plaintext.
        lost_bytes: plaintext that does not authenticate, in files that were copied; zeros in the copy.
    """

    directories: int = 0
    files: int = 0
    others: int = 0
    content_bytes: int = 0
    lost_bytes: int = 0


class _Source(NamedTuple):
    """An entry of the volume, and where its copy goes."""

    nodeid: int
    status: os.stat_result
    directory_fd: int
    name: bytes
    path: bytes


class _Level(NamedTuple):
    """A directory that is being copied: its entries still to come, and its copy."""

    source: _Source
    entries: Iterator[_Source | Loss]
    fd: int


def salvage(core: Core, path: bytes, destination: str, tally: Salvaged) -> Iterator[Loss]:
    """Copy an entry of a volume and all below it; yield what is lost as it is found.

    Args:
        core: of the volume.
        path: plain, from the volume's root; a directory's entries go into `destination` itself.
        destination: a directory that is empty or does not exist yet.
        tally: counted up.

    Raises:
        OSError: the copy cannot be written, or `path` cannot be reached.
    """
    # What somebody has moved is copied from where it lies, and told.
    with closing(Core(replace(core.volume, bindings=None))) as lenient, _opened(destination) as fd:
        entry = paths.find(lenient, path)
        copy = _Salvage(lenient, core.volume.bindings, tally, fd)
        if not stat.S_ISDIR(entry.status.st_mode):
            name = paths.components(path)[-1]
            yield from copy.leaf(_Source(entry.nodeid, entry.status, fd, name, name))
            return
        yield from copy.tree(_Source(entry.nodeid, entry.status, fd, b".", b""))


class _Salvage:
    """One salvage under way.

    Args:
        core: of the volume, on which nothing is tied to its place.
        bindings: of the volume; None where nothing is tied to its place anyway.
        tally: counted up.
        root_fd: of the copy.
    """

    def __init__(self, core: Core, bindings: Bindings | None, tally: Salvaged, root_fd: int) -> None:
        self._core = core
        self._bindings = bindings
        self._tally = tally
        self._root_fd = root_fd
        self._loader = Loader(core.volume.description, core.volume.keyring)
        self._first_path: dict[int, bytes] = {}
        self._is_root = os.geteuid() == 0

    def tree(self, top: _Source) -> Iterator[Loss]:
        """Copy what is in a directory, whose copy is there, and all below."""
        levels = [_Level(top, self._entries(top, top.directory_fd), os.dup(top.directory_fd))]
        try:
            while levels:
                level = levels[-1]
                found = next(level.entries, None)
                if found is None:
                    yield from self._dress(level.source, level.fd)
                    self._tally.directories += 1
                    os.close(levels.pop().fd)
                elif isinstance(found, Loss):
                    yield found
                elif stat.S_ISDIR(found.status.st_mode):
                    try:
                        os.mkdir(found.name, _NEW_DIRECTORY, dir_fd=found.directory_fd)
                        fd = os.open(found.name, _DIRECTORY, dir_fd=found.directory_fd)
                    except OSError as error:
                        yield Loss(found.path, f"all of it: {error}")
                    else:
                        levels.append(_Level(found, self._entries(found, fd), fd))
                        yield from self._directory_place(found)
                else:
                    yield from self.leaf(found)
        finally:
            for level in levels:
                os.close(level.fd)

    def leaf(self, source: _Source) -> Iterator[Loss]:
        """Copy what is no directory."""
        if source.status.st_nlink > 1:
            first = self._first_path.setdefault(source.status.st_ino, source.path)
            if first != source.path:
                with suppress(FileNotFoundError):
                    # The first one itself may be lost, and then this one is tried.
                    os.link(
                        first, source.name, src_dir_fd=self._root_fd, dst_dir_fd=source.directory_fd,
                        follow_symlinks=False,
                    )  # fmt: skip
                    self._tally.others += 1
                    return
        if stat.S_ISREG(source.status.st_mode):
            yield from self._file(source)
            return
        try:
            self._special(source)
        except _REFUSALS as error:
            yield Loss(source.path, f"all of it: {error}")
        else:
            self._tally.others += 1

    def _entries(self, above: _Source, fd: int) -> Iterator[_Source | Loss]:
        """Yield the entries of a directory; each is good until the next is asked for."""
        core = self._core
        node = core.inodes.directory(above.nodeid)
        try:
            stored_names = sorted(backing.list_names(core.directories.dirfd(node)))
        except OSError as error:
            yield Loss(above.path or b".", f"what is in it: {error.strerror}")
            return
        for stored in stored_names:
            if names.is_reserved(stored):
                continue
            path = os.path.join(above.path, stored)  # noqa: PTH118 - bytes
            try:
                entry = core.tree.found(node, stored, backing.stat(core.directories.dirfd(node), stored))
            except OSError as error:
                yield Loss(path, f"all of it: {error.strerror}")
                continue
            try:
                name = stored
                try:
                    name = core.directories.plain_name(node, stored)
                except _REFUSALS as error:
                    yield Loss(path, f"its name: {error}")
                path = os.path.join(above.path, name)  # noqa: PTH118 - bytes
                yield _Source(entry.nodeid, entry.status, fd, name, path)
            finally:
                core.inodes.forget(entry.nodeid, 1)

    def _special(self, source: _Source) -> None:
        """Copy a symlink, FIFO, socket or device node."""
        name, fd, status = source.name, source.directory_fd, source.status
        if stat.S_ISLNK(status.st_mode):
            os.symlink(self._core.tree.readlink(source.nodeid), name, dir_fd=fd)
        else:
            os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=fd)
        if self._is_root:
            os.chown(name, status.st_uid, status.st_gid, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=fd)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _file(self, source: _Source) -> Iterator[Loss]:
        try:
            file = self._open(source)
        except _REFUSALS as error:
            yield Loss(source.path, f"all of it: {error}")
            return
        try:
            fd = os.open(source.name, _NEW_FILE, 0o600, dir_fd=source.directory_fd)
            try:
                yield from self._file_place(source, file)
                yield from self._content(source, file, fd)
                yield from self._dress(source, fd)
            finally:
                os.close(fd)
        except FileExistsError as error:
            yield Loss(source.path, f"all of it: {error}")
        else:
            self._tally.files += 1
        finally:
            file.chunks.close()

    def _open(self, source: _Source) -> File:
        """Open a file by its header, whatever its length."""
        path_fd = self._core.attributes.place_fd(self._core.inodes[source.nodeid])
        try:
            fd = backing.reopen_regular(path_fd, writable=False)
        finally:
            os.close(path_fd)
        try:
            return File(self._loader.load(fd, source.status.st_ino))
        except BaseException:
            os.close(fd)
            raise

    def _file_place(self, source: _Source, file: File) -> Iterator[Loss]:
        if self._bindings is not None and file.chunks.is_tied:
            note = notes.read(self._bindings, file.chunks)
            if not note.anywhere:
                tied = {file.chunks.binding, file.chunks.next_binding, *note.places}
                yield from self._place(source, self._bindings, tied.__contains__)

    def _directory_place(self, source: _Source) -> Iterator[Loss]:
        if self._bindings is not None:
            directories = self._core.directories
            with suppress(*_REFUSALS):
                record = directories.record_of(directories.dirfd(self._core.inodes.directory(source.nodeid)))
                yield from self._place(source, self._bindings, record.is_tied_to)

    def _place(
        self, source: _Source, bindings: Bindings, is_tied_to: Callable[[bytes], bool]
    ) -> Iterator[Loss]:
        """Tell of what has a name and is not tied to it."""
        node, directories = self._core.inodes[source.nodeid], self._core.directories
        if node.parent is None:
            return
        with suppress(*_REFUSALS):
            name = directories.plain_name(node.parent, node.stored)
            if not is_tied_to(bindings.place(directories.dir_id(node.parent), name)):
                yield Loss(source.path, "its place: somebody without the key put it here")

    def _content(self, source: _Source, file: File, fd: int) -> Iterator[Loss]:
        """Copy chunk by chunk; what does not authenticate is a hole in the copy, and so is a hole."""
        chunk_size, shift = file.chunks.geometry.chunk_size, file.chunks.geometry.chunk_shift
        lost: list[int] = []
        for offset in range(0, file.size, chunk_size):
            index = offset >> shift
            try:
                content = b"" if file.chunks.is_hole(index) else file.read(offset, chunk_size)
            except (CorruptFileError, OSError):
                lost.append(index)
                self._tally.lost_bytes += min(chunk_size, file.size - offset)
                continue
            if content:
                backing.pwrite_all(fd, [content], offset)
                self._tally.content_bytes += len(content)
        os.ftruncate(fd, file.size)
        for first, last in _runs(lost):
            end = min((last + 1) << shift, file.size)
            yield Loss(source.path, f"bytes {first << shift} to {end - 1} do not authenticate")

    def _dress(self, source: _Source, fd: int) -> Iterator[Loss]:
        """Give a copy its owner (as root), and then what a new owner undoes: attributes, mode, times."""
        xattrs, status = self._core.xattrs, source.status
        if self._is_root:
            os.fchown(fd, status.st_uid, status.st_gid)
        try:
            for name in xattrs.list(source.nodeid):
                os.setxattr(fd, name, xattrs.get(source.nodeid, name))
        except _REFUSALS as error:
            yield Loss(source.path or b".", f"extended attributes: {error}")
        # What runs as its owner must not come to run as another one.
        mode = stat.S_IMODE(status.st_mode)
        os.fchmod(fd, mode if self._is_root else mode & ~(stat.S_ISUID | stat.S_ISGID))
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _runs(indices: list[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of consecutive numbers."""
    first = last = -1
    for index in indices:
        if first < 0:
            first = index
        elif index != last + 1:
            yield first, last
            first = index
        last = index
    if first >= 0:
        yield first, last


@contextmanager
def _opened(destination: str) -> Iterator[int]:
    """Open the directory of the copy, made if need be."""
    with suppress(FileExistsError):
        os.mkdir(destination, _NEW_DIRECTORY)  # noqa: PTH102 - any bytes
    fd = os.open(destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.listdir(fd):  # noqa: PTH208 - only whether there are any
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), destination)
        yield fd
    finally:
        os.close(fd)
