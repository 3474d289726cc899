"""Owns File: a regular file as bytes (read, write, truncate) over whole chunks. Knows no names and no FUSE.

Everything here is synchronous, so a call is atomic with respect to every other call on the event loop.

The kernel's writeback cache owns the times of a file: it says when they change, and is silent when a write
falls into the same tick of its clock. So what writing does to the times on the store, `settle` takes back.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kmsfs import allocating, backing
from kmsfs.chunkfile import ChunkFile
from kmsfs.geometry import MAX_PLAIN_SIZE
from kmsfs.header import FileKeys


class File:
    """The bytes of one open backing file.

    Args:
        chunks: its chunks.
        status: of the backing file, if nobody can have changed it since.

    Attributes:
        has_no_capability: the store was asked and has no security.capability for it.
        status: what the store said of it when somebody asked last; None before.
    """

    __slots__ = (
        "_chunk_size", "_mask", "_shift", "_strays", "_times_ns", "chunks", "has_no_capability", "status",
    )  # fmt: skip

    def __init__(self, chunks: ChunkFile, status: os.stat_result | None = None) -> None:
        self.chunks = chunks
        self.has_no_capability = False
        self.status = status
        self._shift = chunks.geometry.chunk_shift
        self._chunk_size = 1 << self._shift
        self._mask = self._chunk_size - 1
        # What the kernel has for the times, if that is known, and whether the store's may differ from it.
        self._times_ns = None if status is None else (status.st_atime_ns, status.st_mtime_ns)
        self._strays = False

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.chunks.size

    def extent(self, plain_offset: int, length: int) -> tuple[int, int]:
        """Return backing offset and length of what a read of this range takes from the store."""
        first = plain_offset >> self._shift
        last = max(plain_offset + length - 1, plain_offset) >> self._shift
        return self.chunks.extent(first, last - first + 1)

    def read(self, plain_offset: int, length: int, *, cached_only: bool = False) -> memoryview | bytes:
        """Return up to `length` bytes from `plain_offset`, fewer at the end of the file.

        The answer lies in the mount's scratch buffer: use it before the next call on any file.

        Raises:
            BlockingIOError: `cached_only` is set and the store would have to be waited for.
            CorruptFileError: something read does not authenticate.
        """
        end = min(plain_offset + length, self.chunks.size)
        if plain_offset >= end:
            return b""
        first = plain_offset >> self._shift
        count = ((end - 1) >> self._shift) - first + 1
        plain = self.chunks.read_run(first, count, cached_only=cached_only)
        base = first << self._shift
        return plain[plain_offset - base : end - base]

    def write(self, plain_offset: int, data: bytes | memoryview) -> int:
        """Write `data` at `plain_offset`, the gap after the old end (if any) reading as zeros.

        Raises:
            CorruptFileError: a chunk to be changed in part does not authenticate.
            OSError: EFBIG, and from the store; the file is as readable as before.
        """
        if not data:
            return 0
        size = self.chunks.size
        end = plain_offset + len(data)
        _check_size(end)
        if not self._strays:
            self._hold_times()
        if plain_offset > size:
            self._extend(plain_offset)
            size = self.chunks.size
        first = plain_offset >> self._shift
        plain = memoryview(data)
        head = plain_offset & self._mask
        keeps_tail = end < size and end & self._mask
        if head or keeps_tail:
            plain = self._merge(first, head, plain, end, size)
        self.chunks.write_run(first, plain, max(size, end))
        return len(data)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, or extend it with zeros that take no room.

        Raises:
            CorruptFileError: the chunk that is cut does not authenticate.
            OSError: EFBIG, and from the store.
        """
        _check_size(size)
        if size > self.chunks.size:
            self._extend(size)
        elif size < self.chunks.size:
            self._cut(size)

    def rewrap(self, keys: FileKeys) -> None:
        """Go on with the same data key, wrapped in another way; content and times stay.

        Raises:
            OSError: from the store; the header is as it was.
        """
        with self._keeping_times():
            self.chunks.rewrap(keys)

    def bind(self, binding: bytes | None, next_binding: bytes | None = None) -> None:
        """Tie the file to a place, and to one that it is about to get; content and times stay.

        Raises:
            OSError: from the store; the header is as it was.
        """
        with self._keeping_times():
            self.chunks.bind(binding, next_binding)

    def untie(self) -> None:
        """Let the file be found under any name; content and times stay.

        Raises:
            OSError: from the store; the header is as it was.
        """
        with self._keeping_times():
            self.chunks.untie()

    def allocate(self, plain_offset: int, length: int, *, keep_size: bool) -> None:
        """Take room on the store for a range, and grow the file to its end unless `keep_size`.

        Raises:
            OSError: ENOSPC and EFBIG, the file as it was; EOPNOTSUPP where the store cannot.
        """
        end = plain_offset + length
        _check_size(end)
        self._hold_times()
        allocating.allocate(self.chunks, plain_offset >> self._shift, ((end - 1) >> self._shift) + 1)
        if end > self.chunks.size and not keep_size:
            self._extend(end)

    def zero(self, plain_offset: int, length: int) -> None:
        """Make a range read as zeros as far as there is content; whole chunks of it take no room then.

        Raises:
            CorruptFileError: a chunk that is changed in part does not authenticate.
            OSError: from the store; EOPNOTSUPP where it cannot, nothing changed.
        """
        size = self.chunks.size
        end = min(plain_offset + length, size)
        if plain_offset >= end:
            return
        self._hold_times()
        first = -(-plain_offset >> self._shift)
        last = (end >> self._shift) if end < size else ((size - 1) >> self._shift) + 1
        if first < last:
            allocating.punch(self.chunks, first, last)
        head = min(first << self._shift, end)
        for start, stop in ((plain_offset, head), (max(last << self._shift, head), end)):
            if start < stop:
                self.write(start, bytes(stop - start))

    def settle(self, *, data_only: bool = False) -> None:
        """Bring to the store what is still only here: the header of a file never written to, and the times.

        Those wait where it is about data only, as for fdatasync(2).
        """
        if not self.chunks.size and self.chunks.is_writable:
            self._hold_times()
        self.chunks.settle()
        if self._strays and self._times_ns is not None and not data_only:
            try:
                backing.futimens(self.chunks.fd, self._times_ns)
            except PermissionError:
                # A file of somebody else's may be written to, but has its times from the store alone.
                self._times_ns = None
            self._strays = False

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Set the times, in nanoseconds since the epoch; None keeps what the kernel has last been told."""
        self.chunks.settle()
        if atime_ns is None or mtime_ns is None:
            atime, mtime = self._known_times()
            wanted = atime if atime_ns is None else atime_ns, mtime if mtime_ns is None else mtime_ns
        else:
            wanted = atime_ns, mtime_ns
        backing.futimens(self.chunks.fd, wanted)
        self._strays, self._times_ns = False, wanted

    def close(self) -> None:
        """Settle and close."""
        try:
            self.settle()
        finally:
            self.chunks.close()

    @contextmanager
    def _keeping_times(self) -> Iterator[None]:
        """Let the body write the header of a file that nobody has changed."""
        if self._strays or not self.chunks.has_header:
            yield
            return
        self._hold_times()
        try:
            yield
        finally:
            self.settle()

    def _hold_times(self) -> None:
        """Note what the times are before the store changes them."""
        self._times_ns = self._known_times()
        self._strays = True

    def _known_times(self) -> tuple[int, int]:
        if self._times_ns is not None:
            return self._times_ns
        status = os.fstat(self.chunks.fd)
        return status.st_atime_ns, status.st_mtime_ns

    def _merge(self, first: int, head: int, data: memoryview, end: int, size: int) -> memoryview:
        """Return `data` widened to whole chunks with what the file holds around it."""
        last = (end - 1) >> self._shift
        base = first << self._shift
        merged = bytearray(max(end, min(size, (last + 1) << self._shift)) - base)
        if head:
            merged[:head] = self.chunks.read_run(first, 1)[:head]
        if end < size and end & self._mask:
            old = self.chunks.read_run(last, 1)
            kept = end - (last << self._shift)
            merged[end - base :] = old[kept:]
        merged[head : head + len(data)] = data
        return memoryview(merged)

    def _extend(self, size: int) -> None:
        """Grow to `size` with zeros: the last chunk is padded unless it is a hole, what follows is one."""
        old = self.chunks.size
        last = old >> self._shift
        if old & self._mask and not self.chunks.is_hole(last):
            length = min(self._chunk_size, size - (last << self._shift))
            padded = bytearray(length)
            tail = self.chunks.read_run(last, 1)
            padded[: len(tail)] = tail
            self.chunks.write_run(last, memoryview(padded), (last << self._shift) + length)
        if size > self.chunks.size:
            try:
                self.chunks.extend(size)
            except OSError:
                self.truncate(old)
                raise

    def _cut(self, size: int) -> None:
        last, kept = size >> self._shift, size & self._mask
        if not kept or self.chunks.is_hole(last):
            kept = 0
        self.chunks.cut(size, memoryview(bytes(self.chunks.read_run(last, 1)[:kept]) if kept else b""))


def _check_size(size: int) -> None:
    if size > MAX_PLAIN_SIZE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
