"""Owns what may wait for the device: cold reads and fsync, as work for a thread; everything else does not.

A thread only warms the page cache or syncs; chunks are opened and sealed on the event loop alone, so no lock
is needed anywhere. Knows nothing of FUSE, threads or the event loop.
"""

import errno
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from kmsfs import backing
from kmsfs.errors import CorruptFileError
from kmsfs.file import File

_STREAMED_BYTES: Final = 1 << 17


class Later(NamedTuple):
    """An answer that has to be waited for.

    Attributes:
        work: waits; for a worker thread.
        finish: returns the answer, on the event loop, once `work` has returned.
    """

    work: Callable[[], None]
    finish: "Callable[[], Answer]"


# None where nobody waits for an answer; a number is an errno where that is no failure but what is asked for.
Answer = bytes | memoryview | Later | int | None


class Waiting:
    """The waits of one mount.

    Args:
        root_fd: a descriptor on the store, to see whether anything is behind its page cache.
    """

    def __init__(self, root_fd: int) -> None:
        self._in_memory = backing.is_memory(root_fd)
        self._asks_cache = not self._in_memory

    def read(self, file: File, plain_offset: int, length: int) -> memoryview | bytes | Later:
        """Read from a file; the answer holds until the next call. Raises what `File.read` raises."""
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
        warm = partial(backing.warm, file.chunks.fd, *file.extent(plain_offset, length))
        return Later(warm, partial(file.read, plain_offset, length))

    def read_now(self, file: File, plain_offset: int, length: int) -> memoryview | bytes:
        """Read what can be had without waiting; empty where it would wait, or cannot be read."""
        if not self._in_memory and not self._asks_cache:
            return b""
        try:
            return file.read(plain_offset, length, cached_only=not self._in_memory)
        except (OSError, CorruptFileError):
            return b""

    def fsync(self, file: File, *, data_only: bool) -> bytes | Later:
        """Make a file durable."""
        file.settle(data_only=data_only)
        if self._in_memory:
            return b""
        return Later(partial(backing.fsync, file.chunks.fd, data_only=data_only), bytes)

    def fsync_directory(self, dirfd: int) -> bytes | Later:
        """Make the entries of a directory durable; `dirfd` may be closed meanwhile by others."""
        if self._in_memory:
            return b""
        return Later(partial(backing.fsync_and_close, backing.open_listing(dirfd)), bytes)
