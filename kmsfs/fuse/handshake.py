"""Owns what is agreed with the kernel when a mount begins (FUSE_INIT). Pure.

Source: linux/fuse.h and fs/fuse/inode.c (process_init_reply).
"""

import errno
import os
import struct
from typing import Final, NamedTuple

from kmsfs.fuse import wire

# Linux 5.2: nothing below has to be done without.
_OLDEST_MINOR: Final = 31
_OWN_MINOR: Final = 38
_MAJOR: Final = 7
_INIT_IN: Final = struct.Struct("=IIII")
_INIT_OUT: Final = struct.Struct("=IIIIHHIIHHI28x")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MAX_BACKGROUND: Final = 64
_CONGESTION: Final = 48
_GRANULARITY_NANOSECONDS: Final = 1

_ASYNC_READ: Final = 1 << 0
_ATOMIC_O_TRUNC: Final = 1 << 3
_EXPORT_SUPPORT: Final = 1 << 4
_BIG_WRITES: Final = 1 << 5
_DONT_MASK: Final = 1 << 6
_DO_READDIRPLUS: Final = 1 << 13
_READDIRPLUS_AUTO: Final = 1 << 14
_ASYNC_DIO: Final = 1 << 15
_WRITEBACK_CACHE: Final = 1 << 16
_PARALLEL_DIROPS: Final = 1 << 18
_POSIX_ACL: Final = 1 << 20
_ABORT_ERROR: Final = 1 << 21
_MAX_PAGES: Final = 1 << 22
_CACHE_SYMLINKS: Final = 1 << 23
_EXPLICIT_INVAL_DATA: Final = 1 << 25
# A file's set-user-ID bit and capabilities are for us to take away (writes say when): saves a request each.
_HANDLE_KILLPRIV_V2: Final = 1 << 28
_SETXATTR_EXT: Final = 1 << 29

_ALWAYS: Final = (
    _ASYNC_READ | _ATOMIC_O_TRUNC | _EXPORT_SUPPORT | _BIG_WRITES | _DO_READDIRPLUS | _READDIRPLUS_AUTO
    | _ASYNC_DIO | _WRITEBACK_CACHE | _PARALLEL_DIROPS | _ABORT_ERROR | _MAX_PAGES | _CACHE_SYMLINKS
    | _EXPLICIT_INVAL_DATA | _HANDLE_KILLPRIV_V2 | _SETXATTR_EXT
)  # fmt: skip
# The caller's umask counts for nothing where a directory has a default ACL, which the store knows.
_WITH_ACLS: Final = _POSIX_ACL | _DONT_MASK


class Agreement(NamedTuple):
    """What a mount and the kernel agreed on.

    Attributes:
        answer: to the kernel's FUSE_INIT.
        acls: POSIX ACLs are kept, and each caller's umask is for us to apply.
        long_setxattr: SETXATTR comes in its longer form.
    """

    answer: bytes
    acls: bool
    long_setxattr: bool


def agree(body: memoryview, *, acls: bool) -> Agreement:
    """Return what is agreed, given the kernel's FUSE_INIT.

    Args:
        body: of the request.
        acls: POSIX ACLs are wanted.

    Raises:
        OSError: EPROTO, the kernel is too old.
        struct.error: no such request.
    """
    major, minor, read_ahead, offered = _INIT_IN.unpack_from(body)
    if major != _MAJOR or minor < _OLDEST_MINOR:
        raise OSError(errno.EPROTO, f"the kernel speaks FUSE {major}.{minor}; kmsfs needs 7.31 (Linux 5.2)")
    flags = offered & (_ALWAYS | (_WITH_ACLS if acls else 0))
    answer = _INIT_OUT.pack(
        _MAJOR, min(minor, _OWN_MINOR), read_ahead, flags, _MAX_BACKGROUND, _CONGESTION,
        wire.MAX_WRITE_BYTES, _GRANULARITY_NANOSECONDS, wire.MAX_WRITE_BYTES // _PAGE_BYTES, 0, 0,
    )  # fmt: skip
    return Agreement(answer, bool(flags & _POSIX_ACL), bool(flags & _SETXATTR_EXT))
