"""Owns the regular files that are open: one File per inode however many handles, opening, creating.

Also keeps a bounded number of closed files ready, since programs open what they have just closed. Knows
neither names nor FUSE. Raises CorruptFileError, KeyUnavailableError, OSError.
"""

import errno
import os
import stat
from collections import OrderedDict
from contextlib import ExitStack
from typing import Final

from kmsfs import descriptors
from kmsfs.errors import CorruptFileError, WaitNeededError
from kmsfs.file import File
from kmsfs.header import HEADER_PEEK_SIZE, NewFile, is_direct
from kmsfs.loading import Loader
from kmsfs.openvolume import OpenVolume
from kmsfs.pace import Pace
from kmsfs.peeking import Peeking
from kmsfs.volume import VolumeDescription

# Of all descriptors one in so many, and never more than these, are kept on closed files.
_PART_IDLE: Final = 16
_MOST_IDLE: Final = 64


class Files:
    """The open files of one mount.

    Args:
        volume: the volume they are on.
        pace: of the store.
    """

    def __init__(self, volume: OpenVolume, pace: Pace) -> None:
        self._loader = Loader(volume.description, volume.keyring)
        self._peeking = Peeking(volume.root_fd, HEADER_PEEK_SIZE, pace, may_wait=volume.keyring.may_wait)
        self._open: dict[int, tuple[File, int]] = {}
        self._idle: OrderedDict[int, File] = OrderedDict()
        self._most_idle = descriptors.share(_PART_IDLE, _MOST_IDLE)
        self._nameless: set[int] = set()
        self._created: File | None = None
        self._is_fresh = False

    def adopt(self, description: VolumeDescription) -> None:
        """Take up what a description says now: policies come in addition while it is in use."""
        self._loader.adopt(description)

    def get(self, inode: int) -> File | None:
        """Return the file of an inode if it is open or kept ready."""
        entry = self._open.get(inode)
        return entry[0] if entry else self._idle.get(inode)

    def opens(self, inode: int) -> int:
        """Return how many times a file is open now."""
        entry = self._open.get(inode)
        return entry[1] if entry else 0

    def new_file(self, policy: int) -> NewFile:
        """Return what a new file's keys will be drawn from: to be had before anything is made.

        Raises:
            KeyUnavailableError: the policy (an index) has no key for new files.
            WaitNeededError: the KMS has to be asked first.
        """
        return self._loader.new_file(policy)

    def create(self, fd: int, status: os.stat_result, new: NewFile, binding: bytes | None = None) -> File:
        """Take over the descriptor of a backing file just created; counts as one open.

        Args:
            fd: descriptor.
            status: the file's.
            new: from `new_file`, for this file alone.
            binding: of its place; None where nothing is tied to its place.
        """
        inode = status.st_ino
        self._peeking.forget(inode)
        self._is_fresh = True
        self._created = file = File(self._loader.start(fd, inode, new, binding), status)
        # What was just made has no capabilities.
        file.has_no_capability = True
        self._open[inode] = (file, 1)
        return file

    def prepare(self) -> None:
        """Draw the keys of the file created last, if they are still to be drawn: work for an idle moment.

        Called after each answer. The one that a file was created by is followed by a question at once, for
        capabilities; after that one, the program is at its own work for as long as drawing takes.
        """
        if self._is_fresh:
            self._is_fresh = False
        elif self._created is not None:
            self._created.chunks.prepare()
            self._created = None

    def acquire(self, inode: int) -> File | None:
        """Count one more open of a file that is open or kept ready; None if it has to be opened."""
        entry = self._open.get(inode)
        if entry is not None:
            file, count = entry
            self._open[inode] = (file, count + 1)
            return file
        file_or_none = self._idle.pop(inode, None)
        if file_or_none is not None:
            self._open[inode] = (file_or_none, 1)
        return file_or_none

    def open(self, fd: int, inode: int) -> File:
        """Take over the descriptor of an existing backing file, check its header; counts as one open.

        Raises:
            CorruptFileError: it is not a file of this volume, or its length is wrong.
            KeyUnavailableError: its key cannot be had.
            WaitNeededError: the KMS or the store has to be asked first.
        """
        try:
            file = self._read(fd, inode)
        except WaitNeededError:
            self._peeking.keep(fd, inode)
            raise
        except BaseException:
            os.close(fd)
            self._peeking.forget(inode)
            raise
        self._peeking.forget(inode)
        self._open[inode] = (file, 1)
        return file

    def take_waiting(self, inode: int) -> int | None:
        """Return the descriptor of an opening that had to wait, for the one that goes on, if there is one."""
        return self._peeking.take(inode)

    def open_ahead(self, dirfd: int, stored: bytes, inode: int, *, writable: bool) -> None:
        """Have a file opened and its header read before `open`, where the store is slow; else do nothing.

        Raises:
            WaitNeededError: the store has to be asked first.
        """
        self._peeking.open_ahead(dirfd, stored, inode, writable=writable)

    def load(self, fd: int, inode: int) -> File | None:
        """Take over the descriptor of an existing backing file for the moment, whatever its length.

        It is the caller's to close, and does not count as open. None, and closed, if its header is damaged.

        Raises:
            KeyUnavailableError: its key cannot be had.
        """
        # Its header may be changed through this.
        self._peeking.forget(inode)
        try:
            _require_file(os.fstat(fd), inode)
            return File(self._loader.load(fd, inode))
        except CorruptFileError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise

    def release(self, inode: int) -> None:
        """Count one open less; the last one settles the file, and keeps it ready for a while or closes it.

        Raises:
            OSError: there is no room for its header; it stays ready until there is.
        """
        file, count = self._open[inode]
        if count > 1:
            self._open[inode] = (file, count - 1)
            return
        del self._open[inode]
        if inode in self._nameless:
            self._nameless.discard(inode)
            file.chunks.close()
            return
        self._idle[inode] = file
        if len(self._idle) > self._most_idle:
            self._evict()
        file.settle()
        # Kept ready, it would open without the KMS being asked whether it still may.
        if is_direct(file.chunks.clear):
            self._idle.pop(inode, None)
            file.chunks.close()

    def drop(self, inode: int) -> None:
        """Let go of a file that has lost its last name, at once or when its last handle is closed."""
        file = self._idle.pop(inode, None)
        if file is not None:
            file.chunks.close()
        elif inode in self._open:
            self._nameless.add(inode)

    def close(self) -> None:
        """Settle and close everything, at unmount.

        Raises:
            OSError: the first one, after all files have been tried.
        """
        files = [*(file for file, _ in self._open.values()), *self._idle.values()]
        self._open.clear()
        self._idle.clear()
        self._peeking.close()
        with ExitStack() as stack:
            for file in files:
                stack.callback(file.close)

    def _evict(self) -> None:
        """Close the file that has been ready for longest, unless its header still has no room."""
        inode, file = self._idle.popitem(last=False)
        try:
            file.settle()
        except OSError:
            self._idle[inode] = file
            return
        file.chunks.close()

    def _read(self, fd: int, inode: int) -> File:
        status = self._peeking.status(fd, inode)
        _require_file(status, inode)
        chunks = self._loader.open(fd, inode, self._peeking.read(fd, inode))
        if status.st_size != chunks.backing_size:
            reason = "truncated" if status.st_size < chunks.backing_size else "extended"
            raise CorruptFileError(inode, None, reason)
        return File(chunks)


def _require_file(status: os.stat_result, inode: int) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_ino != inode:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
