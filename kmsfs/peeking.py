"""Owns reading the header of a file that is being opened, without letting other requests wait for the store.

A worker thread reads where the page cache has not got it; the opening is then made again, and finds here the
header and the descriptor. Knows nothing of what is in a header.
"""

import errno
import os
from functools import partial

from kmsfs import backing
from kmsfs.errors import WaitNeededError


class _Peek:
    """One inode's descriptor, and what a worker thread has read, or why it could not; until then, nothing."""

    __slots__ = ("failure", "fd", "raw", "status")

    def __init__(self) -> None:
        self.fd = -1
        self.raw: bytes | None = None
        self.status: os.stat_result | None = None
        self.failure: OSError | None = None

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


class Peeking:
    """The headers that are being read for one mount.

    Only who has a file open changes it. So what a thread has read for several openings is good until the
    first of them has gone on, and is forgotten with it; `forget` is also for who opens a file otherwise.

    Args:
        root_fd: a descriptor on the store, to see whether anything is behind its page cache.
        length: how many bytes a header has.
        may_wait: whether to raise WaitNeededError where the store may have to be waited for.
    """

    def __init__(self, root_fd: int, length: int, *, may_wait: bool) -> None:
        self._length = length
        self._may_wait = may_wait and not backing.is_memory(root_fd)
        self._asks_cache = True
        self._peeks: dict[int, _Peek] = {}

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
        if peek.fd >= 0:
            os.close(peek.fd)
        peek.fd = fd

    def take(self, inode: int) -> int | None:
        """Give back the descriptor that was kept, if there is one."""
        peek = self._peeks.get(inode)
        if peek is None or peek.fd < 0:
            return None
        fd, peek.fd = peek.fd, -1
        return fd

    def forget(self, inode: int) -> None:
        """Forget an inode: it has been opened, or could not be, or its header may change."""
        peek = self._peeks.pop(inode, None)
        if peek is not None and peek.fd >= 0:
            os.close(peek.fd)

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
