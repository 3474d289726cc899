"""Owns one backing file as header and chunks: whole-chunk runs in, whole-chunk runs out, size sealed.

Knows nothing of partial chunks, of names or of who has the file open. What it raises: CorruptHeaderError,
CorruptFileError, KeyUnavailableError, OSError from the store.
"""

import errno
import os

from kmsfs import backing, header, xaes
from kmsfs.chunks import ChunkCodec, ChunkError
from kmsfs.errors import CorruptFileError
from kmsfs.geometry import RECORD_OVERHEAD, geometry_of
from kmsfs.header import FileKeys, Flags, NewFile, SealedBlock
from kmsfs.scratch import Scratch


class ChunkFile:
    """One backing file.

    Args:
        fd: descriptor of it; closed by `close`.
        inode: its inode number, for messages.
        keys: its keys, or for a new file what they will be drawn from.
        block: what its header seals; for a new file, that of an empty one.
        on_disk: False for a new file whose header is still to be written, with its first chunk or at close.
        scratch: the mount's buffers.
        session: the session that its header was read in; most chunks of a small file share it.
    """

    __slots__ = (
        "_block", "_codec", "_keys", "_new", "_on_disk", "_owed", "_scratch", "fd", "geometry", "inode",
    )  # fmt: skip

    _keys: FileKeys
    _codec: ChunkCodec

    def __init__(
        self,
        fd: int,
        inode: int,
        keys: FileKeys | NewFile,
        block: SealedBlock,
        scratch: Scratch,
        session: xaes.Session | None = None,
        *,
        on_disk: bool,
    ) -> None:
        self.fd = fd
        self.inode = inode
        self.geometry = geometry_of(header.HEADER_UNIT, keys.chunk_shift)
        self._block = block
        self._new: NewFile | None = None
        if isinstance(keys, NewFile):
            self._new = keys
        else:
            self._take(keys)
            if session is not None:
                self._codec.remember(session)
        self._on_disk = on_disk
        # What `_take_back` has to do, where the store has refused even that.
        self._owed: tuple[int, bytes] | None = None
        self._scratch = scratch

    def prepare(self) -> None:
        """Draw the keys of a new file, and its first session, unless that is done; the first write has to."""
        if self._new is not None:
            self._take(self._new.draw())
            self._new = None
            self._codec.session(0)

    def _take(self, keys: FileKeys) -> None:
        self._keys = keys
        self._codec = ChunkCodec(keys.content_key, keys.file_id, 1 << keys.chunk_shift)

    @property
    def size(self) -> int:
        """Plaintext size in bytes, as sealed."""
        return self._block.size

    @property
    def file_id(self) -> bytes:
        """The 16-byte id that extended attributes are bound to."""
        self.prepare()
        return self._keys.file_id

    @property
    def clear(self) -> bytes:
        """The header up to the sealed block, as it is on disk or will be."""
        self.prepare()
        return self._keys.clear

    @property
    def has_header(self) -> bool:
        """Whether the header is on disk."""
        return self._on_disk

    @property
    def is_tied(self) -> bool:
        """Whether the header says where the file may be found; not where it has had several names."""
        return Flags.MULTI not in self._block.flags

    @property
    def binding(self) -> bytes | None:
        """The binding of the place that the file has for certain, if it is tied to any."""
        return self._block.binding

    @property
    def next_binding(self) -> bytes | None:
        """The binding of the place that it was moved to last."""
        return self._block.next_binding

    @property
    def may_have_holes(self) -> bool:
        """Whether chunks may be holes; where not, nobody has to look."""
        return Flags.SPARSE in self._block.flags

    @property
    def is_writable(self) -> bool:
        """Whether the descriptor was opened for writing."""
        return backing.is_writable(self.fd)

    def replace_fd(self, fd: int) -> None:
        """Go on with another opening of the same inode.

        The number stays: a worker thread may be about to sync or read it.
        """
        os.dup2(fd, self.fd, inheritable=False)
        os.close(fd)

    @property
    def backing_size(self) -> int:
        """The backing size that agrees with `size`."""
        return self.geometry.backing_size(self._block.size)

    def extent(self, first_index: int, chunk_count: int) -> tuple[int, int]:
        """Return backing offset and length of a run of chunks, cut at the end of the file."""
        start = self.geometry.backing_offset(first_index)
        end = min(self.geometry.backing_offset(first_index + chunk_count), self.backing_size)
        return start, max(end - start, 0)

    def read_run(self, first_index: int, chunk_count: int, *, cached_only: bool = False) -> memoryview:
        """Return the plaintext of a run of chunks, in the scratch buffer, cut at the end of the file.

        Raises:
            BlockingIOError: `cached_only` is set and the store would have to be waited for.
            CorruptFileError: a chunk does not authenticate, or the file ends too early.
        """
        if self._owed is not None and first_index <= self._owed[0] < first_index + chunk_count:
            self._take_back(self._owed)
        start, length = self.extent(first_index, chunk_count)
        self._scratch.reserve(chunk_count << self.geometry.chunk_shift, length)
        raw = self._scratch.raw[:length]
        if cached_only:
            if backing.pread_cached(self.fd, raw, start) != length:
                raise BlockingIOError
        elif (count := backing.pread_into(self.fd, [raw], start)) != length:
            raise CorruptFileError(self.inode, first_index + count // self.geometry.record_size, "truncated")
        sparse = Flags.SPARSE in self._block.flags
        try:
            count = self._codec.open(first_index, raw, self._scratch.plain, sparse=sparse)
        except ChunkError as error:
            raise CorruptFileError(self.inode, error.chunk_index, "does not authenticate") from error
        return self._scratch.plain[:count]

    def authenticates(self, chunk_index: int, length: int) -> bool:
        """Say whether the store holds a good record of `length` plaintext bytes for a chunk (for repair)."""
        raw = memoryview(bytearray(length + RECORD_OVERHEAD))
        if backing.pread_into(self.fd, [raw], self.geometry.backing_offset(chunk_index)) != len(raw):
            return False
        sparse = Flags.SPARSE in self._block.flags
        try:
            self._codec.open(chunk_index, raw, memoryview(bytearray(length)), sparse=sparse)
        except ChunkError:
            return False
        return True

    def stored(self, chunk_index: int, backing_size: int) -> bytes:
        """Return what a store that has `backing_size` bytes holds at the place of a record (for repair)."""
        start = self.geometry.backing_offset(chunk_index)
        raw = bytearray(max(min(backing_size - start, self.geometry.record_size), 0))
        return bytes(raw[: backing.pread_into(self.fd, [memoryview(raw)], start)])

    def is_hole(self, chunk_index: int) -> bool:
        """Say whether a chunk within the file was never written."""
        if Flags.SPARSE not in self._block.flags:
            return False
        start, length = self.extent(chunk_index, 1)
        raw = bytearray(length)
        return backing.pread_into(self.fd, [memoryview(raw)], start) == raw.count(0) == length

    def write_run(self, first_index: int, plain: memoryview, new_size: int) -> None:
        """Write consecutive chunks, and the size where it grows: data first, header after it.

        At the start of a file both go in one write. A failed write leaves the file as long as it was, and
        readable.

        Raises:
            OSError: what the store said.
        """
        self._take_back(self._owed)
        self.prepare()
        count = self.geometry.chunk_count(len(plain))
        self._scratch.reserve(0, len(plain) + count * RECORD_OVERHEAD)
        raw = self._scratch.raw[: self._codec.seal(first_index, plain, self._scratch.raw)]
        offset = self.geometry.backing_offset(first_index)
        grown = new_size > self._block.size or not self._on_disk
        block = self._resized(new_size) if grown else self._block
        together = grown and first_index == 0
        try:
            if together:
                backing.pwrite_all(self.fd, [self._sealed(block), raw], 0)
            else:
                backing.pwrite_all(self.fd, [raw], offset)
        except backing.ShortWriteError as error:
            self._undo(first_index, plain, error.written - (offset if together else 0))
            raise
        if grown and not together:
            try:
                backing.pwrite_all(self.fd, [self._sealed(block)], 0)
            except OSError:
                self._undo(first_index, plain, len(raw))
                raise
        self._block = block
        self._on_disk = True

    def cut(self, size: int, tail: memoryview) -> None:
        """Shrink to `size`: header first, so that a crash in between is seen and repaired, then the data.

        Args:
            size: bytes, fewer than there are.
            tail: what the last chunk keeps; empty where it is whole, or a hole.

        Raises:
            OSError: what the store said; the file is as long as it was, or the store has torn its last chunk.
        """
        self._take_back(self._owed)
        before = self._block
        last = size >> self.geometry.chunk_shift
        raw = memoryview(bytearray(len(tail) + RECORD_OVERHEAD))
        raw = raw[: self._codec.seal(last, tail, raw)]
        self._reseal(self._resized(size))
        self._owed = last, bytes(tail)
        try:
            backing.pwrite_all(self.fd, [raw], self.geometry.backing_offset(last))
        except backing.ShortWriteError as error:
            if not error.written:
                self._block = before
                self._take_back((-1, b""))
                raise
            # Half of it is there, so only the whole of it is any good.
            backing.pwrite_all(self.fd, [raw], self.geometry.backing_offset(last))
        self.fit()
        self._owed = None

    def extend(self, size: int) -> None:
        """Grow to `size` with a hole after whole chunks: backing file first, then the header."""
        self._take_back(self._owed)
        backing.truncate(self.fd, self.geometry.backing_size(size))
        try:
            self._reseal(self._resized(size, self._block.flags | Flags.SPARSE))
        except OSError:
            if self._on_disk:
                self._take_back((-1, b""))
            else:
                backing.truncate(self.fd, 0)
            raise

    def allow_holes(self) -> None:
        """Have the header say that there may be holes."""
        self._take_back(self._owed)
        if Flags.SPARSE not in self._block.flags:
            self._reseal(self._resized(self._block.size, self._block.flags | Flags.SPARSE))

    def rewrap(self, keys: FileKeys) -> None:
        """Go on with the same data key, wrapped in another way: one write of the header, if there is one.

        Raises:
            OSError: what the store said; the header is as it was.
        """
        self.prepare()
        before = self._keys
        if (keys.file_id, keys.content_key) != (before.file_id, before.content_key):
            raise AssertionError("wrapping a data key anew leaves the file as it is")
        self._keys = keys
        try:
            if self._on_disk:
                self._reseal(self._block)
        except backing.ShortWriteError as error:
            self._keys = before
            if error.written:
                self._reseal(self._block)
            raise

    def bind(self, binding: bytes | None, next_binding: bytes | None = None) -> None:
        """Tie the file to a place, and to one that it is about to get. One write of the header, if any.

        Raises:
            OSError: what the store said; the header is as it was.
        """
        self._rebind(SealedBlock(self._block.size, self._block.flags, binding, next_binding))

    def untie(self) -> None:
        """Let the file be found under any name, since it is about to have several.

        Raises:
            OSError: what the store said; the header is as it was.
        """
        self._rebind(SealedBlock(self._block.size, self._block.flags | Flags.MULTI))

    def repair(self, size: int) -> None:
        """Take `size` for the truth after a crash."""
        self._reseal(self._resized(size))
        self.fit()

    def fit(self) -> None:
        """Cut or extend the backing file to what the sealed size says."""
        backing.truncate(self.fd, self.backing_size)

    def settle(self) -> None:
        """Write the header of a file that has none yet, and take back what the store has refused to."""
        if not self._on_disk:
            self._reseal(self._block)
        self._take_back(self._owed)

    def close(self) -> None:
        """Close the descriptor; `settle` comes first."""
        os.close(self.fd)

    def _resized(self, size: int, flags: Flags | None = None) -> SealedBlock:
        block = self._block
        return SealedBlock(size, block.flags if flags is None else flags, block.binding, block.next_binding)

    def _reseal(self, block: SealedBlock) -> None:
        backing.pwrite_all(self.fd, [self._sealed(block)], 0)
        self._block = block
        self._on_disk = True

    def _rebind(self, block: SealedBlock) -> None:
        before = self._block
        if not self._on_disk:
            self._block = block
            return
        try:
            self._reseal(block)
        except backing.ShortWriteError as error:
            if error.written:
                self._reseal(before)
            raise

    def _sealed(self, block: SealedBlock) -> bytes:
        self.prepare()
        return header.seal(self._keys, self._codec.session(), block)

    def _undo(self, first_index: int, plain: memoryview, written: int) -> None:
        """After a failed write: old length, header in agreement, no chunk half written that need not be."""
        if not self._on_disk:
            backing.truncate(self.fd, 0)
            return
        whole, rest = divmod(max(written, 0), self.geometry.record_size)
        torn, last = first_index + whole, self.size >> self.geometry.chunk_shift
        keeps = 0
        if torn >= last and (torn, rest) > (last, 0):
            torn, keeps = last, self.geometry.chunk_length(last, self.size)
        elif rest:
            keeps = 1 << self.geometry.chunk_shift
        start = (torn - first_index) << self.geometry.chunk_shift
        self._owed = torn, bytes(plain[start : start + keeps])
        self._agree()
        try:
            self._write_owed()
        except backing.ShortWriteError as error:
            if error.errno == errno.EIO or Flags.SPARSE not in self._block.flags:
                raise
            # Only a hole has found no room: take back what was written into it.
            length = min(max(error.written, rest), keeps + RECORD_OVERHEAD)
            backing.pwrite_all(self.fd, [bytes(length)], self.geometry.backing_offset(torn))
        self._owed = None

    def _take_back(self, owed: tuple[int, bytes] | None) -> None:
        """Bring the store to what the file is: `owed` is a chunk of it with its index, or without content."""
        if owed is not None:
            self._owed = owed
            self._agree()
            self._write_owed()
            self._owed = None

    def _agree(self) -> None:
        self._reseal(self._block)
        self.fit()

    def _write_owed(self) -> None:
        if self._owed is not None and self._owed[1]:
            index, plain = self._owed
            raw = memoryview(bytearray(len(plain) + RECORD_OVERHEAD))
            self._codec.seal(index, memoryview(plain), raw)
            backing.pwrite_all(self.fd, [raw], self.geometry.backing_offset(index))
