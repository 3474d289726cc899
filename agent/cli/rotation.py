"""Waiting for a rotation on demand, which goes on in the background after the agent's answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agent.api import operations
from agent.api.errors import AccessDeniedException
from agent.api.shapes.rotation import GetKeyRotationStatusRequest

if TYPE_CHECKING:
    from agent.client import AgentClient

_PATIENCE_SECONDS: Final = 30.0
_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 1.0


def wait_until_rotated(client: AgentClient, key_id: str) -> bool:
    """Wait until no rotation of the key is under way; tell whether that was seen to happen.

    Who may rotate a key need not be allowed to ask about it: then there is nothing to see.
    """
    request = GetKeyRotationStatusRequest(key_id=key_id)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    pause_seconds = _FIRST_PAUSE_SECONDS
    while time.monotonic() < deadline:
        try:
            status = client.call(operations.GET_KEY_ROTATION_STATUS, request)
        except AccessDeniedException:
            return False
        if status.on_demand_rotation_start_date is None:
            return True
        time.sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
    return False
