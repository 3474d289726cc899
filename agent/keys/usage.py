"""Owns the value that tells of a key's last use, and what it takes to be asked for one."""

from dataclasses import dataclass
from typing import Protocol

from agent.api.enums import KeyLastUsageOperation


@dataclass(frozen=True, slots=True)
class LastUsage:
    """The last successful use of a key's material.

    Attributes:
        timestamp: seconds since the epoch.
        event_id: of the audit record.
        request_id: as the caller was told.
    """

    operation: KeyLastUsageOperation
    timestamp: float
    event_id: str
    request_id: str


class LastUsages(Protocol):
    """What knows of the last use of each key."""

    @property
    def tracking_start(self) -> float:
        """Since when uses are known, seconds since the epoch."""

    def last(self, key_arn: str) -> LastUsage | None:
        """Return the last successful cryptographic operation with a key; None if there was none."""
