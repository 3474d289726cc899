"""Owns the shapes of the operations on the rotation of key material."""

from typing import Annotated

from msgspec import Meta

from agent.api.enums import ExpirationModel, ImportState, IncludeKeyMaterial, KeyMaterialState, RotationType
from agent.api.shapes.base import KeyId, KeyMaterialId, Limit, Marker, RotationPeriodInDays, Shape

KeyMaterialDescription = Annotated[
    str, Meta(min_length=0, max_length=256, pattern=r"\A(?a:^[a-zA-Z0-9:/_\s.-]+$)\Z")
]


class EnableKeyRotationRequest(Shape, frozen=True, kw_only=True):
    """Request of EnableKeyRotation."""

    key_id: KeyId
    rotation_period_in_days: RotationPeriodInDays | None = None


class DisableKeyRotationRequest(Shape, frozen=True, kw_only=True):
    """Request of DisableKeyRotation."""

    key_id: KeyId


class GetKeyRotationStatusRequest(Shape, frozen=True, kw_only=True):
    """Request of GetKeyRotationStatus."""

    key_id: KeyId


class GetKeyRotationStatusResponse(Shape, frozen=True, kw_only=True):
    """Response of GetKeyRotationStatus; period and next date only while automatic rotation is on."""

    key_rotation_enabled: bool
    key_id: KeyId | None = None
    rotation_period_in_days: RotationPeriodInDays | None = None
    next_rotation_date: float | None = None
    on_demand_rotation_start_date: float | None = None


class RotateKeyOnDemandRequest(Shape, frozen=True, kw_only=True):
    """Request of RotateKeyOnDemand."""

    key_id: KeyId


class RotateKeyOnDemandResponse(Shape, frozen=True, kw_only=True):
    """Response of RotateKeyOnDemand."""

    key_id: KeyId


class ListKeyRotationsRequest(Shape, frozen=True, kw_only=True):
    """Request of ListKeyRotations; completed rotations only, unless all key material is asked for."""

    key_id: KeyId
    include_key_material: IncludeKeyMaterial | None = None
    limit: Limit | None = None
    marker: Marker | None = None


class RotationsListEntry(Shape, frozen=True, kw_only=True):
    """One rotation, or one generation of key material."""

    key_id: KeyId | None = None
    key_material_id: KeyMaterialId | None = None
    key_material_description: KeyMaterialDescription | None = None
    import_state: ImportState | None = None
    key_material_state: KeyMaterialState | None = None
    expiration_model: ExpirationModel | None = None
    valid_to: float | None = None
    rotation_date: float | None = None
    rotation_type: RotationType | None = None


class ListKeyRotationsResponse(Shape, frozen=True, kw_only=True):
    """Response of ListKeyRotations; `next_marker` only if truncated."""

    rotations: tuple[RotationsListEntry, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None
