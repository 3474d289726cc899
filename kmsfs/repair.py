"""Owns how much is kept of a file that a crash caught between its data and its header. Asked only after one.

Header and data of a file are not ordered on disk. What a program has synced is never touched here: fsync
brings both to disk in agreement. A record that is written over in place may be torn, anywhere in the file, so
a bad one says nothing about those behind it. Changes nothing itself.
"""

from collections.abc import Iterator
from typing import Final

from kmsfs.chunkfile import ChunkFile
from kmsfs.geometry import RECORD_OVERHEAD
from kmsfs.pulse import Pulse

_SECTOR: Final = 512
# A record ends in a tag, which may itself end in zeros.
_ZEROS_OF_A_TAG: Final = 3


def authenticated_size(chunks: ChunkFile, backing_size: int, pulse: Pulse) -> int:
    """Return what the size of the file is, in plaintext bytes: as sealed, or as the store's records have it.

    Args:
        chunks: the file.
        backing_size: bytes that the store has of it.
        pulse: a long file is long work.
    """
    if backing_size > chunks.backing_size:
        return _grown(chunks, backing_size, pulse)
    sealed = chunks.size
    end = _good_end(chunks, backing_size, pulse)
    # With the right length, only a shorter record at the end says that the header came too early.
    is_whole = backing_size == chunks.backing_size
    return sealed if is_whole and not end % chunks.geometry.chunk_size else end


def _grown(chunks: ChunkFile, backing_size: int, pulse: Pulse) -> int:
    """Grown or being cut when it happened: as sealed, if the chunk at the sealed end says so too."""
    geometry = chunks.geometry
    index, rest = divmod(chunks.size, geometry.chunk_size)
    if not rest or chunks.authenticates(index, rest):
        return chunks.size
    while _whole_records(chunks, backing_size) > index and chunks.authenticates(index, geometry.chunk_size):
        pulse.beat()
        index += 1
    return (index << geometry.chunk_shift) + _partial(chunks, index, backing_size)


def _good_end(chunks: ChunkFile, backing_size: int, pulse: Pulse) -> int:
    """Return where the last record that authenticates ends."""
    geometry = chunks.geometry
    count = _whole_records(chunks, backing_size)
    for index in range(count, -1, -1):
        pulse.beat()
        if index < count and chunks.authenticates(index, geometry.chunk_size):
            return (index + 1) << geometry.chunk_shift
        if partial := _partial(chunks, index, backing_size):
            return (index << geometry.chunk_shift) + partial
    return 0


def _partial(chunks: ChunkFile, index: int, backing_size: int) -> int:
    """Return the length of a record that is shorter than a whole one; 0 if there is none."""
    start = chunks.geometry.backing_offset(index)
    raw = chunks.stored(index, backing_size)
    for end in _ends(raw, -start % _SECTOR or _SECTOR):
        length = end - RECORD_OVERHEAD
        if 0 < length < chunks.geometry.chunk_size and chunks.authenticates(index, length):
            return length
    return 0


def _ends(raw: bytes, edge: int) -> Iterator[int]:
    """Yield where a record may end: where the store's bytes do, or where the rest of a sector is zeros.

    Args:
        raw: what the store has at a record's place.
        edge: where in it the first sector ends.
    """
    yield len(raw)
    before = b"\1"
    for start, end in zip(
        (0, *range(edge, len(raw), _SECTOR)), range(edge, len(raw) + _SECTOR, _SECTOR), strict=False
    ):
        sector = raw[start:end]
        kept = sector.rstrip(b"\0")
        if len(kept) < len(sector) and (kept or before[-1]):
            yield from range(start + len(kept), min(start + len(kept) + _ZEROS_OF_A_TAG, len(raw)))
        before = sector


def _whole_records(chunks: ChunkFile, backing_size: int) -> int:
    geometry = chunks.geometry
    return max(backing_size - geometry.header_size, 0) // geometry.record_size
