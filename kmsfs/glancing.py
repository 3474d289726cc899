"""Owns looking at what stands under names on the store, without letting other requests wait for a slow one.

A worker thread looks; who asked then asks again, and finds here what it saw. That is still so: the kernel
lets nobody change a directory while it looks for a name in it. Knows nothing of plain names.
"""

import os
from functools import partial

from kmsfs import backing
from kmsfs.errors import WaitNeededError
from kmsfs.pace import Pace


class _Glance:
    """What was seen under one name, a refusal included; None until then. For all who wait for it."""

    __slots__ = ("seen", "waiters")

    def __init__(self) -> None:
        self.seen: os.stat_result | OSError | None = None
        self.waiters = 0

    def look(self, pace: Pace, dirfd: int, stored: bytes) -> None:
        """Look, and close the directory's descriptor; for a worker thread."""
        asked = pace.now()
        try:
            self.seen = backing.stat(dirfd, stored)
        except OSError as error:
            self.seen = error
        finally:
            os.close(dirfd)
        pace.answered(asked)


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
            asked = self._pace.now()
            try:
                return backing.stat(dirfd, stored)
            finally:
                self._pace.answered(asked)
        if glance is None:
            glance = self._glances[directory, stored] = _Glance()
        if glance.seen is None:
            glance.waiters += 1
            raise WaitNeededError(partial(glance.look, self._pace, os.dup(dirfd), stored), asks_agent=False)
        glance.waiters -= 1
        if glance.waiters <= 0:
            del self._glances[directory, stored]
        if isinstance(glance.seen, OSError):
            raise glance.seen
        return glance.seen
