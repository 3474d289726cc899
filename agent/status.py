"""What an agent tells about itself at ``GET /status``. No secret is in it: anyone who may connect may ask."""

from __future__ import annotations

import msgspec


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A running agent; ``started`` in seconds since the epoch, ``doors`` the addresses that it serves."""

    state: str
    version: str
    pid: int
    started: float
    doors: tuple[str, ...]
    region: str
    account_id: str
    state_directory: str
    audit_log: str
    memory_locked: bool
