"""Owns room on the store for chunks: taken ahead, given back. Knows nothing of bytes within a chunk.

Beside `backing`, which has all other system calls on the ciphertext directory. A record of zeros is a hole.
"""

import ctypes
import os
from typing import Final

from kmsfs.chunkfile import ChunkFile

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2


def allocate(chunks: ChunkFile, first_index: int, stop_index: int) -> None:
    """Take room for chunks, those behind the end of the file too.

    Raises:
        OSError: ENOSPC, the file as it was; EOPNOTSUPP where the store has no such call.
    """
    start = chunks.geometry.backing_offset(first_index)
    _fallocate(chunks.fd, _KEEP_SIZE, start, chunks.geometry.backing_offset(stop_index) - start)


def punch(chunks: ChunkFile, first_index: int, stop_index: int) -> None:
    """Make holes of chunks, the last one of the file whole even where it is short.

    The header first: it says that there may be holes, which is no harm without them.

    Raises:
        OSError: what the store said; EOPNOTSUPP where it has no such call.
    """
    chunks.allow_holes()
    _fallocate(chunks.fd, _KEEP_SIZE | _PUNCH_HOLE, *chunks.extent(first_index, stop_index - first_index))


def _fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    if _LIBC.fallocate64(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
