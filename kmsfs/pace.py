"""Owns how quick the store has been lately: whether to wait for it on the event loop or in a thread.

A thread costs some fifty microseconds; a store behind a network, or a disk that has to seek, takes longer
than that for a name. Knows nothing of what is asked of the store.
"""

import time
from typing import Final

from kmsfs import backing

# Neither a store in memory nor one on flash takes so long for what is in its cache.
_SLOW_NANOSECONDS: Final = 500_000
# One slow answer makes the next ones come from threads, until so many in a row were quick.
_DOUBTS: Final = 16


class Pace:
    """How quick a mount's store is.

    Args:
        root_fd: a descriptor on the store.
        may_wait: whether anybody is there to wait in a thread.

    Attributes:
        is_slow: the next answer may take long.
    """

    __slots__ = ("_counts", "_doubts", "is_slow")

    def __init__(self, root_fd: int, *, may_wait: bool) -> None:
        self._counts = may_wait and not backing.is_memory(root_fd)
        self._doubts = 0
        self.is_slow = False

    def now(self) -> int:
        """Return the time at which something is asked of the store, in nanoseconds, for `answered`."""
        return time.monotonic_ns() if self._counts else 0

    def answered(self, asked: int) -> None:
        """Note that the store has answered what it was asked at `asked`; may be called in a thread."""
        if not self._counts:
            return
        if time.monotonic_ns() - asked >= _SLOW_NANOSECONDS:
            self._doubts = _DOUBTS
        elif self._doubts:
            self._doubts -= 1
        self.is_slow = self._doubts > 0
