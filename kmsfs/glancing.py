"""Owns looking at what stands under names on the store, without letting other requests wait for a slow one.

A worker thread looks; who asked then asks again, and finds here what it saw. That is still so: the kernel
lets nobody change a directory while it looks for a name in it. Knows nothing of plain names.
"""

import os
from functools import partial

from kmsfs import backing
from kmsfs.errors import WaitNeededError
from kmsfs.pace import Pace

Seen = os.stat_result | OSError
"""What was seen under a name: what stands there, or why that cannot be told."""


def look(pace: Pace, dirfd: int, stored: bytes) -> Seen:
    """Look at one entry, and note how long the store took."""
    asked = pace.now()
    try:
        return backing.stat(dirfd, stored)
    except OSError as error:
        return error
    finally:
        pace.answered(asked)


def told(seen: Seen) -> os.stat_result:
    """Return what was seen, or raise."""
    if isinstance(seen, OSError):
        raise seen
    return seen


class _Glance:
    """What was seen under one name; None until then. For all who wait for it."""

    __slots__ = ("seen", "waiters")

    def __init__(self) -> None:
        self.seen: Seen | None = None
        self.waiters = 0

    def look(self, pace: Pace, dirfd: int, stored: bytes) -> None:
        """Look, and close the directory's descriptor; for a worker thread."""
        try:
            self.seen = look(pace, dirfd, stored)
        finally:
            os.close(dirfd)


class Glancing:
    """Looks at the entries of a mount's directories.

    Args:
        pace: of the store.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._glances: dict[tuple[int, bytes], _Glance] = {}

    def stat(self, dirfd: int, directory: int, stored: bytes) -> os.stat_result:
        """Describe one entry.

        Args:
            dirfd: descriptor of its directory.
            directory: that directory's number.
            stored: the entry's name on the store.

        Raises:
            OSError: ENOENT, and what else the store says.
            WaitNeededError: the store has been slow, and has to be asked first.
        """
        glance = self._glances.get((directory, stored)) if self._glances else None
        if glance is None and not self._pace.is_slow:
            return told(look(self._pace, dirfd, stored))
        if glance is None:
            glance = self._glances[directory, stored] = _Glance()
        if glance.seen is None:
            work = partial(glance.look, self._pace, os.dup(dirfd), stored)
            glance.waiters += 1
            raise WaitNeededError(work, asks_agent=False)
        glance.waiters -= 1
        if glance.waiters <= 0:
            del self._glances[directory, stored]
        return told(glance.seen)
