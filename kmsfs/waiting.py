"""Owns what may wait for the device: cold reads and fsync go to a worker thread, everything else does not.

A thread only warms the page cache or syncs; chunks are opened and sealed on the event loop alone, so no lock
is needed anywhere. Knows nothing of FUSE.
"""

import errno
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from kmsfs import backing
from kmsfs.errors import CorruptFileError
from kmsfs.file import File

_STREAMED_BYTES: Final = 1 << 17


class Waiting:
    """The waits of one mount.

    Args:
        root_fd: a descriptor on the store, to see whether anything is behind its page cache.

    Attributes:
        pending: how many worker threads are at work; the event loop must not sleep elsewhere while they are.
    """

    def __init__(self, root_fd: int) -> None:
        self._in_memory = backing.is_memory(root_fd)
        self._asks_cache = not self._in_memory
        self.pending = 0

    async def read(self, file: File, plain_offset: int, length: int) -> memoryview | bytes:
        """Read from a file; the answer holds until the caller awaits. Raises what `File.read` raises."""
        if self._in_memory:
            return file.read(plain_offset, length)
        if length >= _STREAMED_BYTES:
            # The store's own readahead is smaller than one of our requests: keep the next one under way.
            backing.will_need(file.chunks.fd, *file.extent(plain_offset + length, length))
        if self._asks_cache:
            try:
                return file.read(plain_offset, length, cached_only=True)
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._asks_cache = False
        offset, count = file.extent(plain_offset, length)
        await self._in_thread(partial(backing.warm, file.chunks.fd, offset, count))
        return file.read(plain_offset, length)

    def read_now(self, file: File, plain_offset: int, length: int) -> memoryview | bytes:
        """Read what can be had without waiting; empty where it would wait, or cannot be read."""
        if not self._in_memory and not self._asks_cache:
            return b""
        try:
            return file.read(plain_offset, length, cached_only=not self._in_memory)
        except (OSError, CorruptFileError):
            return b""

    async def fsync(self, file: File, *, data_only: bool) -> None:
        """Make a file durable."""
        file.settle()
        if not self._in_memory:
            await self._in_thread(partial(backing.fsync, file.chunks.fd, data_only=data_only))

    async def fsync_directory(self, dirfd: int) -> None:
        """Make the entries of a directory durable; `dirfd` may be closed meanwhile by others."""
        if not self._in_memory:
            fd = backing.open_listing(dirfd)
            try:
                await self._in_thread(partial(backing.fsync, fd, data_only=False))
            finally:
                backing.close(fd)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        self.pending += 1
        try:
            await trio.to_thread.run_sync(work)
        finally:
            self.pending -= 1
