"""Owns the volume's side of a transfer: its plain tree, through the core of a volume that is not mounted.

A file under way stands in its directory under a temporary name of the store, which no listing shows and which
recovery removes after a crash. Raises what the core raises.
"""

import errno
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

from kmsfs import backing, paths
from kmsfs.attributes import Changes
from kmsfs.core import Core
from kmsfs.directories import TEMPORARY_PREFIX
from kmsfs.entries import Entry
from kmsfs.errors import NameTooLongError
from kmsfs.file import File
from kmsfs.inodes import ROOT_INODE
from kmsfs.moving.plainside import data_ranges
from kmsfs.moving.sides import (
    BLOCK_BYTES,
    HERE,
    OWNER_REFUSALS,
    TOLD_PREFIX,
    XATTR_REFUSALS,
    Facts,
    Rights,
    Source,
    facts_of,
    missing_steps,
    own_rights,
    without_set_id,
)
from kmsfs.records import XATTR_PREFIX
from kmsfs.tree import Owner

_MAX_KNOWN: Final = 1024
_NEW_FILE: Final = 0o600
_NEW_DIRECTORY: Final = stat.S_IRWXU


class VolumeSide:
    """A directory of a volume and all below.

    Args:
        core: of the volume; closed by whoever made it.
        top: number of the directory, which the core has given.
        rights: of this process.
        cold: whether files are read from storage rather than from the page cache.
    """

    def __init__(
        self, core: Core, top: int = ROOT_INODE, rights: Rights | None = None, *, cold: bool = False
    ) -> None:
        self._core = core
        self._top = top
        self._rights = rights or own_rights()
        self._me = Owner(self._rights.uid, self._rights.gid)
        self._cold = cold
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._parts = (b"%s%s.%d" % (TEMPORARY_PREFIX, secrets.token_hex(8).encode(), n) for n in count())

    def entries(self, directory: bytes) -> Iterator[tuple[bytes, Facts]]:
        """Yield names and facts of what is in a directory."""
        for name, entry in paths.children(self._core, self._nodeid(directory)):
            yield name, _facts(entry)

    def look(self, directory: bytes, name: bytes) -> Facts | None:
        """Return the facts of an entry; None if there is no such name."""
        try:
            with self._found(directory, name) as entry:
                return _facts(entry)
        except FileNotFoundError:
            return None

    def open(self, directory: bytes, name: bytes) -> "VolumeReading":
        """Open a regular file.

        Raises:
            CorruptFileError: its header does not authenticate.
        """
        entry = self._core.tree.lookup(self._nodeid(directory), name)
        try:
            file = self._core.open(entry.nodeid, os.O_RDONLY)
        except BaseException:
            self._core.inodes.forget(entry.nodeid, 1)
            raise
        if self._cold:
            os.posix_fadvise(file.chunks.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return VolumeReading(self._core, entry, file)

    def readlink(self, directory: bytes, name: bytes) -> bytes:
        """Return a symlink's target."""
        with self._found(directory, name) as entry:
            return self._core.tree.readlink(entry.nodeid)

    def xattrs(self, directory: bytes, name: bytes) -> Mapping[bytes, bytes]:
        """Return all extended attributes of what is no symlink."""
        with self._found(directory, name) as entry:
            return _xattrs(self._core, entry.nodeid)

    def make(self, directory: bytes, name: bytes, facts: Facts, target: bytes) -> bool:
        """Make what is no regular file; a directory may be there already."""
        tree, parent = self._core.tree, self._nodeid(directory)
        # Whose it is to be is for `dress`: giving it away may be refused.
        me = self._me
        if stat.S_ISLNK(facts.mode):
            entry = tree.symlink(parent, name, target, me)
        elif not stat.S_ISDIR(facts.mode):
            entry = tree.mknod(parent, name, stat.S_IFMT(facts.mode) | _NEW_FILE, facts.device, me)
        else:
            try:
                entry = tree.mkdir(parent, name, _NEW_DIRECTORY, me)
            except FileExistsError:
                with self._found(directory, name) as entry:
                    if not stat.S_ISDIR(entry.status.st_mode):
                        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
                return False
        self._core.inodes.forget(entry.nodeid, 1)
        return True

    def link(self, directory: bytes, name: bytes, to_directory: bytes, to_name: bytes) -> None:
        """Give an inode one more name."""
        to_parent = self._nodeid(to_directory)
        with self._found(directory, name) as entry:
            linked = self._core.tree.link(entry.nodeid, to_parent, to_name)
            self._core.inodes.forget(linked.nodeid, 1)

    def remove(self, directory: bytes, name: bytes) -> None:
        """Remove a name that is no directory's."""
        self._core.tree.unlink(self._nodeid(directory), name)

    def new_file(self, directory: bytes, name: bytes) -> "VolumeWriting":
        """Begin a regular file."""
        parent, aside = self._nodeid(directory), next(self._parts)
        entry, file = self._core.tree.create(parent, name, _NEW_FILE, self._me, aside=aside)
        return VolumeWriting(self._core, entry, file, parent, name)

    def dress(self, directory: bytes, name: bytes, facts: Facts, xattrs: Mapping[bytes, bytes]) -> list[str]:
        """Give an entry its owner, attributes, mode and times; return what cannot be kept."""
        with self._found(directory, name) as entry:
            is_symlink = stat.S_ISLNK(facts.mode)
            if self._rights.uid and not is_symlink:
                mode = stat.S_IMODE(entry.status.st_mode) | stat.S_IRWXU
                self._core.attributes.setattr(entry.nodeid, Changes(mode=mode))
            return _dress(self._core, entry, facts, None if is_symlink else xattrs)

    def prepare(self, directory: bytes, keep: Source) -> None:  # noqa: ARG002 - the protocol's
        """Make a directory that was there writable; recovery has removed what was left under way."""
        nodeid = self._nodeid(directory)
        mode = stat.S_IMODE(self._core.attributes.getattr(nodeid).status.st_mode)
        if self._rights.uid and mode & _NEW_DIRECTORY != _NEW_DIRECTORY:
            self._core.attributes.setattr(nodeid, Changes(mode=mode | _NEW_DIRECTORY))

    def fresh(self) -> "VolumeSide":
        """Return the same side with nothing remembered, that reads what is stored."""
        core = Core(self._core.volume)
        steps, node = list[bytes](), self._core.inodes.directory(self._top)
        while node.parent is not None:
            steps.append(self._core.directories.plain_name(node.parent, node.stored))
            node = node.parent
        return VolumeSide(core, paths.find(core, b"/".join(reversed(steps))).nodeid, self._rights, cold=True)

    def close(self) -> None:
        """Give back what the core remembers for this side."""
        while self._known:
            self._core.inodes.forget(self._known.popitem()[1], 1)
        if self._cold:
            self._core.close()

    def _nodeid(self, directory: bytes) -> int:
        """Return the number of a directory, good until many others were asked for."""
        if not directory:
            return self._top
        nodeid = self._known.get(directory)
        if nodeid is not None:
            self._known.move_to_end(directory)
            return nodeid
        above, missing = missing_steps(directory, self._known)
        nodeid = self._known[above] if above else self._top
        for path in missing:
            nodeid = self._core.tree.lookup(nodeid, path.rpartition(b"/")[2]).nodeid
            self._known[path] = nodeid
            if len(self._known) > _MAX_KNOWN:
                self._core.inodes.forget(self._known.popitem(last=False)[1], 1)
        return nodeid

    @contextmanager
    def _found(self, directory: bytes, name: bytes) -> Iterator[Entry]:
        """Yield an entry, or the directory itself, and give the reference back."""
        nodeid = self._nodeid(directory)
        if name == HERE:
            yield self._core.attributes.getattr(nodeid)
            return
        entry = self._core.tree.lookup(nodeid, name)
        try:
            yield entry
        finally:
            self._core.inodes.forget(entry.nodeid, 1)


class VolumeReading:
    """A file of a volume that is open for reading; nobody else can change it meanwhile."""

    def __init__(self, core: Core, entry: Entry, file: File) -> None:
        self.facts = facts_of(entry.status, file.size)
        self._core = core
        self._nodeid = entry.nodeid
        self._file = file

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield offset and end of what is no hole, to within a chunk."""
        chunks, size = self._file.chunks, self._file.size
        status = os.fstat(chunks.fd)
        if status.st_blocks * BLOCK_BYTES >= status.st_size:
            return iter(((0, size),) if size else ())
        return self._stored_ranges(status.st_size)

    def read(self, offset: int, length: int) -> memoryview | bytes:
        """Return up to `length` bytes, fewer at the end.

        Raises:
            CorruptFileError: something in it does not authenticate.
        """
        return self._file.read(offset, length)

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Return all extended attributes."""
        return _xattrs(self._core, self._nodeid)

    def is_unchanged(self) -> bool:
        """Say that it is."""
        return True

    def close(self) -> None:
        """End reading."""
        self._core.files.release(self._file.chunks.inode)
        self._core.inodes.forget(self._nodeid, 1)

    def _stored_ranges(self, backing_size: int) -> Iterator[tuple[int, int]]:
        geometry, size = self._file.chunks.geometry, self._file.size
        done = 0
        for start, end in data_ranges(self._file.chunks.fd, backing_size):
            first = max(start - geometry.header_size, 0) // geometry.record_size
            last = max(end - 1 - geometry.header_size, 0) // geometry.record_size
            offset, stop = (
                max(first << geometry.chunk_shift, done),
                min((last + 1) << geometry.chunk_shift, size),
            )
            if offset < stop:
                yield offset, stop
                done = stop


class VolumeWriting:
    """A file of a volume under way."""

    def __init__(self, core: Core, entry: Entry, file: File, parent: int, name: bytes) -> None:
        self._core = core
        self._entry = entry
        self._file = file
        self._parent = core.inodes.directory(parent)
        self._stored = core.directories.stored_name(self._parent, name)
        self._aside = core.inodes[entry.nodeid].stored

    def write(self, offset: int, content: memoryview | bytes) -> None:
        """Write at an offset."""
        self._file.write(offset, content)

    def finish(self, facts: Facts, xattrs: Mapping[bytes, bytes]) -> list[str]:
        """Give it its size and attributes, and its name."""
        if self._file.size < facts.size:
            self._file.truncate(facts.size)
        lost = _dress(self._core, self._entry, facts, xattrs)
        self._put_in_place()
        self._core.files.release(self._file.chunks.inode)
        self._core.inodes.forget(self._entry.nodeid, 1)
        return lost

    def discard(self) -> None:
        """Remove it."""
        core, inode = self._core, self._file.chunks.inode
        backing.unlink(core.directories.dirfd(self._parent), self._aside)
        core.directories.drop_unused_sidecar(self._parent, self._stored)
        # Nameless, it is closed without its header being written: there may be no room for one.
        core.files.drop(inode)
        core.files.release(inode)
        core.inodes.forget(self._entry.nodeid, 1)

    def _put_in_place(self) -> None:
        directories, stored = self._core.directories, self._stored.name
        dirfd = directories.dirfd(self._parent)
        replaced_fd = -1
        try:
            backing.rename(dirfd, self._aside, dirfd, stored, backing.RENAME_NOREPLACE)
        except FileExistsError:
            replaced_fd = backing.open_path(dirfd, stored)
            replaced = os.fstat(replaced_fd)
            try:
                backing.rename(dirfd, self._aside, dirfd, stored)
            except BaseException:
                os.close(replaced_fd)
                raise
            self._core.tree.gone(self._parent, stored, replaced_fd, replaced, keep_sidecar=True)
        self._core.inodes[self._entry.nodeid].move(self._parent, self._aside, self._parent, stored)


def _facts(entry: Entry) -> Facts:
    return facts_of(entry.status, entry.size)


def _xattrs(core: Core, nodeid: int) -> dict[bytes, bytes]:
    names = core.xattrs.list(nodeid)
    return {name: core.xattrs.get(nodeid, name) for name in names if not name.startswith(TOLD_PREFIX)}


def _dress(core: Core, entry: Entry, facts: Facts, xattrs: Mapping[bytes, bytes] | None) -> list[str]:
    """Give an entry its owner, then what a new owner undoes; `xattrs` is None for a symlink."""
    nodeid, status, lost = entry.nodeid, entry.status, list[str]()
    if (status.st_uid, status.st_gid) != (facts.uid, facts.gid):
        try:
            core.attributes.setattr(nodeid, Changes(uid=facts.uid, gid=facts.gid))
        except OSError as error:
            if error.errno not in OWNER_REFUSALS:
                raise
            facts = without_set_id(facts)
            lost.append("owner")
    if xattrs is not None:
        there = _xattrs(core, nodeid) if entry.size or xattrs or not stat.S_ISREG(status.st_mode) else {}
        lost += _set_xattrs(core, nodeid, xattrs, there)
    mode = None if xattrs is None else stat.S_IMODE(facts.mode)
    core.attributes.setattr(nodeid, Changes(mode=mode, atime_ns=facts.atime_ns, mtime_ns=facts.mtime_ns))
    return lost


def _set_xattrs(
    core: Core, nodeid: int, xattrs: Mapping[bytes, bytes], there: Mapping[bytes, bytes]
) -> list[str]:
    lost = []
    for name, value in xattrs.items():
        if there.get(name) != value and not name.startswith(TOLD_PREFIX):
            try:
                core.xattrs.set(nodeid, name, value)
            except (OSError, NameTooLongError) as error:
                if error.errno not in XATTR_REFUSALS:
                    raise
                lost.append(f"extended attribute {os.fsdecode(name)}")
    for name in there.keys() - xattrs.keys():
        if name.startswith(XATTR_PREFIX):
            core.xattrs.remove(nodeid, name)
    return lost
