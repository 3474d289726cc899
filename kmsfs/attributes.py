"""Owns getattr, setattr and statfs: attributes by inode, open or not. Knows nothing of FUSE's types.

Raises OSError with POSIX's errno, and what opening a file raises where its size is set.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import stat_result
from typing import Final, NamedTuple

from kmsfs import backing
from kmsfs.directories import Directories
from kmsfs.entries import Entry, Sizes
from kmsfs.file import File
from kmsfs.files import Files
from kmsfs.inodes import Directory, Inodes, Node
from kmsfs.pace import Pace
from kmsfs.places import Places


class Changes(NamedTuple):
    """What setattr changes; None leaves a value as it is.

    Attributes:
        mode: permission bits.
        uid, gid: owner.
        size: bytes; regular files only.
        atime_ns, mtime_ns: nanoseconds since the epoch.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


_NOTHING: Final = Changes()


class Attributes:
    """Attributes of the inodes of one mount.

    Args:
        inodes: what the kernel knows.
        directories: places.
        files: open files.
        places: knows which files belong where they are.
        sizes: of inodes, as programs see them.
        pace: of the store.
    """

    def __init__(
        self, inodes: Inodes, directories: Directories, files: Files, places: Places, sizes: Sizes, pace: Pace
    ) -> None:
        self._inodes = inodes
        self._directories = directories
        self._files = files
        self._places = places
        self._sizes = sizes
        self._pace = pace

    def getattr(self, nodeid: int) -> Entry:
        """Describe an inode.

        Raises:
            OSError: ESTALE, if something else stands in its place.
        """
        node = self._inodes[nodeid]
        status = self._status(node)
        return Entry(nodeid, status, self._sizes.plain(node, status))

    def setattr(self, nodeid: int, changes: Changes, uid: int = 0, *, by_write: bool = False) -> Entry:
        """Change attributes: size, owner, mode, times in this order, so that each stays as it is set.

        Where nothing is to change, as by chown(2) with neither owner nor group, the change time still does,
        and set-user-ID and set-group-ID bits go as by any chown(2).

        Args:
            nodeid: whose.
            changes: what.
            uid: who asks; the kernel has checked everything but whose bits a chown(2) of nothing takes away.
            by_write: it is no chown(2), if the inode can be written to: anybody's write takes bits away.
        """
        node = self._inodes[nodeid]
        if changes.size is not None:
            self.truncate(node, changes.size)
        file = self._files.get(node.inode)
        touches = changes == _NOTHING
        if touches or changes.uid is not None or changes.gid is not None or changes.mode is not None:
            if touches and uid:
                self._require_no_set_id(node, uid, by_write=by_write)
            self._set_owner_and_mode(node, file, changes)
        if changes.atime_ns is not None or changes.mtime_ns is not None:
            if file is not None:
                file.set_times(changes.atime_ns, changes.mtime_ns)
            else:
                self._set_times(node, changes)
        elif file is not None:
            file.settle()
        status = self._status(node)
        return Entry(nodeid, status, self._sizes.plain(node, status))

    def note_times(self, nodeid: int, mtime_ns: int) -> Entry:
        """Take over what writing has made of a file's times, which the kernel has kept to itself so far.

        Described is the file as it was last seen. To look at its times on the store again would make the
        store, and with it all kernel clocks for files, count the next write's finer than by ticks; then each
        fsync(2) came with such a request.
        """
        node = self._inodes[nodeid]
        file = self._files.get(node.inode)
        if file is None:
            return self.setattr(nodeid, Changes(mtime_ns=mtime_ns))
        file.set_times(None, mtime_ns)
        status = file.status or self._status(node)
        return Entry(nodeid, status, self._sizes.plain(node, status))

    def open_file(self, node: Node, *, writable: bool) -> File:
        """Open the regular file behind a node; counts as one open.

        The store's file is opened for reading and writing wherever its mode allows it: the kernel's
        writeback reads around what a program only writes.

        Raises:
            CorruptFileError: it is damaged, or is not where it belongs.
            OSError: EACCES, EROFS, EIO where something else stands in its place.
        """
        file = self.open_anywhere(node, writable=writable)
        try:
            self.require_home(node, file)
        except BaseException:
            self._files.release(node.inode)
            raise
        return file

    def require_home(self, node: Node, file: File) -> None:
        """Refuse a file that is open, but not where it belongs.

        Raises:
            CorruptFileError: somebody without the key put it there.
        """
        self._places.check(node, file)

    def open_anywhere(self, node: Node, *, writable: bool) -> File:
        """Do as `open_file` with a file of which nobody can tell where it belongs."""
        file = self._files.acquire(node.inode)
        if file is None and (fd := self._files.take_waiting(node.inode)) is not None:
            file = self._files.open(fd, node.inode)
        if file is not None and writable and not file.chunks.is_writable:
            try:
                file.chunks.replace_fd(self._open_fd(node, writable=True))
            except BaseException:
                self._files.release(node.inode)
                raise
        if file is None:
            if node.fd < 0 and node.parent is not None:
                dirfd = self._directories.dirfd(node.parent)
                self._files.open_ahead(dirfd, node.stored, node.inode, writable=writable)
            asked = self._pace.now()
            fd = self._open_fd(node, writable=writable)
            self._pace.answered(asked)
            file = self._files.open(fd, node.inode)
        return file

    def truncate(self, node: Node, size: int) -> None:
        """Set the size of a regular file, open or not.

        Raises:
            OSError: EINVAL, EFBIG.
        """
        if size < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        file = self.open_file(node, writable=True)
        try:
            file.truncate(size)
        finally:
            self._files.release(node.inode)

    def clear_set_id(self, file: File) -> None:
        """Take away the bits that no longer hold once somebody who is not root has changed the content.

        A set-group-ID bit without the right to execute means something else, and stays.
        """
        _clear_set_id(file.chunks.fd)

    def clear_set_id_of(self, nodeid: int) -> None:
        """Do as `clear_set_id` for any inode, open or not."""
        with self.reference(self._inodes[nodeid]) as fd:
            _clear_set_id(fd)

    @contextmanager
    def reference(self, node: Node) -> Iterator[int]:
        """Yield a descriptor of a node for the time of one call: an open file's own, else an O_PATH one."""
        file = self._files.get(node.inode)
        if file is not None:
            yield file.chunks.fd
            return
        if node.fd >= 0:
            yield node.fd
            return
        fd = self.place_fd(node)
        try:
            yield fd
        finally:
            os.close(fd)

    def place_fd(self, node: Node) -> int:
        """Return a new O_PATH descriptor of a node, verified to be the inode that the kernel means."""
        if node.fd >= 0:
            return os.dup(node.fd)
        if node.parent is None:
            return backing.open_directory(self._directories.dirfd(self._inodes.root), b".")
        fd = backing.open_path(self._directories.dirfd(node.parent), node.stored)
        if os.fstat(fd).st_ino != node.inode:
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return fd

    def _open_fd(self, node: Node, *, writable: bool) -> int:
        if node.fd >= 0:
            return backing.reopen_regular(node.fd, writable=writable)
        if node.parent is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            return backing.open_regular(self._directories.dirfd(node.parent), node.stored, writable=writable)
        except PermissionError:
            return self._open_own(node, writable=writable)

    def _open_own(self, node: Node, *, writable: bool) -> int:
        """Open a file whose mode grants what the program asked for, but not the reading that we need as well.

        The kernel has checked the program's permission. An owner may widen the mode for a moment.
        """
        with self.reference(node) as fd:
            mode = stat.S_IMODE(os.fstat(fd).st_mode)
            backing.chmod(fd, mode | stat.S_IRUSR | stat.S_IWUSR)
            try:
                return backing.reopen_regular(fd, writable=writable)
            finally:
                backing.chmod(fd, mode)

    def _status(self, node: Node) -> stat_result:
        file = self._files.get(node.inode)
        if file is not None:
            file.status = status = os.fstat(file.chunks.fd)
            return status
        if node.fd >= 0:
            return os.fstat(node.fd)
        if node.parent is None:
            return os.fstat(self._directories.dirfd(self._inodes.root))
        if isinstance(node, Directory) and node.dirfd >= 0:
            return os.fstat(self._directories.dirfd(node))
        status = backing.stat(self._directories.dirfd(node.parent), node.stored)
        if status.st_ino != node.inode:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return status

    def _require_no_set_id(self, node: Node, uid: int, *, by_write: bool) -> None:
        """Raise EPERM if a stranger would take bits away."""
        status = self._status(node)
        if stat.S_ISDIR(status.st_mode) or (by_write and stat.S_ISREG(status.st_mode)):
            return
        if uid != status.st_uid and _without_set_id(status.st_mode) != status.st_mode:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def _set_owner_and_mode(self, node: Node, file: File | None, changes: Changes) -> None:
        uid = -1 if changes.uid is None else changes.uid
        gid = -1 if changes.gid is None else changes.gid
        if file is not None:
            backing.fchown_fchmod(file.chunks.fd, uid, gid, changes.mode)
            return
        with self.reference(node) as fd:
            if (uid, gid) != (-1, -1) or changes == _NOTHING:
                backing.chown(fd, uid, gid)
            if changes.mode is not None:
                backing.chmod(fd, stat.S_IMODE(changes.mode))

    def _set_times(self, node: Node, changes: Changes) -> None:
        """Set the times of what is not an open file."""
        status = self._status(node)
        times = (
            status.st_atime_ns if changes.atime_ns is None else changes.atime_ns,
            status.st_mtime_ns if changes.mtime_ns is None else changes.mtime_ns,
        )
        if node.fd >= 0:
            # Without a name and closed, it is about to go; nobody can look at its times.
            if status.st_nlink:
                backing.utimens_fd(node.fd, times)
        elif node.parent is None:
            backing.utimens_fd(self._directories.dirfd(self._inodes.root), times)
        else:
            backing.utimens(self._directories.dirfd(node.parent), node.stored, times)


def _clear_set_id(fd: int) -> None:
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    kept = _without_set_id(mode)
    if kept != mode:
        # Where the file is somebody else's, the store has taken them away by itself.
        with suppress(PermissionError):
            backing.chmod(fd, kept)


def _without_set_id(mode: int) -> int:
    return mode & ~(stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0))
