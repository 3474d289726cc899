"""Owns the one spelling of a moment in a volume description: UTC, such as "2026-01-31T23:59:59Z". Pure."""

import calendar
import re
import time
from typing import Final

PATTERN: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"

_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


def spell(epoch_seconds: float) -> str:
    """Return the spelling of a moment, cut to whole seconds."""
    return time.strftime(_FORMAT, time.gmtime(epoch_seconds))


def read(text: str) -> int:
    """Return the moment that `text` spells, in seconds since the epoch.

    Raises:
        ValueError: it spells none.
    """
    if re.fullmatch(PATTERN, text, re.ASCII) is None:
        raise ValueError("not of the form 2026-01-31T23:59:59Z")
    return calendar.timegm(time.strptime(text, _FORMAT))
