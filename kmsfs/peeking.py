"""Owns reading the header of a file that is being opened, without letting other requests wait for the store.

A worker thread reads where the page cache has not got it; the opening is then done again, and finds it here.
Knows nothing of what is in a header.
"""

import errno
import os
from functools import partial

from kmsfs import backing
from kmsfs.errors import WaitNeededError


class _Peek:
    """What a worker thread has read of one inode, or why it could not; until then, nothing."""

    __slots__ = ("failure", "raw")

    def __init__(self) -> None:
        self.raw: bytes | None = None
        self.failure: OSError | None = None

    def read(self, fd: int, length: int) -> None:
        """Read through a descriptor, and close it; for a worker thread."""
        try:
            self.raw = os.pread(fd, length, 0)
        except OSError as error:
            self.failure = error
        finally:
            os.close(fd)


class Peeking:
    """The headers that are being read for one mount.

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

    def read(self, fd: int, inode: int) -> bytes:
        """Return the beginning of a file, fewer bytes where it is shorter.

        Only who has a file open changes it, and to open it takes a call of this. So what a thread has read
        for several openings is good for the first of them that comes back, and forgotten with it; `forget`
        is for those who open it otherwise.

        Raises:
            WaitNeededError: the store has to be asked first, with nothing but that to be done.
            OSError: the store fails.
        """
        if not self._may_wait:
            return os.pread(fd, self._length, 0)
        peek = self._peeks.pop(inode, None)
        if peek is not None and peek.failure is not None:
            raise peek.failure
        raw = peek.raw if peek is not None else None
        if raw is None:
            raw = self._cached(fd)
        if raw is not None:
            return raw
        # Several openings may wait for one; it is forgotten with the first that goes on.
        peek = self._peeks[inode] = peek or _Peek()
        raise WaitNeededError(partial(peek.read, os.dup(fd), self._length), asks_agent=False)

    def forget(self, inode: int) -> None:
        """Forget what was read of an inode: there is a new file of that number, or its header may change."""
        self._peeks.pop(inode, None)

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
