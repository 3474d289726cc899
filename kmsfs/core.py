"""Composition of the filesystem core for one mount: which part gets which. Knows nothing of FUSE's types."""

import errno
import os
from typing import Final

from kmsfs.attributes import Attributes
from kmsfs.directories import Directories
from kmsfs.entries import Entry, Sizes
from kmsfs.file import File
from kmsfs.files import Files
from kmsfs.glancing import Glancing
from kmsfs.inodes import ROOT_INODE, Directory, Inodes, Node
from kmsfs.listing import Listing
from kmsfs.openvolume import OpenVolume
from kmsfs.pace import Pace
from kmsfs.places import Places
from kmsfs.renaming import Renaming
from kmsfs.reporting import Reports
from kmsfs.tree import Owner, Tree
from kmsfs.waiting import Waiting
from kmsfs.xattrs import Xattrs

_FIRST_CONTENT_BYTES: Final = 1 << 16
_NOT_READING_ON: Final = os.O_ACCMODE | os.O_TRUNC | os.O_DIRECT


class Core:
    """The parts of one mounted volume.

    Args:
        volume: the volume, its keys in hand.
        keeps_all: remember every inode that anybody has asked for, as NFS needs it.
    """

    def __init__(self, volume: OpenVolume, *, keeps_all: bool = False) -> None:
        device = os.fstat(volume.root_fd).st_dev
        root = Directory(ROOT_INODE, None, b"")
        self.volume = volume
        self.inodes = Inodes(root, keeps_all=keeps_all)
        self.reports = Reports(self.inodes, volume.counters)
        self._pace = pace = Pace(volume.root_fd, may_wait=volume.keyring.may_wait)
        self.files = Files(volume, pace)
        self.directories = Directories(volume, device)
        self.places = places = Places(volume.bindings, self.directories, self.files)
        self._sizes = sizes = Sizes(self.files, self.directories, volume.description)
        self.tree = Tree(
            self.inodes, self.directories, self.files, places, volume.records, sizes, Glancing(pace), device
        )
        self.renaming = Renaming(self.inodes, self.directories, self.tree, places, volume.records)
        self.attributes = Attributes(self.inodes, self.directories, self.files, places, sizes, pace)
        self.xattrs = Xattrs(self.inodes, self.directories, self.files, self.attributes, volume)
        self.waiting = Waiting(volume.root_fd)

    def create(self, parent_id: int, name: bytes, mode: int, flags: int, owner: Owner) -> tuple[Entry, File]:
        """Create and open a file; without O_EXCL an existing one is opened.

        Raises:
            OSError: what open(2) says.
        """
        try:
            entry, file = self.tree.create(parent_id, name, mode, owner)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
        else:
            self.inodes[entry.nodeid].was_opened = True
            return entry, file
        entry = self.tree.lookup(parent_id, name, may_wait=True)
        try:
            return entry, self.open(entry.nodeid, flags, clears_set_id=bool(owner.uid))
        except BaseException:
            self.inodes.forget(entry.nodeid, 1)
            raise

    def open(self, nodeid: int, flags: int, *, clears_set_id: bool = False) -> File:
        """Open a regular file, cutting it to nothing where O_TRUNC is among the flags.

        Args:
            nodeid: whose.
            flags: of open(2).
            clears_set_id: O_TRUNC takes the set-user-ID and set-group-ID bits away, as of an unprivileged
                caller.
        """
        node = self.inodes[nodeid]
        writable = flags & os.O_ACCMODE != os.O_RDONLY
        file = self.attributes.open_file(node, writable=writable)
        node.was_opened = True
        if flags & os.O_TRUNC:
            try:
                file.truncate(0)
                if clears_set_id:
                    self.attributes.clear_set_id(file)
            except BaseException:
                self.files.release(node.inode)
                raise
        return file

    def open_with_content(
        self, nodeid: int, flags: int, *, clears_set_id: bool = False
    ) -> tuple[File, memoryview | bytes]:
        """Open a regular file; return it with what the kernel's cache should have before anybody reads it.

        That is the whole of a small file, when no program has opened it before and this one will only read:
        so the kernel has no pages of it that were changed, or that a read waits for. Otherwise nothing, as
        where reading it now would wait or fail: then that is the read's to find out.
        """
        is_first = not self.inodes[nodeid].was_opened
        file = self.open(nodeid, flags, clears_set_id=clears_set_id)
        if is_first and not flags & _NOT_READING_ON and file.size <= _FIRST_CONTENT_BYTES:
            return file, self.waiting.read_now(file, 0, file.size)
        return file, b""

    def adopt_policies(self) -> None:
        """Take up policies that the volume has got meanwhile, before a directory has one of them."""
        self.files.adopt(self.volume.description)
        self._sizes.adopt(self.volume.description)

    def listing(self, nodeid: int) -> Listing:
        """Open a directory for reading its entries."""
        directory = self.inodes.directory(nodeid)
        return Listing(directory, self.inodes, self.directories, self.tree, self.reports, self._pace)

    def revisit(self, nodeid: int, name: bytes) -> Entry:
        """Find what the kernel, or a server of NFS, once had a number for; counts as one reference.

        Args:
            nodeid: the number.
            name: `.` for that inode, `..` for the directory that it is in.

        Raises:
            OSError: ESTALE, if it is not known any more.
        """
        node = self.inodes[nodeid]
        place = node if name == b"." else node.parent
        if place is None or place.parent is None:
            place = self.inodes.root
            place.lookups += 1
        else:
            place = self.inodes.remember(
                place.inode, place.parent, place.stored, is_directory=isinstance(place, Directory)
            )
        try:
            return self.attributes.getattr(place.nodeid)
        except BaseException:
            self.inodes.forget(place.nodeid, 1)
            raise

    def statfs(self) -> os.statvfs_result:
        """Describe the store."""
        return os.fstatvfs(self.volume.root_fd)

    def place_of(self, node: Node) -> tuple[int, bytes]:
        """Return the parent's number and the name by which the kernel has a node.

        Raises:
            CorruptNameError, OSError: it cannot be told.
        """
        if node.parent is None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return node.parent.nodeid, self.directories.plain_name(node.parent, node.stored)

    def close(self) -> None:
        """Settle and close everything."""
        try:
            self.files.close()
        finally:
            self.inodes.close()
