"""Owns the value that tells of a key's last use."""

from dataclasses import dataclass

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
