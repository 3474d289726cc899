"""Owns what stat says of an inode through the mount: the store's own answer with the plaintext size in it."""

import os
import stat
from os import stat_result
from typing import NamedTuple

from kmsfs import backing, header, records
from kmsfs.directories import Directories
from kmsfs.errors import CorruptHeaderError, CorruptRecordError
from kmsfs.files import Files
from kmsfs.geometry import Geometry, geometry_of
from kmsfs.inodes import Node
from kmsfs.volume import VolumeDescription


class Entry(NamedTuple):
    """An inode as a program on the mount sees it.

    Attributes:
        nodeid: the kernel's number for it.
        status: the store's answer; all but its st_size and st_ino hold.
        size: st_size as seen through the mount.
    """

    nodeid: int
    status: stat_result
    size: int


class Sizes:
    """The plaintext sizes of a volume's inodes.

    Where all policies have chunks of one size, it follows from the store's. Where they do not, a file's
    header says which it has; it is read at the first look at the file.

    Args:
        files: open files, which know their size.
        directories: find the others.
        description: of the volume.
    """

    def __init__(self, files: Files, directories: Directories, description: VolumeDescription) -> None:
        self._files = files
        self._directories = directories
        self._geometry: Geometry | None = None
        self._own_shift = 0
        self.adopt(description)

    def adopt(self, description: VolumeDescription) -> None:
        """Take up what a description says now: policies come in addition while it is in use."""
        self._own_shift = description.policies[0].chunk_shift
        is_one = all(policy.chunk_shift == self._own_shift for policy in description.policies)
        self._geometry = geometry_of(header.HEADER_UNIT, self._own_shift) if is_one else None

    def plain(self, node: Node, status: stat_result) -> int:
        """Return st_size as seen through the mount."""
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            file = self._files.get(status.st_ino)
            if file is not None:
                return file.size
            return (self._geometry or self._geometry_of(node)).plain_size(status.st_size)
        if kind == stat.S_IFLNK:
            try:
                return records.target_length(status.st_size)
            except CorruptRecordError:
                # stat(2) of a forged symlink works, as of a forged file; reading it is refused.
                return 0
        return status.st_size

    def _geometry_of(self, node: Node) -> Geometry:
        """Return the geometry of a file; one that cannot be read counts as having the volume's own."""
        if not node.chunk_shift:
            try:
                node.chunk_shift = header.parse(self._header(node)).chunk_shift
            except (CorruptHeaderError, OSError):
                return geometry_of(header.HEADER_UNIT, self._own_shift)
        return geometry_of(header.HEADER_UNIT, node.chunk_shift)

    def _header(self, node: Node) -> bytes:
        if node.fd >= 0:
            fd = backing.reopen_regular(node.fd, writable=False)
        elif node.parent is not None:
            fd = backing.open_regular(self._directories.dirfd(node.parent), node.stored, writable=False)
        else:
            raise AssertionError("the root directory is no file")
        try:
            return os.pread(fd, header.HEADER_PEEK_SIZE, 0)
        finally:
            os.close(fd)
