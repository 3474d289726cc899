"""Owns what a mount counts for `kmsfs status`. Knows nothing of who counts or who asks."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the mount began; plain integers, raised in place by whoever sees the event.

    Attributes:
        integrity_errors: reads, opens and lookups refused because something did not authenticate.
        damaged_entries: how many things that is about, as far as they are listed one by one.
        repaired_files: files cut back to their longest authenticated prefix, or found without a header and
            emptied, after an unclean mount.
        key_errors: opens refused because a key could not be had.
        unforeseen_errors: requests answered EIO because of an exception nobody expected; each has a traceback
            in the log.
    """

    integrity_errors: int = 0
    damaged_entries: int = 0
    repaired_files: int = 0
    key_errors: int = 0
    unforeseen_errors: int = 0
