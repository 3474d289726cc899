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
from kmsfs.places import Places
from kmsfs.records import RecordCipher
from kmsfs.tree import Tree

_FLAGS: Final = frozenset({0, backing.RENAME_NOREPLACE, backing.RENAME_EXCHANGE})


@dataclass(frozen=True, slots=True)
class _Place:
    """A name in a directory.

    Attributes:
        parent: the directory.
        stored: the name on the store.
        binding: of the place; None where nothing is tied to its place.
    """

    parent: Directory
    stored: bytes
    binding: bytes | None


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
        places: ties what moves to its new place.
        records: reseals symlink targets.
    """

    def __init__(
        self, inodes: Inodes, directories: Directories, tree: Tree, places: Places, records: RecordCipher
    ) -> None:
        self._inodes = inodes
        self._directories = directories
        self._tree = tree
        self._places = places
        self._records = records

    def rename(self, old_id: int, old_name: bytes, new_id: int, new_name: bytes, flags: int) -> None:
        """renameat2(2).

        Raises:
            OSError: ENOENT, EEXIST (NOREPLACE), ENOTEMPTY, EINVAL for flags that are not known.
        """
        if flags not in _FLAGS:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._inodes.moves += 1
        old_parent, new_parent = self._inodes.directory(old_id), self._inodes.directory(new_id)
        old = self._directories.stored_name(old_parent, old_name).name
        new = self._directories.stored_name(new_parent, new_name)
        status = backing.stat(self._directories.dirfd(old_parent), old)
        there = _Place(new_parent, new.name, self._directories.entry_binding(new_parent, new_name))
        here = _Place(old_parent, old, self._directories.entry_binding(old_parent, old_name))
        if flags == backing.RENAME_EXCHANGE:
            self._exchange(here, there, status)
            return
        self._directories.add_sidecar(new_parent, new)
        try:
            self._rename(here, there, status, flags)
        except BaseException:
            self._directories.drop_unused_sidecar(new_parent, new)
            raise

    def _rename(self, old: _Place, new: _Place, status: stat_result, flags: int) -> None:
        target = self._target(new)
        if target is not None and target.status.st_ino == status.st_ino and not flags:
            # Two names of one inode, or one name: POSIX has nothing happen.
            os.close(target.fd)
            return
        try:
            former_fd = self._replace(target, old, new, status, flags)
        except BaseException:
            if target is not None:
                os.close(target.fd)
            raise
        if target is not None:
            # The new name is taken again at once, so its sidecar stays.
            self._tree.gone(new.parent, new.stored, target.fd, target.status, keep_sidecar=True)
        self._follow(old, new, status, former_fd)
        self._directories.drop_sidecar(old.parent, old.stored)

    def _replace(
        self, target: _Target | None, old: _Place, new: _Place, status: stat_result, flags: int
    ) -> int:
        """Move over what stands at the new name, if anything does; return what `_move` does."""
        if target is not None and flags == backing.RENAME_NOREPLACE:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        cleared = self._clear(target)
        try:
            with self._places.moving(old.parent, old.stored, status, old.binding, new.binding):
                return self._move(old, new, status)
        except BaseException:
            if target is not None and cleared is not None:
                self._directories.restore(target.fd, cleared)
            raise

    def _target(self, place: _Place) -> _Target | None:
        try:
            fd = backing.open_path(self._directories.dirfd(place.parent), place.stored)
        except FileNotFoundError:
            return None
        return _Target(fd, os.fstat(fd))

    def _clear(self, target: _Target | None) -> Cleared | None:
        """Empty a target directory of its record; ENOTEMPTY if there is more in it."""
        if target is None or not stat.S_ISDIR(target.status.st_mode):
            return None
        return self._directories.clear(target.fd)

    def _move(self, old: _Place, new: _Place, status: stat_result) -> int:
        """Rename; return a descriptor of the inode that a resealed symlink was before, or -1."""
        temporary = self._resealed(old, new.parent, status)
        old_fd, new_fd = self._directories.dirfds(old.parent, new.parent)
        if temporary is None:
            backing.rename(old_fd, old.stored, new_fd, new.stored)
            return -1
        former_fd = backing.open_path(old_fd, old.stored)
        try:
            backing.rename(new_fd, temporary, new_fd, new.stored)
        except BaseException:
            os.close(former_fd)
            backing.unlink(new_fd, temporary)
            raise
        backing.unlink(old_fd, old.stored)
        return former_fd

    def _exchange(self, old: _Place, new: _Place, status: stat_result) -> None:
        other = backing.stat(self._directories.dirfd(new.parent), new.stored)
        if other.st_ino == status.st_ino:
            return
        there = self._resealed(old, new.parent, status)
        back = None
        try:
            back = self._resealed(new, old.parent, other)
            with (
                self._places.moving(old.parent, old.stored, status, old.binding, new.binding),
                self._places.moving(new.parent, new.stored, other, new.binding, old.binding),
            ):
                old_fd, new_fd = self._directories.dirfds(old.parent, new.parent)
                backing.rename(old_fd, old.stored, new_fd, new.stored, backing.RENAME_EXCHANGE)
        except BaseException:
            for parent, temporary in ((new.parent, there), (old.parent, back)):
                if temporary is not None:
                    backing.unlink(self._directories.dirfd(parent), temporary)
            raise
        self._follow(old, new, status, self._take_place(new, there))
        self._follow(new, old, other, self._take_place(old, back))

    def _take_place(self, place: _Place, temporary: bytes | None) -> int:
        """Put a resealed symlink where the one that it is a copy of has come to; return as `_move` does."""
        if temporary is None:
            return -1
        dirfd = self._directories.dirfd(place.parent)
        former_fd = backing.open_path(dirfd, place.stored)
        backing.rename(dirfd, temporary, dirfd, place.stored)
        return former_fd

    def _resealed(self, old: _Place, new_parent: Directory, status: stat_result) -> bytes | None:
        """Make a copy of a symlink that is to move to another directory, sealed for that one.

        A symlink's target cannot be changed, so it becomes another inode; owner and times are kept. Returns
        its temporary name in `new_parent`, or None for what can move as it is.
        """
        if old.parent is new_parent or not stat.S_ISLNK(status.st_mode):
            return None
        old_id, new_id = self._directories.dir_id(old.parent), self._directories.dir_id(new_parent)
        old_fd, new_fd = self._directories.dirfds(old.parent, new_parent)
        target = self._records.open_target(old_id, backing.readlink(old_fd, old.stored))
        temporary = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
        backing.symlink(new_fd, temporary, self._records.seal_target(new_id, target))
        try:
            self._dress(new_fd, temporary, status)
        except BaseException:
            backing.unlink(new_fd, temporary)
            raise
        return temporary

    def _dress(self, dirfd: int, stored: bytes, status: stat_result) -> None:
        """Give a copy the owner and times of the original."""
        fd = backing.open_path(dirfd, stored)
        try:
            made = os.fstat(fd)
            if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
                backing.chown(fd, status.st_uid, status.st_gid)
        finally:
            os.close(fd)
        backing.utimens(dirfd, stored, (status.st_atime_ns, status.st_mtime_ns))

    def _follow(self, old: _Place, new: _Place, status: stat_result, former_fd: int) -> None:
        """Note where a renamed inode stands now. Takes over `former_fd`, which `_move` returned."""
        node = self._inodes.known(status.st_ino)
        if former_fd < 0:
            if node is not None:
                node.move(old.parent, old.stored, new.parent, new.stored)
        elif node is None:
            os.close(former_fd)
        elif status.st_nlink == 1:
            node.move(old.parent, old.stored, new.parent, new.stored)
            now = backing.stat(self._directories.dirfd(new.parent), new.stored)
            self._inodes.renumber(node, now.st_ino, former_fd)
        elif node.leave(old.parent, old.stored):
            # The number stays with the names that the inode still has.
            os.close(former_fd)
        else:
            node.fd = former_fd
