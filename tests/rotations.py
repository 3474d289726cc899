"""Rotation on demand through a real agent, to its end: it goes on in the background after the answer."""

import time

from agent.api.operations import GET_KEY_ROTATION_STATUS, ROTATE_KEY_ON_DEMAND
from agent.api.shapes.rotation import GetKeyRotationStatusRequest, RotateKeyOnDemandRequest
from agent.client import AgentClient

_SECONDS = 60
_PAUSE_SECONDS = 0.005


def rotate(client: AgentClient, key_id: str) -> None:
    """Rotate a key, and return when its new material is current."""
    client.call(ROTATE_KEY_ON_DEMAND, RotateKeyOnDemandRequest(key_id=key_id))
    wait_until_rotated(client, key_id)


def wait_until_rotated(client: AgentClient, key_id: str) -> None:
    """Return when no rotation of the key is under way."""
    request = GetKeyRotationStatusRequest(key_id=key_id)
    deadline = time.monotonic() + _SECONDS
    while client.call(GET_KEY_ROTATION_STATUS, request).on_demand_rotation_start_date is not None:
        assert time.monotonic() < deadline, f"{key_id} is still being rotated"
        time.sleep(_PAUSE_SECONDS)
