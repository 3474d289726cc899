"""Owns the shapes of the operation on a key's last usage."""

from typing import Annotated

from msgspec import Meta

from agent.api.enums import KeyLastUsageOperation
from agent.api.shapes.base import KeyId, Shape

CloudTrailEventId = Annotated[str, Meta()]
KmsRequestId = Annotated[str, Meta()]


class GetKeyLastUsageRequest(Shape, frozen=True, kw_only=True):
    """Request of GetKeyLastUsage."""

    key_id: KeyId


class KeyLastUsageData(Shape, frozen=True, kw_only=True):
    """The last successful use of a key's material."""

    operation: KeyLastUsageOperation | None = None
    timestamp: float | None = None
    cloud_trail_event_id: CloudTrailEventId | None = None
    kms_request_id: KmsRequestId | None = None


class GetKeyLastUsageResponse(Shape, frozen=True, kw_only=True):
    """Response of GetKeyLastUsage."""

    key_id: KeyId
    key_last_usage: KeyLastUsageData | None = None
    tracking_start_date: float | None = None
    key_creation_date: float | None = None
