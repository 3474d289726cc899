"""Owns waiting until something is on storage: a directory's entries, or all that a filesystem holds."""

import ctypes
import os

from kmsfs import backing


def sync_directory(dirfd: int) -> None:
    """Make the entries of a directory durable, given any descriptor of it."""
    fd = backing.open_listing(dirfd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(fd: int) -> None:
    """syncfs(2), which Python's os module lacks; `fd` is open on anything in the filesystem, not with O_PATH.

    Raises:
        OSError: not all of it could be written.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
