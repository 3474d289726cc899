"""The thin adapter between pyfuse3 and the filesystem core, and the one boundary from errors to errno.

Each method takes a request apart, calls one thing below and puts the answer together. Nothing here decides.
"""

import errno
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

import pyfuse3
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, RequestContext, SetattrFields, StatvfsData

from kmsfs.attributes import Changes
from kmsfs.core import Core
from kmsfs.entries import Entry
from kmsfs.errors import CorruptNameError, KmsfsError
from kmsfs.file import File
from kmsfs.listing import Listing
from kmsfs.openvolume import OpenVolume
from kmsfs.tree import Owner

_LOG: Final = logging.getLogger(__name__)
# The store is ours alone, under an exclusive lock: what the kernel has been told stays true.
_CACHE_SECONDS: Final = 86_400.0

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _answers(handler: Callable[_P, _R]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """Make a handler that never waits into what pyfuse3 awaits, with errors as `_to_errno` turns them."""

    @wraps(handler)
    async def answer(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return handler(*args, **kwargs)
        except FUSEError:
            raise
        except Exception as error:  # noqa: BLE001 - pyfuse3 survives nothing but FUSEError
            raise _to_errno(error, args[0], handler) from None

    return answer


def _answers_later(handler: Callable[_P, Coroutine[Any, Any, _R]]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """Do as `_answers` for a handler that may wait."""

    @wraps(handler)
    async def answer(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return await handler(*args, **kwargs)
        except FUSEError:
            raise
        except Exception as error:  # noqa: BLE001 - pyfuse3 survives nothing but FUSEError
            raise _to_errno(error, args[0], handler) from None

    return answer


def _to_errno(error: Exception, operations: Any, handler: Callable[..., Any]) -> FUSEError:  # noqa: ANN401
    """Turn whatever a handler raised into the errno that the program sees: the one such boundary."""
    if isinstance(error, OSError):
        return FUSEError(error.errno or errno.EIO)
    if isinstance(error, KmsfsError):
        operations.report(error)
        return FUSEError(error.errno)
    _LOG.error("%s failed in a way that nobody foresaw", handler.__name__, exc_info=error)
    operations.core.volume.counters.unforeseen_errors += 1
    return FUSEError(errno.EIO)


class Operations(pyfuse3.Operations):
    """FUSE requests on one mounted volume.

    Args:
        volume: the volume, its keys in hand.
    """

    supports_dot_lookup = False
    enable_writeback_cache = True
    enable_acl = False

    def __init__(self, volume: OpenVolume) -> None:
        super().__init__()
        self.core = Core(volume)
        self._files: dict[int, File] = {}
        self._listings: dict[int, Listing] = {}
        self._next_handle = 1
        self._absent = EntryAttributes()
        self._absent.st_ino = 0
        self._absent.entry_timeout = _CACHE_SECONDS

    def close(self) -> None:
        """Settle and close everything, when the mount ends."""
        self.core.close()

    def report(self, error: KmsfsError) -> None:
        """Count an error; log it the first time it is seen."""
        self.core.reports.report(error)

    # Names

    @_answers
    def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """Find an entry; an absent one is an answer too, which the kernel keeps."""
        try:
            entry = self.core.tree.lookup(parent_inode, name)
        except FileNotFoundError:
            return self._absent
        self._shrink()
        return _attributes(entry)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Take back references of the kernel's."""
        for inode, count in inode_list:
            self.core.inodes.forget(inode, count)

    @_answers
    def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        """Create a FIFO, socket, device node or empty file."""
        return _attributes(self.core.tree.mknod(parent_inode, name, mode, rdev, _owner(ctx)))

    @_answers
    def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        """Create a directory."""
        return _attributes(self.core.tree.mkdir(parent_inode, name, mode, _owner(ctx)))

    @_answers
    def symlink(self, parent_inode: int, name: bytes, target: bytes, ctx: RequestContext) -> EntryAttributes:
        """Create a symlink."""
        return _attributes(self.core.tree.symlink(parent_inode, name, target, _owner(ctx)))

    @_answers
    def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        """Create a hard link."""
        return _attributes(self.core.tree.link(inode, new_parent_inode, new_name))

    @_answers
    def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        """Remove a name."""
        self.core.tree.unlink(parent_inode, name)

    @_answers
    def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        """Remove an empty directory."""
        self.core.tree.rmdir(parent_inode, name)

    @_answers
    def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        """Rename, also with RENAME_NOREPLACE and RENAME_EXCHANGE."""
        self.core.renaming.rename(parent_inode_old, name_old, parent_inode_new, name_new, flags)

    @_answers
    def readlink(self, inode: int, ctx: RequestContext) -> bytes:
        """Return a symlink's target."""
        return self.core.tree.readlink(inode)

    # Attributes

    @_answers
    def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        """Describe an inode."""
        return _attributes(self.core.attributes.getattr(inode))

    @_answers
    def setattr(
        self, inode: int, attr: EntryAttributes, fields: SetattrFields, fh: int | None, ctx: RequestContext
    ) -> EntryAttributes:
        """Change attributes."""
        changes = Changes(
            mode=attr.st_mode if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            size=attr.st_size if fields.update_size else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
        )
        return _attributes(self.core.attributes.setattr(inode, changes))

    @_answers
    def statfs(self, ctx: RequestContext) -> StatvfsData:
        """Describe the store as the filesystem."""
        found, answer = self.core.statfs(), StatvfsData()
        for name in _STATFS_FIELDS:
            setattr(answer, name, getattr(found, name))
        answer.f_namemax = 255
        return answer

    @_answers
    def getxattr(self, inode: int, name: bytes, ctx: RequestContext) -> bytes:
        """Return an extended attribute; most questions are after one that is known not to be there."""
        if self.core.xattrs.is_known_absent(inode, name):
            raise FUSEError(errno.ENODATA)
        return self.core.xattrs.get(inode, name)

    @_answers
    def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        """Set an extended attribute."""
        self.core.xattrs.set(inode, name, value)

    @_answers
    def listxattr(self, inode: int, ctx: RequestContext) -> list[bytes]:
        """List extended attributes."""
        return self.core.xattrs.list(inode)

    @_answers
    def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        """Remove an extended attribute."""
        self.core.xattrs.remove(inode, name)

    # Files

    @_answers
    def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        """Create and open a file."""
        entry, file = self.core.create(parent_inode, name, mode, flags, _owner(ctx))
        return self._opened(file), _attributes(entry)

    @_answers
    def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        """Open a file; a small one that will be read is given to the kernel's cache at once."""
        file, content = self.core.open_with_content(inode, flags, ctx.uid)
        if content:
            # It saves the read that would follow. Without room for it, that will come.
            with suppress(OSError):
                pyfuse3.notify_store(inode, 0, cast("bytes", content))
        return self._opened(file)

    @_answers_later
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """Read; the answer lies in a shared buffer that pyfuse3 copies to the kernel before anything else."""
        # Any buffer will do, whatever pyfuse3's annotation says.
        return cast("bytes", await self.core.waiting.read(self._files[fh], off, size))

    @_answers
    def write(self, fh: int, off: int, buf: bytes) -> int:
        """Write."""
        return self._files[fh].write(off, buf)

    @_answers
    def flush(self, fh: int) -> None:
        """Decline: the kernel writes back on close by itself, and never asks again."""
        raise FUSEError(errno.ENOSYS)

    @_answers
    def release(self, fh: int) -> None:
        """Close one handle."""
        self.core.files.release(self._files.pop(fh).chunks.inode)

    @_answers_later
    async def fsync(self, fh: int, datasync: bool) -> None:  # noqa: FBT001 - pyfuse3 calls it so
        """Make a file durable."""
        await self.core.waiting.fsync(self._files[fh], data_only=datasync)

    # Directories

    @_answers
    def opendir(self, inode: int, ctx: RequestContext) -> int:
        """Open a directory."""
        handle = self._next_handle
        self._listings[handle] = self.core.listing(inode)
        self._next_handle += 1
        return handle

    @_answers
    def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Answer with as many entries as fit."""
        listing = self._listings[fh]
        for name, entry, cookie in listing.read(start_id):
            attributes = _dot(listing, name) if entry is None else _attributes(entry)
            if not pyfuse3.readdir_reply(token, name, attributes, cookie):
                if entry is not None:
                    self.core.inodes.forget(entry.nodeid, 1)
                break
        self._shrink()

    @_answers
    def releasedir(self, fh: int) -> None:
        """Close a directory."""
        del self._listings[fh]

    @_answers_later
    async def fsyncdir(self, fh: int, datasync: bool) -> None:  # noqa: FBT001 - pyfuse3 calls it so
        """Make the entries of a directory durable."""
        await self.core.waiting.fsync_directory(self.core.directories.dirfd(self._listings[fh].directory))

    def _opened(self, file: File) -> FileInfo:
        handle = self._next_handle
        self._files[handle] = file
        self._next_handle += 1
        return FileInfo(fh=handle, keep_cache=True)

    def _shrink(self) -> None:
        """Ask the kernel to forget what it has not used for long, so that memory stays bounded."""
        for node in self.core.inodes.excess():
            try:
                parent, name = self.core.place_of(node)
            except (CorruptNameError, OSError):
                continue
            pyfuse3.invalidate_entry_async(parent, name, ignore_enoent=True)


_STATFS_FIELDS: Final = (
    "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail",
)  # fmt: skip


def _owner(ctx: RequestContext) -> Owner:
    return Owner(ctx.uid, ctx.gid)


def _dot(listing: Listing, name: bytes) -> EntryAttributes:
    attributes = EntryAttributes()
    attributes.st_ino, attributes.st_mode = listing.dot_inode(name)
    return attributes


def _attributes(entry: Entry) -> EntryAttributes:
    nodeid, status, size = entry
    attributes = EntryAttributes()
    attributes.st_ino = nodeid
    attributes.entry_timeout = attributes.attr_timeout = _CACHE_SECONDS
    attributes.st_mode = status.st_mode
    attributes.st_nlink = status.st_nlink
    attributes.st_uid = status.st_uid
    attributes.st_gid = status.st_gid
    attributes.st_rdev = status.st_rdev
    attributes.st_size = size
    attributes.st_blksize = status.st_blksize
    attributes.st_blocks = status.st_blocks
    attributes.st_atime_ns = status.st_atime_ns
    attributes.st_mtime_ns = status.st_mtime_ns
    attributes.st_ctime_ns = status.st_ctime_ns
    return attributes
