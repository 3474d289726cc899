"""Owns reading the header of a file that is being opened, without letting other requests wait for the store.

A worker thread reads where the page cache has not got it, and opens as well where the store is slow. The
opening is then made again, and finds here header and descriptor. Knows nothing of what is in a header.
"""

import errno
import os
from contextlib import suppress
from functools import partial

from kmsfs import backing
from kmsfs.errors import WaitNeededError
from kmsfs.pace import Pace


class _Peek:
    """One inode: descriptors of it, and what worker threads have read or why they could not.

    Attributes:
        fds: for whoever goes on with an opening.
        raw: the beginning of the file, once that has been read.
        status: the file's, as it was then.
        failure: why it could not be read.
        could_not_open: a thread has not found the file where it was to be opened.
        is_forgotten: nobody will come for descriptors any more.
    """

    __slots__ = ("could_not_open", "failure", "fds", "is_forgotten", "raw", "status")

    def __init__(self) -> None:
        self.fds: list[int] = []
        self.raw: bytes | None = None
        self.status: os.stat_result | None = None
        self.failure: OSError | None = None
        self.could_not_open = False
        self.is_forgotten = False

    def read(self, fd: int, length: int) -> None:
        """Read through a descriptor, and close it; for a worker thread."""
        try:
            # First, for some stores have to be asked again once the file has been read.
            self.status = os.fstat(fd)
            self.raw = os.pread(fd, length, 0)
        except OSError as error:
            self.failure = error
        finally:
            os.close(fd)

    def open(self, dirfd: int, stored: bytes, inode: int, length: int, *, writable: bool) -> None:
        """Open the file that stands at a place, and read; for a worker thread, which closes `dirfd`."""
        try:
            fd = backing.open_regular(dirfd, stored, writable=writable)
        except OSError:
            self.could_not_open = True
            return
        finally:
            os.close(dirfd)
        try:
            status, raw = os.fstat(fd), os.pread(fd, length, 0)
        except OSError:
            status, raw = None, b""
        if status is None or status.st_ino != inode:
            os.close(fd)
            self.could_not_open = True
            return
        self.status, self.raw = status, raw
        self.fds.append(fd)
        if self.is_forgotten:
            self.close()

    def close(self) -> None:
        """Close what nobody has taken; a thread and the event loop may both come to do so."""
        with suppress(IndexError):
            while True:
                os.close(self.fds.pop())


class Peeking:
    """The headers that are being read for one mount.

    Only who has a file open changes it. So what a thread has read for several openings is good until the
    first of them has gone on, and is forgotten with it; `forget` is also for who opens a file otherwise.

    Args:
        root_fd: a descriptor on the store, to see whether anything is behind its page cache.
        length: how many bytes a header has.
        pace: of the store.
        may_wait: whether to raise WaitNeededError where the store may have to be waited for.
    """

    def __init__(self, root_fd: int, length: int, pace: Pace, *, may_wait: bool) -> None:
        self._length = length
        self._pace = pace
        self._may_wait = may_wait and not backing.is_memory(root_fd)
        self._asks_cache = True
        self._peeks: dict[int, _Peek] = {}

    def open_ahead(self, dirfd: int, stored: bytes, inode: int, *, writable: bool) -> None:
        """Have a file opened and read before anybody opens it, where the store is slow; else do nothing.

        Nothing is done either where that has failed: whoever opens it finds out why.

        Raises:
            WaitNeededError: the store has to be asked first; then `take` has a descriptor.
        """
        peek = self._peeks.get(inode)
        if peek is not None and peek.could_not_open:
            self.forget(inode)
        elif self._pace.is_slow:
            peek = self._peeks.setdefault(inode, _Peek())
            work = partial(peek.open, os.dup(dirfd), stored, inode, self._length, writable=writable)
            raise WaitNeededError(work, asks_agent=False)

    def status(self, fd: int, inode: int) -> os.stat_result:
        """Describe a file that is being opened, as it was when its header was read if that has been."""
        peek = self._peeks.get(inode)
        return (peek.status if peek is not None else None) or os.fstat(fd)

    def read(self, fd: int, inode: int) -> bytes:
        """Return the beginning of a file, fewer bytes where it is shorter.

        Raises:
            WaitNeededError: the store has to be asked first, with nothing but that to be done.
            OSError: the store fails.
        """
        if not self._may_wait:
            return os.pread(fd, self._length, 0)
        peek = self._peeks.get(inode)
        if peek is not None and peek.failure is not None:
            raise peek.failure
        raw = peek.raw if peek is not None else None
        if raw is None:
            raw = self._cached(fd)
        if raw is not None:
            return raw
        if peek is None:
            peek = self._peeks[inode] = _Peek()
        raise WaitNeededError(partial(peek.read, os.dup(fd), self._length), asks_agent=False)

    def keep(self, fd: int, inode: int) -> None:
        """Take over the descriptor of an opening that has to wait: opened again, a file may be read anew."""
        peek = self._peeks.setdefault(inode, _Peek())
        peek.close()
        peek.fds.append(fd)

    def take(self, inode: int) -> int | None:
        """Give back the descriptor that was kept, if there is one."""
        peek = self._peeks.get(inode)
        return peek.fds.pop() if peek is not None and peek.fds else None

    def forget(self, inode: int) -> None:
        """Forget an inode: it has been opened, or could not be, or its header may change."""
        peek = self._peeks.pop(inode, None)
        if peek is not None:
            peek.is_forgotten = True
            peek.close()

    def close(self) -> None:
        """Forget all of them."""
        for inode in list(self._peeks):
            self.forget(inode)

    def _cached(self, fd: int) -> bytes | None:
        """Return the header if the page cache has all of it; else None."""
        if not self._asks_cache:
            return None
        buffer = bytearray(self._length)
        try:
            count = backing.pread_cached(fd, memoryview(buffer), 0)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self._asks_cache = False
            return None
        return bytes(buffer) if count == self._length else None
