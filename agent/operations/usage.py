"""Owns GetKeyLastUsage. Knows nothing of where uses are remembered."""

from typing import Final

from agent.api import operations as api
from agent.api.shapes.usage import GetKeyLastUsageRequest, GetKeyLastUsageResponse, KeyLastUsageData
from agent.operations import handler
from agent.operations.handler import Handler
from agent.operations.kms import Caller, Keys, Kms


def get_key_last_usage(
    kms: Kms, _caller: Caller, keys: Keys, _request: GetKeyLastUsageRequest
) -> GetKeyLastUsageResponse:
    """Tell the last successful cryptographic operation with a key, and since when uses are known."""
    (key,) = keys
    use = kms.usage.last(key.arn)
    data = KeyLastUsageData()
    if use is not None:
        data = KeyLastUsageData(
            operation=use.operation,
            timestamp=use.timestamp,
            cloud_trail_event_id=use.event_id,
            kms_request_id=use.request_id,
        )
    return GetKeyLastUsageResponse(
        key_id=key.key_id,
        key_last_usage=data,
        tracking_start_date=max(kms.usage.tracking_start, key.creation_date),
        key_creation_date=key.creation_date,
    )


HANDLERS: Final = (Handler(api.GET_KEY_LAST_USAGE, handler.key(api.GET_KEY_LAST_USAGE), get_key_last_usage),)
