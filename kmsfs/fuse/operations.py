"""The thin adapter between the kernel's requests and the filesystem core: a table of handlers.

Each handler takes a request apart, calls one thing below and returns what to answer. Nothing here decides;
errors pass through, to be turned into errnos by `answering`.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kmsfs.attributes import Changes
from kmsfs.core import Core
from kmsfs.errors import CorruptNameError
from kmsfs.file import File
from kmsfs.fuse import wire
from kmsfs.fuse.channel import Channel
from kmsfs.fuse.handshake import Agreement
from kmsfs.fuse.wire import Fallocate, Opcode, Request, Valid
from kmsfs.tree import Owner
from kmsfs.waiting import Answer

if TYPE_CHECKING:
    from kmsfs.listing import Listing

_DONE: Final = b""
_DOTS: Final = (b".", b"..")
_ACLS: Final = b"system.posix_acl_"


class Operations:
    """FUSE requests on one mounted volume.

    Args:
        core: of the volume.
        channel: for what the kernel is told unasked.
        agreed: what was agreed with the kernel.

    Attributes:
        stale: parent and name of what the kernel should forget, to be told where nobody waits for it.
    """

    def __init__(self, core: Core, channel: Channel, agreed: Agreement) -> None:
        self.core = core
        self.stale: deque[tuple[int, bytes]] = deque()
        self._channel = channel
        self._acls = agreed.acls
        self._setxattr_in = wire.SETXATTR_IN if agreed.long_setxattr else wire.SHORT_SETXATTR_IN
        self._files: dict[int, File] = {}
        self._listings: dict[int, Listing] = {}
        self._next_handle = 1

    # Names

    def lookup(self, request: Request, body: memoryview) -> Answer:
        """Find an entry; an absent one is an answer too, which the kernel keeps."""
        name = wire.text(body)
        if name in _DOTS:
            return wire.entry(*self.core.revisit(request.nodeid, name))
        try:
            entry = self.core.tree.lookup(request.nodeid, name, may_wait=True)
        except FileNotFoundError:
            return wire.ABSENT
        self._shrink()
        return wire.entry(*entry)

    def forget(self, request: Request, body: memoryview) -> Answer:
        """Take back references of the kernel's."""
        self.core.inodes.forget(request.nodeid, *wire.FORGET_IN.unpack_from(body))
        return None

    def batch_forget(self, request: Request, body: memoryview) -> Answer:
        """Take back references to many inodes."""
        (count,) = wire.COUNT_IN.unpack_from(body)
        end = wire.COUNT_IN.size + count * wire.FORGET_ONE.size
        for nodeid, references in wire.FORGET_ONE.iter_unpack(body[wire.COUNT_IN.size : end]):
            self.core.inodes.forget(nodeid, references)
        return None

    def mknod(self, request: Request, body: memoryview) -> Answer:
        """Create a FIFO, socket, device node or empty file."""
        mode, rdev, umask = wire.MKNOD_IN.unpack_from(body)
        name = wire.text(body[wire.MKNOD_IN.size :])
        mode = self._masked(request.nodeid, mode, umask)
        return wire.entry(*self.core.tree.mknod(request.nodeid, name, mode, rdev, _owner(request)))

    def mkdir(self, request: Request, body: memoryview) -> Answer:
        """Create a directory."""
        mode, umask = wire.MKDIR_IN.unpack_from(body)
        name = wire.text(body[wire.MKDIR_IN.size :])
        mode = self._masked(request.nodeid, mode, umask)
        return wire.entry(*self.core.tree.mkdir(request.nodeid, name, mode, _owner(request)))

    def symlink(self, request: Request, body: memoryview) -> Answer:
        """Create a symlink."""
        name, target = wire.texts(body)
        return wire.entry(*self.core.tree.symlink(request.nodeid, name, target, _owner(request)))

    def link(self, request: Request, body: memoryview) -> Answer:
        """Create a hard link."""
        (inode,) = wire.LINK_IN.unpack_from(body)
        name = wire.text(body[wire.LINK_IN.size :])
        return wire.entry(*self.core.tree.link(inode, request.nodeid, name))

    def unlink(self, request: Request, body: memoryview) -> Answer:
        """Remove a name."""
        self.core.tree.unlink(request.nodeid, wire.text(body))
        return _DONE

    def rmdir(self, request: Request, body: memoryview) -> Answer:
        """Remove an empty directory."""
        self.core.tree.rmdir(request.nodeid, wire.text(body))
        return _DONE

    def rename(self, request: Request, body: memoryview) -> Answer:
        """Rename."""
        (to_parent,) = wire.RENAME_IN.unpack_from(body)
        name, to_name = wire.texts(body[wire.RENAME_IN.size :])
        self.core.renaming.rename(request.nodeid, name, to_parent, to_name, 0)
        return _DONE

    def rename2(self, request: Request, body: memoryview) -> Answer:
        """Rename with RENAME_NOREPLACE or RENAME_EXCHANGE."""
        to_parent, flags = wire.RENAME2_IN.unpack_from(body)
        name, to_name = wire.texts(body[wire.RENAME2_IN.size :])
        self.core.renaming.rename(request.nodeid, name, to_parent, to_name, flags)
        return _DONE

    def readlink(self, request: Request, body: memoryview) -> Answer:
        """Return a symlink's target."""
        return self.core.tree.readlink(request.nodeid)

    # Attributes

    def getattr(self, request: Request, body: memoryview) -> Answer:
        """Describe an inode."""
        return wire.attributes(*self.core.attributes.getattr(request.nodeid))

    def setattr(self, request: Request, body: memoryview) -> Answer:
        """Change attributes."""
        (
            valid, _, size, _, atime, mtime, _, atime_nanos, mtime_nanos, _, mode, _, uid, gid, _,
        ) = wire.SETATTR_IN.unpack_from(body)  # fmt: skip
        if valid == Valid.WRITTEN:
            # It takes no notice of the answer.
            entry = self.core.attributes.note_times(request.nodeid, _moment(mtime, mtime_nanos))
            return wire.attributes(*entry, seconds=0)
        now = time.time_ns()
        changes = Changes(
            mode if valid & Valid.MODE else None,
            uid if valid & Valid.UID else None,
            gid if valid & Valid.GID else None,
            size if valid & Valid.SIZE else None,
            now if valid & Valid.ATIME_NOW else _moment(atime, atime_nanos) if valid & Valid.ATIME else None,
            now if valid & Valid.MTIME_NOW else _moment(mtime, mtime_nanos) if valid & Valid.MTIME else None,
        )
        if valid & Valid.KILL_SET_ID:
            self.core.attributes.clear_set_id_of(request.nodeid)
        # A chown(2) sets a file's change time too; what a write takes away by the way does not.
        by_write = not valid & Valid.CTIME
        entry = self.core.attributes.setattr(request.nodeid, changes, request.uid, by_write=by_write)
        return wire.attributes(*entry)

    def statfs(self, request: Request, body: memoryview) -> Answer:
        """Describe the store as the filesystem."""
        return wire.statfs(self.core.statfs())

    def getxattr(self, request: Request, body: memoryview) -> Answer:
        """Return an extended attribute; most questions are after one that is known not to be there."""
        (room,) = wire.GETXATTR_IN.unpack_from(body)
        name = wire.text(body[wire.GETXATTR_IN.size :])
        if self.core.xattrs.is_known_absent(request.nodeid, name):
            return errno.ENODATA
        self._require_kept(name)
        return _fitting(self.core.xattrs.get(request.nodeid, name), room)

    def listxattr(self, request: Request, body: memoryview) -> Answer:
        """List extended attributes."""
        (room,) = wire.GETXATTR_IN.unpack_from(body)
        names = self.core.xattrs.list(request.nodeid)
        return _fitting(wire.joined(name for name in names if self._keeps(name)), room)

    def setxattr(self, request: Request, body: memoryview) -> Answer:
        """Set an extended attribute."""
        size, flags, *more = self._setxattr_in.unpack_from(body)
        name, value = bytes(body[self._setxattr_in.size :]).split(b"\0", 1)
        self._require_kept(name)
        self.core.xattrs.set(request.nodeid, name, value[:size], flags)
        if more and more[0] & wire.SETXATTR_KILL_SET_GID:
            self.core.attributes.clear_set_id_of(request.nodeid)
        return _DONE

    def removexattr(self, request: Request, body: memoryview) -> Answer:
        """Remove an extended attribute."""
        name = wire.text(body)
        self._require_kept(name)
        self.core.xattrs.remove(request.nodeid, name)
        return _DONE

    # Files

    def create(self, request: Request, body: memoryview) -> Answer:
        """Create and open a file."""
        flags, mode, umask, _ = wire.CREATE_IN.unpack_from(body)
        name = wire.text(body[wire.CREATE_IN.size :])
        mode = self._masked(request.nodeid, mode, umask)
        entry, file = self.core.create(request.nodeid, name, mode, flags, _owner(request))
        return wire.entry(*entry) + wire.opened(self._handle(file), wire.FOPEN_KEEP_CACHE)

    def open(self, request: Request, body: memoryview) -> Answer:
        """Open a file; a small one that will be read is given to the kernel's cache at once."""
        flags, more = wire.OPEN_IN.unpack_from(body)
        kills = bool(more & wire.OPEN_KILL_SET_ID)
        file, content = self.core.open_with_content(request.nodeid, flags, clears_set_id=kills)
        if content:
            # It saves the read that would follow. Without room for it, that will come.
            with suppress(OSError):
                self._channel.notify(wire.store(request.nodeid, len(content)), content)
        return wire.opened(self._handle(file), wire.FOPEN_KEEP_CACHE)

    def read(self, request: Request, body: memoryview) -> Answer:
        """Read; the answer lies in a shared buffer, good until the next request."""
        handle, offset, size = wire.READ_IN.unpack_from(body)
        return self.core.waiting.read(self._files[handle], offset, size)

    def write(self, request: Request, body: memoryview) -> Answer:
        """Write."""
        handle, offset, size, flags = wire.WRITE_IN.unpack_from(body)
        file = self._files[handle]
        data = body[wire.WRITE_IN.size :]
        if len(data) != size:
            raise ValueError("a WRITE is not as long as it says")
        file.write(offset, data)
        if flags & wire.WRITE_KILL_SET_ID:
            self.core.attributes.clear_set_id(file)
        return wire.SIZE_OUT.pack(size, 0)

    def fallocate(self, request: Request, body: memoryview) -> Answer:
        """Take room, punch a hole, or write zeros; the kernel has written back what it held of a hole."""
        handle, offset, length, mode = wire.FALLOCATE_IN.unpack_from(body)
        file, keep_size = self._files[handle], bool(mode & Fallocate.KEEP_SIZE)
        kind = mode & ~Fallocate.KEEP_SIZE
        if kind & ~(Fallocate.PUNCH_HOLE | Fallocate.ZERO_RANGE):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        if kind:
            file.zero(offset, length)
        if kind != Fallocate.PUNCH_HOLE:
            file.allocate(offset, length, keep_size=keep_size)
        return _DONE

    def release(self, request: Request, body: memoryview) -> Answer:
        """Close one handle."""
        (handle,) = wire.HANDLE_IN.unpack_from(body)
        self.core.files.release(self._files.pop(handle).chunks.inode)
        return _DONE

    def fsync(self, request: Request, body: memoryview) -> Answer:
        """Make a file durable."""
        handle, flags = wire.FSYNC_IN.unpack_from(body)
        return self.core.waiting.fsync(self._files[handle], data_only=bool(flags & 1))

    # Directories

    def opendir(self, request: Request, body: memoryview) -> Answer:
        """Open a directory."""
        listing = self.core.listing(request.nodeid)
        handle = self._next_handle
        self._listings[handle] = listing
        self._next_handle += 1
        # The kernel keeps no listing: it would go on in the middle of one that this handle has not begun.
        return wire.opened(handle, 0)

    def readdir(self, request: Request, body: memoryview) -> Answer:
        """Answer with as many names as fit."""
        return self._read_directory(body, with_entries=False)

    def readdirplus(self, request: Request, body: memoryview) -> Answer:
        """Answer with as many names as fit, and with what stands there."""
        return self._read_directory(body, with_entries=True)

    def releasedir(self, request: Request, body: memoryview) -> Answer:
        """Close a directory."""
        (handle,) = wire.HANDLE_IN.unpack_from(body)
        del self._listings[handle]
        return _DONE

    def fsyncdir(self, request: Request, body: memoryview) -> Answer:
        """Make the entries of a directory durable."""
        handle, _ = wire.FSYNC_IN.unpack_from(body)
        return self.core.waiting.fsync_directory(
            self.core.directories.dirfd(self._listings[handle].directory)
        )

    def _handle(self, file: File) -> int:
        handle = self._next_handle
        self._files[handle] = file
        self._next_handle += 1
        return handle

    def _read_directory(self, body: memoryview, *, with_entries: bool) -> bytes:
        handle, offset, room = wire.READ_IN.unpack_from(body)
        listing, inodes = self._listings[handle], self.core.inodes
        parts: list[bytes] = []
        for name, entry, cookie in listing.read(offset):
            if entry is None:
                nodeid, mode = listing.dot_inode(name)
                head = wire.NO_ENTRY if with_entries else b""
            else:
                nodeid, mode = entry.nodeid, entry.status.st_mode
                head = wire.entry(*entry) if with_entries else b""
            part = head + wire.directory_entry(nodeid, cookie, name, mode)
            room -= len(part)
            if entry is not None and (room < 0 or not with_entries):
                inodes.forget(nodeid, 1)
            if room < 0:
                break
            parts.append(part)
        self._shrink()
        return b"".join(parts)

    def _keeps(self, name: bytes) -> bool:
        """Say whether there is such a kind of attribute here: ACLs are one only where they count."""
        return self._acls or not name.startswith(_ACLS)

    def _require_kept(self, name: bytes) -> None:
        if not self._keeps(name):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _masked(self, parent_id: int, mode: int, umask: int) -> int:
        """Return the mode of what is about to be created, with the umask off it where it counts."""
        if not self._acls or self.core.tree.has_default_acl(parent_id):
            return mode
        return mode & ~umask

    def _shrink(self) -> None:
        """Note what the kernel should forget, having not used it for long, so that memory stays bounded."""
        for node in self.core.inodes.excess():
            try:
                self.stale.append(self.core.place_of(node))
            except (CorruptNameError, OSError):
                continue


def _owner(request: Request) -> Owner:
    return Owner(request.uid, request.gid)


def _moment(seconds: int, nanoseconds: int) -> int:
    return seconds * 1_000_000_000 + nanoseconds


def _fitting(value: bytes, room: int) -> bytes:
    """Return what answers a question for `room` bytes; for 0 bytes, how many it takes."""
    if not room:
        return wire.SIZE_OUT.pack(len(value), 0)
    if len(value) > room:
        raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
    return value


HANDLERS: Final[Mapping[int, Callable[[Operations, Request, memoryview], Answer]]] = {
    Opcode.LOOKUP: Operations.lookup,
    Opcode.FORGET: Operations.forget,
    Opcode.GETATTR: Operations.getattr,
    Opcode.SETATTR: Operations.setattr,
    Opcode.READLINK: Operations.readlink,
    Opcode.SYMLINK: Operations.symlink,
    Opcode.MKNOD: Operations.mknod,
    Opcode.MKDIR: Operations.mkdir,
    Opcode.UNLINK: Operations.unlink,
    Opcode.RMDIR: Operations.rmdir,
    Opcode.RENAME: Operations.rename,
    Opcode.LINK: Operations.link,
    Opcode.OPEN: Operations.open,
    Opcode.READ: Operations.read,
    Opcode.WRITE: Operations.write,
    Opcode.STATFS: Operations.statfs,
    Opcode.RELEASE: Operations.release,
    Opcode.FSYNC: Operations.fsync,
    Opcode.SETXATTR: Operations.setxattr,
    Opcode.GETXATTR: Operations.getxattr,
    Opcode.LISTXATTR: Operations.listxattr,
    Opcode.REMOVEXATTR: Operations.removexattr,
    Opcode.OPENDIR: Operations.opendir,
    Opcode.READDIR: Operations.readdir,
    Opcode.RELEASEDIR: Operations.releasedir,
    Opcode.FSYNCDIR: Operations.fsyncdir,
    Opcode.CREATE: Operations.create,
    Opcode.BATCH_FORGET: Operations.batch_forget,
    Opcode.FALLOCATE: Operations.fallocate,
    Opcode.READDIRPLUS: Operations.readdirplus,
    Opcode.RENAME2: Operations.rename2,
}
