"""Owns what stat says of an inode through the mount: the store's own answer with the plaintext size in it."""

import stat
from os import stat_result
from typing import NamedTuple

from kmsfs import records
from kmsfs.errors import CorruptRecordError
from kmsfs.files import Files
from kmsfs.geometry import Geometry


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


def plain_size(status: stat_result, files: Files, geometry: Geometry) -> int:
    """Return st_size as seen through the mount."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        file = files.get(status.st_ino)
        return file.size if file is not None else geometry.plain_size(status.st_size)
    if kind == stat.S_IFLNK:
        try:
            return records.target_length(status.st_size)
        except CorruptRecordError:
            # stat(2) of a forged symlink works, as of a forged file; reading it is refused.
            return 0
    return status.st_size
