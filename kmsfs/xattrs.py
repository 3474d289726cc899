"""Owns extended attributes: `user.*` sealed, `security.*` passed through, everything else not supported.

Knows nothing of FUSE. Raises OSError (ENODATA, EOPNOTSUPP, …), CorruptRecordError, NameTooLongError.
"""

import errno
import os
import stat
from typing import Final

from kmsfs import backing
from kmsfs.attributes import Attributes
from kmsfs.directories import Directories
from kmsfs.files import Files
from kmsfs.inodes import Directory, Inodes, Node
from kmsfs.records import STORED_XATTR_PREFIX, XATTR_PREFIX, RecordCipher

_PASSED_THROUGH: Final = b"security."
_CAPABILITY: Final = b"security.capability"


class Xattrs:
    """Extended attributes on one mount.

    Args:
        inodes: what the kernel knows.
        directories: a directory's id binds its attributes.
        files: open files.
        attributes: finds inodes on the store.
        records: seals names and values.
    """

    def __init__(
        self,
        inodes: Inodes,
        directories: Directories,
        files: Files,
        attributes: Attributes,
        records: RecordCipher,
    ) -> None:
        self._inodes = inodes
        self._directories = directories
        self._files = files
        self._attributes = attributes
        self._records = records

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
        _require_user(name)
        stored = self._records.seal_xattr_name(name)
        fd = self._attributes.place_fd(node)
        try:
            value = backing.getxattr(fd, stored)
            return self._records.open_xattr_value(self._owner_id(node, fd), name, value)
        finally:
            os.close(fd)

    def set(self, nodeid: int, name: bytes, value: bytes) -> None:
        """setxattr(2)."""
        node = self._inodes[nodeid]
        fd = self._attributes.place_fd(node)
        try:
            if name.startswith(_PASSED_THROUGH):
                backing.setxattr(fd, name, value)
                file = self._files.get(node.inode)
                if file is not None:
                    file.has_no_capability = False
                return
            _require_user(name)
            sealed = self._records.seal_xattr_value(self._owner_id(node, fd), name, value)
            backing.setxattr(fd, self._records.seal_xattr_name(name), sealed)
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
        fd = self._attributes.place_fd(self._inodes[nodeid])
        try:
            stored = backing.listxattr(fd)
        finally:
            os.close(fd)
        plain = [name for name in stored if name.startswith(_PASSED_THROUGH)]
        sealed = [name for name in stored if name.startswith(STORED_XATTR_PREFIX)]
        return plain + [self._records.open_xattr_name(name) for name in sealed]

    def _get_plain(self, node: Node, name: bytes) -> bytes:
        file = self._files.get(node.inode)
        if file is None:
            fd = self._attributes.place_fd(node)
            try:
                return backing.getxattr(fd, name)
            finally:
                os.close(fd)
        try:
            return backing.getxattr(file.chunks.fd, name)
        except OSError as error:
            file.has_no_capability = error.errno == errno.ENODATA and name == _CAPABILITY
            raise

    def _owner_id(self, node: Node, fd: int) -> bytes:
        """Return the id that a node's attribute values are bound to."""
        if isinstance(node, Directory):
            return self._directories.dir_id(node)
        file = self._files.get(node.inode)
        if file is not None:
            return file.chunks.file_id
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        opened = self._attributes.open_file(node, writable=False)
        try:
            return opened.chunks.file_id
        finally:
            self._files.release(node.inode)


def _require_user(name: bytes) -> None:
    if not name.startswith(XATTR_PREFIX) or name == XATTR_PREFIX:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
