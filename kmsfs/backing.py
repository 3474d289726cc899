"""The only module that makes syscalls on the ciphertext directory.

Descriptor-relative throughout: a name is always one component under a directory descriptor, never a joined
path, and no symlink on the backing store is ever followed. Knows nothing of encryption; raises OSError.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_NOFOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_TMPFS_MAGIC: Final = 0x01021994
_RAMFS_MAGIC: Final = 0x858458F6
_STATFS_BYTES: Final = 256
_STATX: Final = struct.Struct("=I76xqI164x")
_STATX_BTIME: Final = 0x800
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_WRITABLE: Final = (os.O_RDWR | os.O_NOATIME, os.O_RDWR)
_READABLE: Final = (*_WRITABLE, os.O_RDONLY | os.O_NOATIME, os.O_RDONLY)
_TRY_LESS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY})


def stat(dirfd: int, name: bytes) -> os.stat_result:
    """fstatat(2) of one entry, not following a symlink."""
    return os.stat(name, dir_fd=dirfd, follow_symlinks=False)


def birth_ns(dirfd: int, name: bytes) -> int | None:
    """Return when an inode was made, in nanoseconds since the epoch; None where the store does not know.

    statx(2), which Python's os module lacks.
    """
    buffer = ctypes.create_string_buffer(_STATX.size)
    if _LIBC.statx(dirfd, name, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer) != 0:
        _raise(ctypes.get_errno())
    mask, seconds, nanoseconds = _STATX.unpack(buffer.raw)
    return seconds * 1_000_000_000 + nanoseconds if mask & _STATX_BTIME else None


def open_path(dirfd: int, name: bytes) -> int:
    """Open one entry of any type with O_PATH: a reference to the inode that survives rename and unlink."""
    return os.open(name, os.O_PATH | _NOFOLLOW, dir_fd=dirfd)


def open_directory(dirfd: int, name: bytes) -> int:
    """Open a directory for descriptor-relative calls; needs no read permission on it."""
    return os.open(name, os.O_PATH | os.O_DIRECTORY | _NOFOLLOW, dir_fd=dirfd)


def open_readable(dirfd: int, name: bytes) -> int:
    """Open a regular file for reading. O_NONBLOCK keeps a FIFO put in its place from blocking."""
    return os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=dirfd)


def open_regular(dirfd: int, name: bytes, *, writable: bool) -> int:
    """Open a file for reading, and for writing too wherever that is possible.

    O_NOATIME, where the kernel grants it, keeps reads of ciphertext from writing inodes.

    Raises:
        OSError: EACCES, EROFS where `writable` cannot be had.
    """
    return _open_best(name, dirfd, _NOFOLLOW | os.O_NONBLOCK, writable=writable)


def reopen_regular(fd: int, *, writable: bool) -> int:
    """Do as `open_regular` with the inode behind an O_PATH descriptor."""
    return _open_best(f"/proc/self/fd/{fd}", None, os.O_CLOEXEC | os.O_NONBLOCK, writable=writable)


def _open_best(path: bytes | str, dirfd: int | None, flags: int, *, writable: bool) -> int:
    attempts = _WRITABLE if writable else _READABLE
    for attempt in attempts[:-1]:
        try:
            return os.open(path, attempt | flags, dir_fd=dirfd)
        except OSError as error:
            if error.errno not in _TRY_LESS:
                raise
    return os.open(path, attempts[-1] | flags, dir_fd=dirfd)


def is_writable(fd: int) -> bool:
    """Say whether a descriptor was opened for writing."""
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


def create_file(dirfd: int, name: bytes, mode: int) -> int:
    """Create a regular file that must not exist, open for reading and writing."""
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | _NOFOLLOW, mode, dir_fd=dirfd)
    # Not with open: a store that gives files to another user would refuse only when the file is there.
    with suppress(PermissionError):
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NOATIME)
    return fd


def read_small(dirfd: int, name: bytes, limit: int) -> bytes:
    """Return the first `limit` bytes of a small file (a long name's sidecar)."""
    fd = open_readable(dirfd, name)
    try:
        return os.pread(fd, limit, 0)
    finally:
        os.close(fd)


def list_names(dirfd: int) -> list[bytes]:
    """Return the raw names in a directory, in the store's own order, without `.` and `..`."""
    fd = open_listing(dirfd)
    try:
        return [os.fsencode(entry) for entry in os.listdir(fd)]
    finally:
        os.close(fd)


def any_names(dirfd: int) -> Iterator[bytes]:
    """Yield raw names until the caller has seen enough: is a directory empty?"""
    for entry in any_entries(dirfd):
        yield os.fsencode(entry.name)


def any_entries(dirfd: int) -> Iterator[os.DirEntry[str]]:
    """Yield entries until the caller has seen enough."""
    fd = open_listing(dirfd)
    try:
        with os.scandir(fd) as entries:
            yield from entries
    finally:
        os.close(fd)


def rename(old_dirfd: int, old_name: bytes, new_dirfd: int, new_name: bytes, flags: int = 0) -> None:
    """renameat2(2)."""
    if not flags:
        os.rename(old_name, new_name, src_dir_fd=old_dirfd, dst_dir_fd=new_dirfd)
    elif _LIBC.renameat2(old_dirfd, old_name, new_dirfd, new_name, flags) != 0:
        _raise(ctypes.get_errno())


def link(old_dirfd: int, old_name: bytes, new_dirfd: int, new_name: bytes) -> None:
    """linkat(2), of a symlink itself where it is one."""
    os.link(old_name, new_name, src_dir_fd=old_dirfd, dst_dir_fd=new_dirfd, follow_symlinks=False)


def unlink(dirfd: int, name: bytes) -> None:
    """unlinkat(2)."""
    os.unlink(name, dir_fd=dirfd)


def rmdir(dirfd: int, name: bytes) -> None:
    """unlinkat(2) with AT_REMOVEDIR."""
    os.rmdir(name, dir_fd=dirfd)


def mkdir(dirfd: int, name: bytes, mode: int) -> None:
    """mkdirat(2)."""
    os.mkdir(name, mode, dir_fd=dirfd)


def mknod(dirfd: int, name: bytes, mode: int, rdev: int) -> None:
    """mknodat(2)."""
    os.mknod(name, mode, rdev, dir_fd=dirfd)


def symlink(dirfd: int, name: bytes, target: bytes) -> None:
    """symlinkat(2)."""
    os.symlink(target, name, dir_fd=dirfd)


def readlink(dirfd: int, name: bytes) -> bytes:
    """readlinkat(2); with an empty name, of the symlink behind an O_PATH descriptor."""
    return os.readlink(name, dir_fd=dirfd)


def chmod(fd: int, mode: int) -> None:
    """Change the mode of the inode behind any descriptor, O_PATH included."""
    os.chmod(f"/proc/self/fd/{fd}", mode)


@contextmanager
def widened(fd: int, bits: int) -> Iterator[None]:
    """Add permission bits to the mode of the inode behind any descriptor, until the body ends.

    Raises:
        PermissionError: it is somebody else's.
    """
    mode = os.fstat(fd).st_mode & 0o7777
    chmod(fd, mode | bits)
    try:
        yield
    finally:
        chmod(fd, mode)


def chown(fd: int, uid: int, gid: int) -> None:
    """Change the owner of the inode behind any descriptor, of a symlink itself where it is one; -1 keeps."""
    # AT_EMPTY_PATH: the only call that reaches an O_PATH descriptor of a symlink.
    if _LIBC.fchownat(fd, b"", ctypes.c_uint32(uid), ctypes.c_uint32(gid), 0x1000) != 0:
        _raise(ctypes.get_errno())


def fchown_fchmod(fd: int, uid: int, gid: int, mode: int | None) -> None:
    """Change owner (-1 keeps) and then mode (None keeps) of an open file, if only to what they are."""
    if (uid, gid) != (-1, -1) or mode is None:
        os.fchown(fd, uid, gid)
    if mode is not None:
        os.fchmod(fd, mode & 0o7777)


def utimens(dirfd: int, name: bytes, times_ns: tuple[int, int]) -> None:
    """Set atime and mtime in nanoseconds, of a symlink itself where it is one."""
    os.utime(name, ns=times_ns, dir_fd=dirfd, follow_symlinks=False)


def futimens(fd: int, times_ns: tuple[int, int] | None = None) -> None:
    """Set atime and mtime in nanoseconds of an open file; None for now."""
    if times_ns is None:
        os.utime(fd)
    else:
        os.utime(fd, ns=times_ns)


def utimens_fd(fd: int, times_ns: tuple[int, int]) -> None:
    """Set atime and mtime in nanoseconds through a descriptor, O_PATH ones of no symlink included."""
    os.utime(f"/proc/self/fd/{fd}", ns=times_ns)


def pread_into(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
    """preadv(2) until the buffers are full or the file ends; returns the bytes read."""
    count = os.preadv(fd, buffers, offset)
    wanted = sum(map(len, buffers))
    if count in (wanted, 0):
        return count
    return _read_rest(fd, buffers, offset, count)


def _read_rest(fd: int, buffers: Sequence[memoryview], offset: int, count: int) -> int:
    position = 0
    for buffer in buffers:
        while position + len(buffer) > count:
            more = os.preadv(fd, [buffer[count - position :]], offset + count)
            if not more:
                return count
            count += more
        position += len(buffer)
    return count


def pread_cached(fd: int, buffer: memoryview, offset: int) -> int:
    """preadv2(2) with RWF_NOWAIT: one read of what the page cache holds.

    Raises:
        BlockingIOError: nothing of it is cached.
        OSError: EOPNOTSUPP where the filesystem has no such reads.
    """
    return os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)


def will_need(fd: int, offset: int, length: int) -> None:
    """Start reading a range into the page cache, without waiting for it."""
    os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)


def warm(fd: int, offset: int, length: int) -> None:
    """Read a range for the page cache's sake only; for a worker thread."""
    os.pread(fd, length, offset)


class ShortWriteError(OSError):
    """A write failed after some of its bytes; `written` says how many."""

    written: int = 0


def pwrite_all(fd: int, buffers: Sequence[memoryview | bytes], offset: int) -> None:
    """pwritev(2) until everything is written.

    Raises:
        ShortWriteError: with the store's errno and the number of bytes that were written.
    """
    total = sum(map(len, buffers))
    written = 0
    try:
        written = os.pwritev(fd, buffers, offset)
        while written < total:
            more = os.pwrite(fd, memoryview(b"".join(buffers))[written:], offset + written)
            if not more:
                _raise(errno.ENOSPC)
            written += more
    except OSError as error:
        failure = ShortWriteError(error.errno, error.strerror)
        failure.written = written
        raise failure from error


def _raise(number: int) -> None:
    raise OSError(number, os.strerror(number))


def truncate(fd: int, size: int) -> None:
    """ftruncate(2)."""
    os.ftruncate(fd, size)


def fsync(fd: int, *, data_only: bool) -> None:
    """Make a file durable; for a worker thread unless `is_memory`."""
    if data_only:
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def fsync_and_close(fd: int) -> None:
    """fsync(2) a descriptor that nobody else needs; for a worker thread."""
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_directory(dirfd: int) -> None:
    """Make the entries of a directory durable, given any descriptor of it."""
    fd = open_listing(dirfd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_listing(dirfd: int) -> int:
    """Open a directory once more, for reading its entries or syncing them.

    As with files, O_NOATIME where the kernel grants it: listing is to change nothing on the store.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW
    try:
        return os.open(b".", flags | os.O_NOATIME, dir_fd=dirfd)
    except PermissionError:
        return os.open(b".", flags, dir_fd=dirfd)


def close(fd: int) -> None:
    """Close a descriptor."""
    os.close(fd)


def getxattr(fd: int, name: bytes) -> bytes:
    """Return an extended attribute of the inode behind any descriptor, O_PATH ones of no symlink included."""
    return os.getxattr(f"/proc/self/fd/{fd}", name)


def setxattr(fd: int, name: bytes, value: bytes, flags: int = 0) -> None:
    """Set an extended attribute, creating or replacing it unless XATTR_CREATE or XATTR_REPLACE say which."""
    os.setxattr(f"/proc/self/fd/{fd}", name, value, flags)


def removexattr(fd: int, name: bytes) -> None:
    """Remove an extended attribute."""
    os.removexattr(f"/proc/self/fd/{fd}", name)


def listxattr(fd: int) -> list[bytes]:
    """Return the names of all extended attributes that this process may see."""
    return [os.fsencode(name) for name in os.listxattr(f"/proc/self/fd/{fd}")]


def xattrs(fd: int) -> list[tuple[bytes, bytes]]:
    """Return names and values of all extended attributes; none where the store has none at all."""
    try:
        return [(name, getxattr(fd, name)) for name in listxattr(fd)]
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []


def sync_filesystem(fd: int) -> None:
    """syncfs(2), which Python's os module lacks; `fd` is open on anything in the filesystem, not with O_PATH.

    Raises:
        OSError: not all of it could be written.
    """
    if _LIBC.syncfs(fd) != 0:
        _raise(ctypes.get_errno())


def is_memory(fd: int) -> bool:
    """Say whether nothing is behind the page cache (tmpfs, ramfs): no read waits, no fsync works."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _LIBC.fstatfs(fd, buffer) != 0:
        return False
    return ctypes.c_long.from_buffer(buffer).value in {_TMPFS_MAGIC, _RAMFS_MAGIC}
