"""Owns the name space: lookup, create, mkdir, mknod, symlink, link, unlink, rmdir. Rename is `renaming`.

Synchronous and atomic per call. Knows nothing of FUSE's types or of content. Raises OSError with POSIX's
errno, and what `directories` raises.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from os import stat_result
from typing import Final, NamedTuple

from kmsfs import backing
from kmsfs.directories import TEMPORARY_PREFIX, Directories
from kmsfs.entries import Entry, Sizes
from kmsfs.errors import ReservedNameError
from kmsfs.file import File
from kmsfs.files import Files
from kmsfs.glancing import Glancing
from kmsfs.inodes import Directory, Inodes, Node
from kmsfs.names import StoredName
from kmsfs.places import Places
from kmsfs.records import RecordCipher

_KEPT_BY_CHOWN: Final = ~(stat.S_ISUID | stat.S_ISGID)


class Owner(NamedTuple):
    """Whose a new inode is: the effective uid and gid of the program that asks for it."""

    uid: int
    gid: int


class Tree:
    """The name space of one mount.

    Args:
        inodes: what the kernel knows.
        directories: places and names.
        files: open files.
        places: told of files that get one more name.
        records: seals symlink targets.
        sizes: of inodes, as programs see them.
        glancing: looks for names.
        device: st_dev of the store.
    """

    def __init__(
        self,
        inodes: Inodes,
        directories: Directories,
        files: Files,
        places: Places,
        records: RecordCipher,
        sizes: Sizes,
        glancing: Glancing,
        device: int,
    ) -> None:
        self._inodes = inodes
        self._directories = directories
        self._files = files
        self._places = places
        self._records = records
        self._sizes = sizes
        self._glancing = glancing
        self._device = device
        self._is_root = os.geteuid() == 0

    def lookup(self, parent_id: int, name: bytes, *, may_wait: bool = False) -> Entry:
        """Find an entry; counts as one reference to its inode.

        Args:
            parent_id: of which directory.
            name: plain.
            may_wait: the kernel asks, and can ask again.

        Raises:
            OSError: ENOENT, ENOTDIR, ENAMETOOLONG.
            WaitNeededError: `may_wait` is set and the store has to be asked first.
        """
        parent = self._inodes.directory(parent_id)
        try:
            stored = self._directories.stored_name(parent, name).name
        except ReservedNameError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        dirfd = self._directories.dirfd(parent)
        if may_wait:
            return self.found(parent, stored, self._glancing.stat(dirfd, parent.nodeid, stored))
        return self.found(parent, stored, backing.stat(dirfd, stored))

    def found(self, parent: Directory, stored: bytes, status: stat_result) -> Entry:
        """Count one reference to an inode just seen at a place, and describe it."""
        if status.st_dev != self._device:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        node = self._inodes.remember(status.st_ino, parent, stored, is_directory=stat.S_ISDIR(status.st_mode))
        return Entry(node.nodeid, status, self._sizes.plain(node, status))

    def create(
        self, parent_id: int, name: bytes, mode: int, owner: Owner, *, aside: bytes | None = None
    ) -> tuple[Entry, File]:
        """Create and open a regular file that must not exist; it counts as opened once.

        Args:
            parent_id: of which directory.
            name: plain.
            mode: permission bits.
            owner: whose it is to be.
            aside: a reserved name of the store under which to make it, until it is renamed to its own.

        Raises:
            OSError: EEXIST and all that open(2) says.
        """
        # Before anything is made: the KMS may have to be asked, and may refuse.
        new = self._files.new_file(self._directories.policy(self._inodes.directory(parent_id)))
        with self._place(parent_id, name) as (parent, stored):
            dirfd = self._directories.dirfd(parent)
            made = aside or stored.name
            fd = backing.create_file(dirfd, made, stat.S_IMODE(mode))
            try:
                # The kernel's clock may be ahead of a new inode's times: then a first write changes them.
                backing.futimens(fd)
                status = self._own(fd, dirfd, mode, owner)
                binding = self._directories.entry_binding(parent, name)
                file = self._files.create(fd, status, new, binding)
            except BaseException:
                os.close(fd)
                backing.unlink(dirfd, made)
                raise
            entry = self.found(parent, made, status)
            self._inodes[entry.nodeid].binding = binding or b""
            return entry, file

    def mknod(self, parent_id: int, name: bytes, mode: int, rdev: int, owner: Owner) -> Entry:
        """Create a FIFO, socket, device node or empty regular file."""
        if stat.S_ISREG(mode):
            entry, _ = self.create(parent_id, name, mode, owner)
            try:
                self._files.release(entry.status.st_ino)
            except OSError:
                self.unlink(parent_id, name)
                self._inodes.forget(entry.nodeid, 1)
                raise
            return entry
        with self._place(parent_id, name) as (parent, stored):
            dirfd = self._directories.dirfd(parent)
            backing.mknod(dirfd, stored.name, mode, rdev)
            return self.found(parent, stored.name, self._owned(dirfd, stored.name, mode, owner))

    def has_default_acl(self, nodeid: int) -> bool:
        """Say whether what is created in a directory gets its permissions from the directory's ACL."""
        return _has_default_acl(self._directories.dirfd(self._inodes.directory(nodeid)))

    def mkdir(self, parent_id: int, name: bytes, mode: int, owner: Owner) -> Entry:
        """Create a directory, with its record from the first moment that it is seen."""
        with self._place(parent_id, name) as (parent, stored):
            dirfd = self._directories.dirfd(parent)
            temporary = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
            fd = _made_directory(dirfd, temporary, mode)
            try:
                try:
                    binding = self._directories.entry_binding(parent, name)
                    self._directories.write_record(fd, self._directories.policy(parent), binding)
                    made = stat.S_IMODE(self._own(fd, dirfd, 0, owner).st_mode)
                    wanted = stat.S_IMODE(mode) | made & stat.S_ISGID
                    if made != wanted:
                        # The permissions that an inherited ACL leaves are right but for the owner's.
                        keeps = made & (mode | ~stat.S_IRWXU) if _has_default_acl(fd) else wanted
                        backing.chmod(fd, keeps)
                    backing.rename(dirfd, temporary, dirfd, stored.name, backing.RENAME_NOREPLACE)
                except BaseException:
                    self._directories.clear(fd)
                    backing.rmdir(dirfd, temporary)
                    raise
                return self.found(parent, stored.name, os.fstat(fd))
            finally:
                os.close(fd)

    def symlink(self, parent_id: int, name: bytes, target: bytes, owner: Owner) -> Entry:
        """Create a symlink to `target`.

        Raises:
            NameTooLongError: the target is too long once sealed.
        """
        with self._place(parent_id, name) as (parent, stored):
            dirfd = self._directories.dirfd(parent)
            sealed = self._records.seal_target(self._directories.dir_id(parent), target)
            backing.symlink(self._directories.dirfd(parent), stored.name, sealed)
            return self.found(parent, stored.name, self._owned(dirfd, stored.name, 0, owner))

    def readlink(self, nodeid: int) -> bytes:
        """Return a symlink's target.

        Raises:
            CorruptRecordError: it is not one that this volume sealed for this directory.
        """
        node = self._inodes[nodeid]
        parent = _parent(node)
        dir_id = self._directories.dir_id(parent)
        if node.fd >= 0:
            return self._records.open_target(dir_id, backing.readlink(node.fd, b""))
        sealed = backing.readlink(self._directories.dirfd(parent), node.stored)
        return self._records.open_target(dir_id, sealed)

    def link(self, nodeid: int, parent_id: int, name: bytes) -> Entry:
        """Give an inode one more name.

        Raises:
            OSError: EPERM for a symlink that would leave its directory: its target is sealed for that one.
        """
        node = self._inodes[nodeid]
        if node.fd >= 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        with self._place(parent_id, name) as (parent, stored):
            old_dirfd, dirfd = self._directories.dirfds(_parent(node), parent)
            if parent is not node.parent and stat.S_ISLNK(backing.stat(old_dirfd, node.stored).st_mode):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            self._places.untie(node)
            old_dirfd, dirfd = self._directories.dirfds(_parent(node), parent)
            backing.link(old_dirfd, node.stored, dirfd, stored.name)
            self._inodes.moves += 1
            return self.found(parent, stored.name, backing.stat(dirfd, stored.name))

    def unlink(self, parent_id: int, name: bytes) -> None:
        """Remove a name that is not a directory's; an open file lives on."""
        parent = self._inodes.directory(parent_id)
        stored = self._directories.stored_name(parent, name).name
        dirfd = self._directories.dirfd(parent)
        fd = backing.open_path(dirfd, stored)
        try:
            status = os.fstat(fd)
            backing.unlink(dirfd, stored)
        except BaseException:
            os.close(fd)
            raise
        self.gone(parent, stored, fd, status)

    def rmdir(self, parent_id: int, name: bytes) -> None:
        """Remove a directory that holds nothing but its record.

        Raises:
            OSError: ENOTEMPTY.
        """
        parent = self._inodes.directory(parent_id)
        stored = self._directories.stored_name(parent, name).name
        dirfd = self._directories.dirfd(parent)
        fd = backing.open_directory(dirfd, stored)
        try:
            status = os.fstat(fd)
            cleared = self._directories.clear(fd)
            try:
                backing.rmdir(dirfd, stored)
            except OSError:
                self._directories.restore(fd, cleared)
                raise
        except BaseException:
            os.close(fd)
            raise
        self.gone(parent, stored, fd, status)

    def gone(
        self, parent: Directory, stored: bytes, fd: int, status: stat_result, *, keep_sidecar: bool = False
    ) -> None:
        """Note that an inode has left a place. Takes over `fd`, an O_PATH descriptor of it."""
        node = self._inodes.known(status.st_ino)
        if node is not None and not node.leave(parent, stored):
            node.fd = fd
            if not node.lookups:
                self._inodes.forget(node.nodeid, 0)
        else:
            os.close(fd)
        if status.st_nlink == 1:
            self._files.drop(status.st_ino)
        if not keep_sidecar:
            self._directories.drop_sidecar(parent, stored)

    @contextmanager
    def _place(self, parent_id: int, name: bytes) -> Iterator[tuple[Directory, StoredName]]:
        """Yield where a new name will stand; the sidecar that it may need is there while it is made."""
        parent = self._inodes.directory(parent_id)
        stored = self._directories.stored_name(parent, name)
        self._directories.add_sidecar(parent, stored)
        try:
            yield parent, stored
        except BaseException:
            self._directories.drop_unused_sidecar(parent, stored)
            raise

    def _owned(self, dirfd: int, stored: bytes, mode: int, owner: Owner) -> stat_result:
        """Give a new inode that has no descriptor to its owner."""
        if not self._is_root:
            return backing.stat(dirfd, stored)
        fd = backing.open_path(dirfd, stored)
        try:
            return self._own(fd, dirfd, mode, owner)
        finally:
            os.close(fd)

    def _own(self, fd: int, dirfd: int, mode: int, owner: Owner) -> stat_result:
        """Give a new inode to its owner and return its status; a setgid directory gives it its own group.

        The process never changes its own credentials: they are the whole process's, not one request's.
        """
        status = os.fstat(fd)
        if not self._is_root or (status.st_uid, status.st_gid) == (owner.uid, owner.gid):
            return status
        setgid = os.fstat(dirfd).st_mode & stat.S_ISGID
        backing.chown(fd, owner.uid, -1 if setgid else owner.gid)
        if mode & ~_KEPT_BY_CHOWN:
            backing.chmod(fd, stat.S_IMODE(mode))
        return os.fstat(fd)


def _made_directory(dirfd: int, name: bytes, mode: int) -> int:
    """Make a directory that its owner can write to for now; return a descriptor of it.

    With its mode from the beginning, which an inherited ACL makes narrower; chmod(2) would not.
    """
    backing.mkdir(dirfd, name, stat.S_IMODE(mode) | stat.S_IRWXU)
    try:
        return backing.open_directory(dirfd, name)
    except OSError:
        backing.rmdir(dirfd, name)
        raise


def _has_default_acl(fd: int) -> bool:
    """Say whether a directory's permissions come from an ACL; it has inherited that as well."""
    try:
        return bool(backing.getxattr(fd, b"system.posix_acl_default"))
    except OSError:
        return False


def _parent(node: Node) -> Directory:
    if node.parent is None:
        raise AssertionError("the root directory has no name")
    return node.parent
