"""Owns rename: plain, NOREPLACE, EXCHANGE, over files and empty directories, of symlinks between directories.

Beside `tree`, which makes and removes names; knows nothing of FUSE.
"""

import errno
import os
import secrets
import stat
from dataclasses import dataclass
from os import stat_result
from typing import Final

from kmsfs import backing
from kmsfs.directories import TEMPORARY_PREFIX, Cleared, Directories
from kmsfs.inodes import Directory, Inodes
from kmsfs.records import RecordCipher
from kmsfs.tree import Tree

_FLAGS: Final = frozenset({0, backing.RENAME_NOREPLACE, backing.RENAME_EXCHANGE})


@dataclass(frozen=True, slots=True)
class _Target:
    """What stands at the new name, held by an O_PATH descriptor."""

    fd: int
    status: stat_result


class Renaming:
    """Renames on one mount.

    Args:
        inodes: what the kernel knows.
        directories: places and names.
        tree: told of what a rename replaces.
        records: reseals symlink targets.
    """

    def __init__(self, inodes: Inodes, directories: Directories, tree: Tree, records: RecordCipher) -> None:
        self._inodes = inodes
        self._directories = directories
        self._tree = tree
        self._records = records

    def rename(self, old_id: int, old_name: bytes, new_id: int, new_name: bytes, flags: int) -> None:
        """renameat2(2).

        Raises:
            OSError: ENOENT, EEXIST (NOREPLACE), ENOTEMPTY, EINVAL for flags that are not known.
        """
        if flags not in _FLAGS:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        old_parent, new_parent = self._inodes.directory(old_id), self._inodes.directory(new_id)
        old = self._directories.stored_name(old_parent, old_name).name
        new = self._directories.stored_name(new_parent, new_name)
        status = backing.stat(self._directories.dirfd(old_parent), old)
        if flags == backing.RENAME_EXCHANGE:
            self._exchange(old_parent, old, new_parent, new.name, status)
            return
        self._directories.add_sidecar(new_parent, new)
        target = self._target(new_parent, new.name)
        try:
            self._replace(target, old_parent, old, new_parent, new.name, status, flags)
        except BaseException:
            if target is not None:
                os.close(target.fd)
            raise
        if target is not None:
            # The new name is taken again at once, so its sidecar stays.
            self._tree.gone(new_parent, new.name, target.fd, target.status, keep_sidecar=True)
        self._follow(old_parent, old, new_parent, new.name, status)
        self._directories.drop_sidecar(old_parent, old)

    def _replace(
        self,
        target: _Target | None,
        old_parent: Directory,
        old: bytes,
        new_parent: Directory,
        new: bytes,
        status: stat_result,
        flags: int,
    ) -> None:
        """Move over what stands at the new name, if anything does."""
        if target is not None and flags == backing.RENAME_NOREPLACE:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        cleared = self._clear(target)
        try:
            self._move(old_parent, old, new_parent, new, status)
        except BaseException:
            if target is not None and cleared is not None:
                self._directories.restore(target.fd, cleared)
            raise

    def _target(self, parent: Directory, stored: bytes) -> _Target | None:
        try:
            fd = backing.open_path(self._directories.dirfd(parent), stored)
        except FileNotFoundError:
            return None
        return _Target(fd, os.fstat(fd))

    def _clear(self, target: _Target | None) -> Cleared | None:
        """Empty a target directory of its record; ENOTEMPTY if there is more in it."""
        if target is None or not stat.S_ISDIR(target.status.st_mode):
            return None
        return self._directories.clear(target.fd)

    def _move(
        self, old_parent: Directory, old: bytes, new_parent: Directory, new: bytes, status: stat_result
    ) -> None:
        if stat.S_ISLNK(status.st_mode) and old_parent is not new_parent:
            temporary = self._resealed(old_parent, old, new_parent, status)
            old_fd, new_fd = self._directories.dirfds(old_parent, new_parent)
            backing.rename(new_fd, temporary, new_fd, new)
            backing.unlink(old_fd, old)
            return
        old_fd, new_fd = self._directories.dirfds(old_parent, new_parent)
        backing.rename(old_fd, old, new_fd, new)

    def _exchange(
        self, old_parent: Directory, old: bytes, new_parent: Directory, new: bytes, status: stat_result
    ) -> None:
        other = backing.stat(self._directories.dirfd(new_parent), new)
        old_fd, new_fd = self._directories.dirfds(old_parent, new_parent)
        backing.rename(old_fd, old, new_fd, new, backing.RENAME_EXCHANGE)
        if old_parent is not new_parent:
            self._reseal_in_place(old_parent, new_parent, new, status)
            self._reseal_in_place(new_parent, old_parent, old, other)
        for found, parent, stored in ((status, new_parent, new), (other, old_parent, old)):
            node = self._inodes.known(found.st_ino)
            if node is not None:
                node.parent, node.stored = parent, stored

    def _reseal_in_place(
        self, sealed_for: Directory, parent: Directory, stored: bytes, status: stat_result
    ) -> None:
        """Seal a symlink that has come to `parent` from another directory for where it stands now."""
        if not stat.S_ISLNK(status.st_mode):
            return
        temporary = self._resealed(parent, stored, parent, status, sealed_for)
        dirfd = self._directories.dirfd(parent)
        backing.rename(dirfd, temporary, dirfd, stored)
        self._renumber(status.st_ino, parent, stored)

    def _resealed(
        self,
        old_parent: Directory,
        old: bytes,
        new_parent: Directory,
        status: stat_result,
        sealed_for: Directory | None = None,
    ) -> bytes:
        """Make a copy of a symlink in another directory, sealed for that one; return its temporary name.

        A symlink's target cannot be changed, so it becomes another inode; owner and times are kept.
        """
        source_id = self._directories.dir_id(sealed_for or old_parent)
        new_id = self._directories.dir_id(new_parent)
        old_fd, new_fd = self._directories.dirfds(old_parent, new_parent)
        target = self._records.open_target(source_id, backing.readlink(old_fd, old))
        temporary = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
        backing.symlink(new_fd, temporary, self._records.seal_target(new_id, target))
        fd = backing.open_path(new_fd, temporary)
        try:
            made = os.fstat(fd)
            if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
                backing.chown(fd, status.st_uid, status.st_gid)
        finally:
            os.close(fd)
        backing.utimens(new_fd, temporary, (status.st_atime_ns, status.st_mtime_ns))
        return temporary

    def _follow(
        self, old_parent: Directory, old: bytes, new_parent: Directory, new: bytes, status: stat_result
    ) -> None:
        """Note where a renamed inode stands now."""
        node = self._inodes.known(status.st_ino)
        if node is not None:
            node.leave(old_parent, old)
            node.place(new_parent, new)
            node.leave(old_parent, old)
        if stat.S_ISLNK(status.st_mode) and old_parent is not new_parent:
            self._renumber(status.st_ino, new_parent, new)

    def _renumber(self, nodeid: int, parent: Directory, stored: bytes) -> None:
        """Let the kernel's number for a symlink stand for the inode that it has become."""
        node = self._inodes.known(nodeid)
        if node is not None:
            node.inode = backing.stat(self._directories.dirfd(parent), stored).st_ino
