"""Owns how much is kept of a file that a crash caught between its data and its header. Asked only after one.

Header and data of a file are not ordered on disk. What a program has synced is never touched here: fsync
brings both to disk in agreement. Changes nothing itself.
"""

from kmsfs.chunkfile import ChunkFile
from kmsfs.geometry import RECORD_OVERHEAD
from kmsfs.pulse import Pulse


def authenticated_size(chunks: ChunkFile, backing_size: int, pulse: Pulse) -> int:
    """Return the size of the longest prefix of the file that authenticates, in plaintext bytes.

    Args:
        chunks: the file; its sealed size contradicts `backing_size`.
        backing_size: bytes that the store has of it.
        pulse: a long file is long work.
    """
    geometry = chunks.geometry
    sealed = chunks.size
    last, rest = divmod(sealed, geometry.chunk_size)
    if backing_size >= chunks.backing_size:
        # Grown or being cut when it happened: as sealed, if the chunk at the sealed end says so too.
        if not rest or chunks.authenticates(last, rest):
            return sealed
        index = last
    else:
        index = _first_bad(chunks, min(last, _whole_records(chunks, backing_size)), pulse)
    while _whole_records(chunks, backing_size) > index and chunks.authenticates(index, geometry.chunk_size):
        pulse.beat()
        index += 1
    tail = backing_size - geometry.backing_offset(index) - RECORD_OVERHEAD
    partial = tail if 0 < tail < geometry.chunk_size and chunks.authenticates(index, tail) else 0
    return (index << geometry.chunk_shift) + partial


def _whole_records(chunks: ChunkFile, backing_size: int) -> int:
    geometry = chunks.geometry
    return max(backing_size - geometry.header_size, 0) // geometry.record_size


def _first_bad(chunks: ChunkFile, count: int, pulse: Pulse) -> int:
    """Return the first of `count` whole chunks that does not authenticate, or `count`."""
    for index in range(count):
        pulse.beat()
        if not chunks.authenticates(index, chunks.geometry.chunk_size):
            return index
    return count
