"""What an agent tells about itself at ``GET /status``. No secret is in it: anyone who may connect may ask."""

from __future__ import annotations

import msgspec


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A running agent.

    ``started`` is in seconds since the epoch, ``doors`` the addresses that it serves, ``audit`` how the audit
    log is: ``writing``, or ``failing: `` and the cause.
    """

    state: str
    version: str
    pid: int
    started: float
    doors: tuple[str, ...]
    region: str
    account_id: str
    state_directory: str
    audit_log: str
    audit: str
    memory_locked: bool
