"""Owns the arithmetic between plaintext offsets, chunks and offsets in the backing file. Pure integers.

A backing file is a header and then one record per chunk: 40 bytes of salt, nonce and tag around up to
`chunk_size` bytes of ciphertext. Only the last record may be shorter.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Final

RECORD_OVERHEAD: Final = 40
MIN_CHUNK_SHIFT: Final = 12
MAX_CHUNK_SHIFT: Final = 20
MAX_PLAIN_SIZE: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of one file: `header_size` bytes of header, chunks of 2**`chunk_shift` bytes.

    Attributes:
        header_size: backing bytes before the first record.
        chunk_shift: log2 of `chunk_size`.
        chunk_size: plaintext bytes of a whole chunk.
        record_size: backing bytes of a whole chunk.
    """

    header_size: int
    chunk_shift: int
    chunk_size: int = field(init=False)
    record_size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunk_size", 1 << self.chunk_shift)
        object.__setattr__(self, "record_size", (1 << self.chunk_shift) + RECORD_OVERHEAD)

    def backing_offset(self, chunk_index: int) -> int:
        """Return where the record of a chunk begins in the backing file."""
        return self.header_size + chunk_index * self.record_size

    def chunk_count(self, plain_size: int) -> int:
        """Return how many chunks hold `plain_size` bytes."""
        return (plain_size + self.chunk_size - 1) >> self.chunk_shift

    def backing_size(self, plain_size: int) -> int:
        """Return the backing size of a file of `plain_size` bytes."""
        count = (plain_size + self.chunk_size - 1) >> self.chunk_shift
        return self.header_size + plain_size + count * RECORD_OVERHEAD

    def plain_size(self, backing_size: int) -> int:
        """Return the plaintext size that `backing_size` stands for.

        A size that no file of this geometry can have (a torn header or record) is rounded down to the last
        whole byte of plaintext before it; `open` is where such a file is refused.
        """
        body = backing_size - self.header_size
        if body <= 0:
            return 0
        whole, rest = divmod(body, self.record_size)
        return (whole << self.chunk_shift) + max(rest - RECORD_OVERHEAD, 0)

    def chunk_length(self, chunk_index: int, plain_size: int) -> int:
        """Return the plaintext bytes that chunk `chunk_index` holds in a file of `plain_size` bytes."""
        return max(0, min(self.chunk_size, plain_size - (chunk_index << self.chunk_shift)))


@cache
def geometry_of(header_size: int, chunk_shift: int) -> Geometry:
    """Return the one Geometry of these parameters: files share it."""
    return Geometry(header_size, chunk_shift)
