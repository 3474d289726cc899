"""A FUSE filesystem that passes everything through to a directory, each operation after a delay.

    python -P bench/slowserver.py DIRECTORY MOUNTPOINT

Requests wait side by side, as on a network. The kernel keeps names and attributes for a second, and contents
until a file is opened again, as it would of a store that others write to as well. For the benchmark only: it
knows nothing of holes, locks or ACLs. Attributes of the root tell it how slow to be: see `slowstore`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyfuse3
import trio
from pyfuse3 import ROOT_INODE, EntryAttributes, FileInfo, FUSEError, RequestContext, StatvfsData

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyfuse3 import FileHandleT, FlagT, InodeT, ModeT, ReaddirToken, SetattrFields

CACHE_SECONDS = 1.0
DELAY = b"user.bench.delay-ms"
# How long the next request of a kind is to take, and how many have been so slow.
SLOW_NEXT = {b"user.bench.slow-next-read-ms": "read", b"user.bench.slow-next-lookup-ms": "lookup"}
SLOW_COUNTS = {b"user.bench.slow-reads": "read", b"user.bench.slow-lookups": "lookup"}

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_EMPTY_PATH = 0x1000
_STATFS = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail")


@dataclass(slots=True)
class Node:
    """An inode that the kernel knows: an O_PATH descriptor of it, and how often the kernel was told."""

    fd: int
    lookups: int


class SlowOperations(pyfuse3.Operations):
    """Requests on the slow store.

    Args:
        root_fd: O_PATH descriptor of the directory that is passed through.
    """

    supports_dot_lookup = False

    def __init__(self, root_fd: int) -> None:
        super().__init__()
        self._nodes: dict[int, Node] = {ROOT_INODE: Node(root_fd, 1)}
        self._listings: dict[int, tuple[int, list[bytes]]] = {}
        self._next_listing = 1
        self._delay_seconds = 0.0
        self._next_seconds = dict.fromkeys(SLOW_NEXT.values(), 0.0)
        self._slow_counts = dict.fromkeys(SLOW_COUNTS.values(), 0)
        self._hurry = trio.Event()

    async def lookup(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:  # noqa: ARG002 - pyfuse3's signature
        """Find an entry; one that was asked to be slow is found slowly."""
        await self._wait()
        await self._linger("lookup")
        return self._found(self._fd(parent_inode), name)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Let go of inodes that the kernel no longer knows."""
        for inode, count in inode_list:
            node = self._nodes[inode]
            node.lookups -= count
            if not node.lookups:
                os.close(node.fd)
                del self._nodes[inode]

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:  # noqa: ARG002 - pyfuse3's signature
        """Describe an inode."""
        await self._wait()
        return self._attributes(inode)

    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,  # noqa: ARG002 - pyfuse3's signature
        ctx: RequestContext,  # noqa: ARG002 - pyfuse3's signature
    ) -> EntryAttributes:
        """Change attributes, each by its own call."""
        await self._wait()
        path = self._path(inode)
        with _errors():
            if fields.update_size:
                os.truncate(path, attr.st_size)
            if fields.update_uid or fields.update_gid:
                uid = attr.st_uid if fields.update_uid else -1
                _chown(self._fd(inode), uid, attr.st_gid if fields.update_gid else -1)
            if fields.update_mode:
                os.chmod(path, attr.st_mode & 0o7777)
            if fields.update_atime or fields.update_mtime:
                status = os.stat(self._fd(inode))
                atime = attr.st_atime_ns if fields.update_atime else status.st_atime_ns
                os.utime(path, ns=(atime, attr.st_mtime_ns if fields.update_mtime else status.st_mtime_ns))
        return self._attributes(inode)

    async def readlink(self, inode: InodeT, ctx: RequestContext) -> bytes:  # noqa: ARG002 - pyfuse3's signature
        """Return a symlink's target."""
        await self._wait()
        with _errors():
            return os.readlink(b"", dir_fd=self._fd(inode))

    async def symlink(
        self, parent_inode: InodeT, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        """Make a symlink."""
        await self._wait()
        parent = self._fd(parent_inode)
        with _errors():
            os.symlink(target, name, dir_fd=parent)
        return self._made(parent, name, ctx)

    async def mknod(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        """Make a node."""
        await self._wait()
        parent = self._fd(parent_inode)
        with _errors():
            os.mknod(name, mode, rdev, dir_fd=parent)
        return self._made(parent, name, ctx)

    async def mkdir(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        """Make a directory."""
        await self._wait()
        parent = self._fd(parent_inode)
        with _errors():
            os.mkdir(name, mode, dir_fd=parent)
        return self._made(parent, name, ctx)

    async def unlink(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:  # noqa: ARG002 - pyfuse3's signature
        """Remove a name."""
        await self._wait()
        with _errors():
            os.unlink(name, dir_fd=self._fd(parent_inode))

    async def rmdir(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:  # noqa: ARG002 - pyfuse3's signature
        """Remove an empty directory."""
        await self._wait()
        with _errors():
            os.rmdir(name, dir_fd=self._fd(parent_inode))

    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: bytes,
        parent_inode_new: InodeT,
        name_new: bytes,
        flags: FlagT,
        ctx: RequestContext,  # noqa: ARG002 - pyfuse3's signature
    ) -> None:
        """Rename, as renameat2(2)."""
        await self._wait()
        old, new = self._fd(parent_inode_old), self._fd(parent_inode_new)
        if _LIBC.renameat2(old, name_old, new, name_new, flags) != 0:
            raise FUSEError(ctypes.get_errno())

    async def link(
        self,
        inode: InodeT,
        new_parent_inode: InodeT,
        new_name: bytes,
        ctx: RequestContext,  # noqa: ARG002 - pyfuse3's signature
    ) -> EntryAttributes:
        """Give an inode one more name."""
        await self._wait()
        parent = self._fd(new_parent_inode)
        if _LIBC.linkat(self._fd(inode), b"", parent, new_name, _AT_EMPTY_PATH) != 0:
            raise FUSEError(ctypes.get_errno())
        return self._found(parent, new_name)

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:  # noqa: ARG002 - pyfuse3's signature
        """Open a file; the kernel drops what it had of its content."""
        await self._wait()
        with _errors():
            return _handle(os.open(self._path(inode), flags & ~os.O_NOFOLLOW))

    async def create(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        """Make and open a file."""
        await self._wait()
        parent = self._fd(parent_inode)
        with _errors():
            fd = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, mode, dir_fd=parent)
        return _handle(fd), self._made(parent, name, ctx)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        """Read; one that was asked to be slow is."""
        await self._wait()
        await self._linger("read")
        with _errors():
            return os.pread(fh, size, off)

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        """Write."""
        await self._wait()
        with _errors():
            return os.pwrite(fh, buf, off)

    async def flush(self, fh: FileHandleT) -> None:  # noqa: ARG002 - pyfuse3's signature
        """Decline: nothing is held back, so the kernel need not ask at each close."""
        raise FUSEError(errno.ENOSYS)

    async def release(self, fh: FileHandleT) -> None:
        """Close a file."""
        os.close(fh)

    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:  # noqa: FBT001 - pyfuse3 calls it so
        """Make a file durable."""
        await self._wait()
        with _errors():
            (os.fdatasync if datasync else os.fsync)(fh)

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:  # noqa: ARG002 - pyfuse3's signature
        """Open a directory, with the names that it has now."""
        await self._wait()
        with _errors():
            names = [os.fsencode(name) for name in os.listdir(self._path(inode))]
        handle, self._next_listing = self._next_listing, self._next_listing + 1
        self._listings[handle] = self._fd(inode), names
        return handle

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        """Answer with as many entries as fit."""
        await self._wait()
        parent, names = self._listings[fh]
        for position in range(start_id, len(names)):
            with suppress(FUSEError):
                attributes = self._found(parent, names[position])
                if not pyfuse3.readdir_reply(token, names[position], attributes, position + 1):
                    await self.forget([(attributes.st_ino, 1)])
                    return

    async def releasedir(self, fh: FileHandleT) -> None:
        """Close a directory."""
        del self._listings[fh]

    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:  # noqa: ARG002, FBT001 - pyfuse3's signature
        """Take the time that it would."""
        await self._wait()

    async def statfs(self, ctx: RequestContext) -> StatvfsData:  # noqa: ARG002 - pyfuse3's signature
        """Describe the store."""
        await self._wait()
        found, answer = os.statvfs(self._path(ROOT_INODE)), StatvfsData()
        for name in _STATFS:
            setattr(answer, name, getattr(found, name))
        answer.f_namemax = found.f_namemax
        return answer

    async def getxattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> bytes:  # noqa: ARG002 - pyfuse3's signature
        """Return an extended attribute."""
        if name in SLOW_COUNTS:
            return str(self._slow_counts[SLOW_COUNTS[name]]).encode()
        await self._wait()
        with _errors():
            return os.getxattr(self._path(inode), name)

    async def setxattr(self, inode: InodeT, name: bytes, value: bytes, ctx: RequestContext) -> None:  # noqa: ARG002 - pyfuse3's signature
        """Set an extended attribute, or how slow this store is."""
        if name == DELAY:
            self._delay_seconds = float(value) / 1000
        elif name in SLOW_NEXT:
            self._next_seconds[SLOW_NEXT[name]] = float(value) / 1000
            self._hurry.set()
            self._hurry = trio.Event()
        else:
            await self._wait()
            with _errors():
                os.setxattr(self._path(inode), name, value)

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[bytes]:  # noqa: ARG002 - pyfuse3's signature
        """List extended attributes."""
        await self._wait()
        with _errors():
            return [os.fsencode(name) for name in os.listxattr(self._path(inode))]

    async def removexattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> None:  # noqa: ARG002 - pyfuse3's signature
        """Remove an extended attribute."""
        await self._wait()
        with _errors():
            os.removexattr(self._path(inode), name)

    async def _wait(self) -> None:
        if self._delay_seconds:
            await trio.sleep(self._delay_seconds)

    async def _linger(self, kind: str) -> None:
        """Take as long as was asked of the next request of a kind, or until something else is asked."""
        seconds, self._next_seconds[kind] = self._next_seconds[kind], 0.0
        if seconds:
            self._slow_counts[kind] += 1
            with trio.move_on_after(seconds):
                await self._hurry.wait()

    def _fd(self, inode: int) -> int:
        return self._nodes[inode].fd

    def _path(self, inode: int) -> str:
        return f"/proc/self/fd/{self._fd(inode)}"

    def _made(self, parent: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """Give what was made to who asked for it."""
        with _errors():
            os.chown(name, ctx.uid, ctx.gid, dir_fd=parent, follow_symlinks=False)
        return self._found(parent, name)

    def _found(self, parent: int, name: bytes) -> EntryAttributes:
        """Tell the kernel of an entry once more."""
        with _errors():
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
        inode = os.fstat(fd).st_ino
        known = self._nodes.get(inode)
        if known is None:
            self._nodes[inode] = Node(fd, 1)
        else:
            os.close(fd)
            known.lookups += 1
        return self._attributes(inode)

    def _attributes(self, inode: int) -> EntryAttributes:
        status, attributes = os.fstat(self._fd(inode)), EntryAttributes()
        for name in (*(f"st_{part}" for part in ("mode", "nlink", "uid", "gid", "rdev", "size", "blksize")),
                     "st_blocks", "st_atime_ns", "st_mtime_ns", "st_ctime_ns"):  # fmt: skip
            setattr(attributes, name, getattr(status, name))
        attributes.st_ino = inode
        attributes.attr_timeout = attributes.entry_timeout = CACHE_SECONDS
        return attributes


@contextmanager
def _errors() -> Iterator[None]:
    """Hand on what the directory says."""
    try:
        yield
    except OSError as error:
        raise FUSEError(error.errno or errno.EIO) from None


def _handle(fd: int) -> FileInfo:
    return FileInfo(fh=fd, keep_cache=False)


def _chown(fd: int, uid: int, gid: int) -> None:
    """Change the owner of the inode behind an O_PATH descriptor, a symlink's own too; -1 keeps."""
    if _LIBC.fchownat(fd, b"", ctypes.c_uint32(uid), ctypes.c_uint32(gid), _AT_EMPTY_PATH) != 0:
        raise FUSEError(ctypes.get_errno())


def main() -> None:
    """Serve until unmounted."""
    directory, mountpoint = sys.argv[1:]
    options = {"fsname=slowstore", "subtype=slowstore", "default_permissions"}
    if os.geteuid() == 0:
        options |= {"allow_other", "dev", "suid"}
    os.umask(0)
    pyfuse3.init(SlowOperations(os.open(directory, os.O_PATH | os.O_DIRECTORY)), mountpoint, options)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=False)


if __name__ == "__main__":
    main()
