"""Owns room on the disk that is taken before it is needed: fallocate(2). Knows nothing of what will fill it.

Records of requests that already run must find room although the disk has become full meanwhile, so the log
always has some ahead. Where the filesystem cannot do that there is none, and only the write itself tells.
"""

import ctypes
import errno
import os
from typing import Final

RESERVE_BYTES: Final = 1024 * 1024  # what is always ahead: the records of all connections at once
STEP_BYTES: Final = 4 * 1024 * 1024  # what is taken at a time, so that few batches wait for it

_KEEP_SIZE: Final = 1
_NOT_SUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class Reserve:
    """The room ahead of one open file.

    Args:
        fd: the file's descriptor; the reserve does not own it.
    """

    __slots__ = ("_end", "_fd", "_libc", "_supported")

    def __init__(self, fd: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = fd
        self._end = 0
        self._supported = True

    def extend(self, size_bytes: int) -> None:
        """See that there is room after the first `size_bytes` of the file.

        Raises:
            OSError: there is none.
        """
        if not self._supported or self._end >= size_bytes + RESERVE_BYTES:
            return
        try:
            self._take(size_bytes + RESERVE_BYTES + STEP_BYTES)
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                self._supported = False
                return
            # The last of the disk is still enough for what runs now.
            self._take(size_bytes + RESERVE_BYTES)

    def forget(self) -> None:
        """Count what was taken as given back: the file was truncated to its end."""
        self._end = 0

    def _take(self, end: int) -> None:
        # From the start: what is there already costs nothing, and a new file's end need not be known.
        offset, length = ctypes.c_int64(0), ctypes.c_int64(end)
        if self._libc.fallocate(self._fd, _KEEP_SIZE, offset, length) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._end = end
