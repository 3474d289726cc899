"""Owns saying now and then that long work before a mount goes on, to the log and to the service manager."""

import logging
import time
from typing import Final

from kmsfs.notify import notify_manager

_LOG: Final = logging.getLogger(__name__)

_PERIOD_SECONDS: Final = 5
# Far more than a beat may be late, so that only work that hangs is given up on.
_EXTENSION_USEC: Final = 300 * 1_000_000


class Pulse:
    """Progress of one piece of work.

    Args:
        work: what is going on, such as "recovery".

    Attributes:
        checked: how many files have been looked at; whoever looks at them counts it up.
    """

    __slots__ = ("_due", "_work", "checked")

    def __init__(self, work: str) -> None:
        self.checked = 0
        self._work = work
        self._due = 0.0

    def beat(self) -> None:
        """Say that the work goes on, unless that was said just now; cheap enough to call all the time."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _PERIOD_SECONDS
        progress = f"{self._work}: {self.checked} files checked so far"
        _LOG.info("%s", progress)
        notify_manager(f"EXTEND_TIMEOUT_USEC={_EXTENSION_USEC}\nSTATUS={progress}")
