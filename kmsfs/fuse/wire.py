"""Owns the bytes of the kernel's FUSE protocol: requests taken apart, answers put together. Pure.

Source: linux/fuse.h, protocol 7.31 to 7.38; everything is in the machine's own byte order. Knows nothing of
files or of who answers. Request bodies begin after the header; a body that is too short raises struct.error.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from os import stat_result, statvfs_result
from typing import Final, NamedTuple

MAX_WRITE_BYTES: Final = 1 << 20
# The kernel refuses to read into less than its largest write and its headers, which it puts below 4 KiB.
REQUEST_BYTES: Final = MAX_WRITE_BYTES + (1 << 16)
NAME_MAX: Final = 255
# The store is ours alone, under an exclusive lock: what the kernel has been told stays true.
CACHE_SECONDS: Final = 86_400

HEADER: Final = struct.Struct("=IIQQIIIHH")
HEADER_SIZE: Final = HEADER.size
REPLY: Final = struct.Struct("=IiQ")

_ENTRY: Final = struct.Struct("=QQQQIIQQQQQQIIIIIIIIII")
_ATTR: Final = struct.Struct("=QIIQQQQQQIIIIIIIIII")
_OPEN: Final = struct.Struct("=QII")
_DIRENT: Final = struct.Struct("=QQII")
_STATFS: Final = struct.Struct("=QQQQQIIII24x")
_NOTIFY_INVAL_ENTRY: Final = struct.Struct("=QII")
_NOTIFY_STORE: Final = struct.Struct("=QQII")

GETXATTR_IN: Final = struct.Struct("=I4x")
SETXATTR_IN: Final = struct.Struct("=III4x")
# The form that kernels before 5.13 know, without flags of the third kind.
SHORT_SETXATTR_IN: Final = struct.Struct("=II")
# Seconds are signed.
SETATTR_IN: Final = struct.Struct("=I4xQQQqqqIIIIIIII")
MKNOD_IN: Final = struct.Struct("=III4x")
MKDIR_IN: Final = struct.Struct("=II")
RENAME_IN: Final = struct.Struct("=Q")
RENAME2_IN: Final = struct.Struct("=QI4x")
LINK_IN: Final = struct.Struct("=Q")
OPEN_IN: Final = struct.Struct("=II")
CREATE_IN: Final = struct.Struct("=IIII")
HANDLE_IN: Final = struct.Struct("=Q")
READ_IN: Final = struct.Struct("=QQI")
WRITE_IN: Final = struct.Struct("=QQII16x")
FSYNC_IN: Final = struct.Struct("=QI4x")
FALLOCATE_IN: Final = struct.Struct("=QQQI4x")
FORGET_IN: Final = struct.Struct("=Q")
FORGET_ONE: Final = struct.Struct("=QQ")
COUNT_IN: Final = struct.Struct("=I4x")
SIZE_OUT: Final = struct.Struct("=II")

_NANO: Final = 1_000_000_000
_MASK32: Final = (1 << 32) - 1
_MASK64: Final = (1 << 64) - 1
_DIRENT_ALIGN: Final = 8
_KIND_SHIFT: Final = 12
_NOTIFY_INVAL_ENTRY_CODE: Final = 3
_NOTIFY_STORE_CODE: Final = 4


class Opcode(IntEnum):
    """What a request asks for; those that are missing here are answered with ENOSYS."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45


class Valid:
    """Bits of a SETATTR that say which of its values count."""

    MODE: Final = 1 << 0
    UID: Final = 1 << 1
    GID: Final = 1 << 2
    SIZE: Final = 1 << 3
    ATIME: Final = 1 << 4
    MTIME: Final = 1 << 5
    HANDLE: Final = 1 << 6
    ATIME_NOW: Final = 1 << 7
    MTIME_NOW: Final = 1 << 8
    CTIME: Final = 1 << 10
    KILL_SET_ID: Final = 1 << 11
    # What writing has made of the times: utimensat(2) comes without a handle.
    WRITTEN: Final = MTIME | HANDLE | CTIME


class Fallocate:
    """Bits of a FALLOCATE's mode (linux/falloc.h)."""

    KEEP_SIZE: Final = 1
    PUNCH_HOLE: Final = 2
    ZERO_RANGE: Final = 16


OPEN_KILL_SET_ID: Final = 1
WRITE_KILL_SET_ID: Final = 1 << 2
SETXATTR_KILL_SET_GID: Final = 1
FOPEN_KEEP_CACHE: Final = 1 << 1


class Request(NamedTuple):
    """The header of a request.

    Attributes:
        length: bytes of the whole request.
        opcode: an `Opcode`, or one that is not known here.
        unique: names it in the answer.
        nodeid: the inode that it is about.
        uid, gid, pid: who asks.
        extensions: 8-byte units at its end that nobody here asked for.
        padding: nothing.
    """

    length: int
    opcode: int
    unique: int
    nodeid: int
    uid: int
    gid: int
    pid: int
    extensions: int
    padding: int


def parse(message: memoryview) -> tuple[Request, memoryview]:
    """Return header and body of a request.

    Raises:
        ValueError: it is not as long as it says.
        struct.error: shorter than a header.
    """
    request = Request._make(HEADER.unpack_from(message))
    if request.length != len(message):
        raise ValueError(f"a request of {request.length} bytes came with {len(message)}")
    return request, message[HEADER_SIZE:]


def text(body: memoryview) -> bytes:
    """Return the one string that a body holds, NUL-terminated.

    Raises:
        ValueError: it has no end.
    """
    raw = bytes(body)
    return raw[: raw.index(b"\0")]


def texts(body: memoryview) -> tuple[bytes, bytes]:
    """Return the two strings that a body holds.

    Raises:
        ValueError: they are not two.
    """
    first, second, _ = bytes(body).split(b"\0", 2)
    return first, second


def _attributes(nodeid: int, status: stat_result, size: int) -> tuple[int, ...]:
    """Return the values of a struct fuse_attr."""
    atime, mtime, ctime = status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns
    return (
        nodeid, size, status.st_blocks,
        atime // _NANO & _MASK64, mtime // _NANO & _MASK64, ctime // _NANO & _MASK64,
        atime % _NANO, mtime % _NANO, ctime % _NANO,
        status.st_mode, status.st_nlink, status.st_uid, status.st_gid,
        status.st_rdev & _MASK32, status.st_blksize, 0,
    )  # fmt: skip


def entry(nodeid: int, status: stat_result, size: int) -> bytes:
    """Return struct fuse_entry_out: an inode found by a name, which the kernel may keep."""
    return _ENTRY.pack(nodeid, 0, CACHE_SECONDS, CACHE_SECONDS, 0, 0, *_attributes(nodeid, status, size))


# The answer for a name that is not there: the kernel keeps it as well.
ABSENT: Final = _ENTRY.pack(0, 0, CACHE_SECONDS, *(0,) * 19)


def attributes(nodeid: int, status: stat_result, size: int, seconds: int = CACHE_SECONDS) -> bytes:
    """Return struct fuse_attr_out, which the kernel may keep for some seconds."""
    return _ATTR.pack(seconds, 0, 0, *_attributes(nodeid, status, size))


def opened(handle: int, flags: int) -> bytes:
    """Return struct fuse_open_out; `flags` are those of FOPEN_KEEP_CACHE's kind."""
    return _OPEN.pack(handle, flags, 0)


def statfs(found: statvfs_result) -> bytes:
    """Return struct fuse_statfs_out of the store, whose names are shorter than the mount's."""
    return _STATFS.pack(
        found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree,
        found.f_bsize, NAME_MAX, found.f_frsize, 0,
    )  # fmt: skip


def directory_entry(inode: int, cookie: int, name: bytes, mode: int) -> bytes:
    """Return a struct fuse_dirent; `cookie` is where reading goes on after it."""
    head = _DIRENT.pack(inode, cookie, len(name), mode >> _KIND_SHIFT)
    return head + name + bytes(-len(name) % _DIRENT_ALIGN)


# What stands before an entry in a READDIRPLUS of which the kernel is to take no notice: `.` and `..`.
NO_ENTRY: Final = bytes(_ENTRY.size)


def invalidate_entry(parent: int, name: bytes) -> bytes:
    """Return the notice that the kernel should forget a name."""
    payload = _NOTIFY_INVAL_ENTRY.pack(parent, len(name), 0) + name + b"\0"
    return REPLY.pack(REPLY.size + len(payload), _NOTIFY_INVAL_ENTRY_CODE, 0) + payload


def store(nodeid: int, length: int) -> bytes:
    """Return the head of the notice that gives the kernel's cache the first `length` bytes of a file."""
    payload = _NOTIFY_STORE.pack(nodeid, 0, length, 0)
    return REPLY.pack(REPLY.size + len(payload) + length, _NOTIFY_STORE_CODE, 0) + payload


def joined(names: Iterable[bytes]) -> bytes:
    """Return names as LISTXATTR answers with them."""
    return b"".join(name + b"\0" for name in names)
