"""Owns extended attributes: `user.*` sealed, `security.*` passed through, `kmsfs.*` made up, others refused.

Knows nothing of FUSE. Raises OSError (ENODATA, EOPNOTSUPP, …), CorruptRecordError, NameTooLongError.
"""

import errno
import os
import stat
from typing import Final

from kmsfs import backing, encryption, header
from kmsfs.attributes import Attributes
from kmsfs.directories import Directories
from kmsfs.encryption import ATTRIBUTES, Encryption
from kmsfs.errors import KeyUnavailableError
from kmsfs.files import Files
from kmsfs.inodes import Directory, Inodes, Node
from kmsfs.openvolume import OpenVolume
from kmsfs.records import STORED_XATTR_PREFIX, XATTR_PREFIX

# ACLs come here only on a mount where they count.
_PASSED_THROUGH: Final = (b"security.", b"system.posix_acl_")
_CAPABILITY: Final = b"security.capability"


class Xattrs:
    """Extended attributes on one mount.

    Args:
        inodes: what the kernel knows.
        directories: a directory's id binds its attributes.
        files: open files.
        attributes: finds inodes on the store.
        volume: seals names and values, and knows the policies.
    """

    def __init__(
        self,
        inodes: Inodes,
        directories: Directories,
        files: Files,
        attributes: Attributes,
        volume: OpenVolume,
    ) -> None:
        self._inodes = inodes
        self._directories = directories
        self._files = files
        self._attributes = attributes
        self._records = volume.records
        self._volume = volume

    def is_known_absent(self, nodeid: int, name: bytes) -> bool:
        """Say whether `get` need not be called: the kernel asks for capabilities before every write(2)."""
        if name != _CAPABILITY:
            return False
        file = self._files.get(self._inodes[nodeid].inode)
        return file is not None and file.has_no_capability

    def get(self, nodeid: int, name: bytes) -> bytes:
        """getxattr(2)."""
        node = self._inodes[nodeid]
        if name.startswith(_PASSED_THROUGH):
            return self._get_plain(node, name)
        if name in ATTRIBUTES:
            return self._made_up(nodeid, name)
        _require_user(name)
        stored = self._records.seal_xattr_name(name)
        fd = self._attributes.place_fd(node)
        try:
            value = backing.getxattr(fd, stored)
            return self._records.open_xattr_value(self._owner_id(node, fd), name, value)
        finally:
            os.close(fd)

    def set(self, nodeid: int, name: bytes, value: bytes, flags: int = 0) -> None:
        """setxattr(2)."""
        node = self._inodes[nodeid]
        fd = self._attributes.place_fd(node)
        try:
            if name.startswith(_PASSED_THROUGH):
                backing.setxattr(fd, name, value, flags)
                file = self._files.get(node.inode)
                if file is not None:
                    file.has_no_capability = False
                return
            _require_user(name)
            sealed = self._records.seal_xattr_value(self._owner_id(node, fd), name, value)
            backing.setxattr(fd, self._records.seal_xattr_name(name), sealed, flags)
        finally:
            os.close(fd)

    def remove(self, nodeid: int, name: bytes) -> None:
        """removexattr(2)."""
        stored = name
        if not name.startswith(_PASSED_THROUGH):
            _require_user(name)
            stored = self._records.seal_xattr_name(name)
        fd = self._attributes.place_fd(self._inodes[nodeid])
        try:
            backing.removexattr(fd, stored)
        finally:
            os.close(fd)

    def list(self, nodeid: int) -> list[bytes]:
        """listxattr(2)."""
        with self._attributes.reference(self._inodes[nodeid]) as fd:
            stored = backing.listxattr(fd)
        plain = [name for name in stored if name.startswith(_PASSED_THROUGH)]
        sealed = [name for name in stored if name.startswith(STORED_XATTR_PREFIX)]
        return plain + [self._records.open_xattr_name(name) for name in sealed]

    def encryption(self, nodeid: int) -> Encryption:
        """Return how a file is encrypted, or how files that are made in a directory will be.

        Of a file whose key cannot be had it is what the header says, for which nothing vouches then.

        Raises:
            CorruptFileError, CorruptHeaderError, CorruptRecordError: it does not authenticate.
            KeyUnavailableError: there is no such policy.
            OSError: ENODATA, where it is neither file nor directory.
        """
        node, description = self._inodes[nodeid], self._volume.description
        if isinstance(node, Directory):
            return encryption.of_new_files(description, self._directories.policy(node))
        return encryption.of_file(description, header.parse(self._header(node)))

    def _made_up(self, nodeid: int, name: bytes) -> bytes:
        value = self.encryption(nodeid).attribute(name)
        if value is None:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return value

    def _header(self, node: Node) -> bytes:
        path_fd = self._attributes.place_fd(node)
        try:
            if not stat.S_ISREG(os.fstat(path_fd).st_mode):
                raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
            try:
                file = self._attributes.open_file(node, writable=False)
            except KeyUnavailableError:
                fd = backing.reopen_regular(path_fd, writable=False)
                try:
                    return os.pread(fd, header.HEADER_PEEK_SIZE, 0)
                finally:
                    os.close(fd)
            try:
                return file.chunks.clear.ljust(header.HEADER_UNIT, b"\0")
            finally:
                self._files.release(node.inode)
        finally:
            os.close(path_fd)

    def _get_plain(self, node: Node, name: bytes) -> bytes:
        try:
            with self._attributes.reference(node) as fd:
                return backing.getxattr(fd, name)
        except OSError as error:
            file = self._files.get(node.inode)
            if file is not None:
                file.has_no_capability = error.errno == errno.ENODATA and name == _CAPABILITY
            raise

    def _owner_id(self, node: Node, fd: int) -> bytes:
        """Return the id that a node's attribute values are bound to."""
        if isinstance(node, Directory):
            return self._directories.dir_id(node)
        file = self._files.get(node.inode)
        if file is not None:
            self._attributes.require_home(node, file)
            return file.chunks.file_id
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        opened = self._attributes.open_file(node, writable=False)
        try:
            return opened.chunks.file_id
        finally:
            self._files.release(node.inode)


def _require_user(name: bytes) -> None:
    if name in ATTRIBUTES:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    if not name.startswith(XATTR_PREFIX) or name == XATTR_PREFIX:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
