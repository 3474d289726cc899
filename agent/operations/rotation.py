"""Owns the operations on rotation: its schedule, beginning one on demand, and what there was of it."""

from typing import Final

from agent.api import operations as api
from agent.api.enums import IncludeKeyMaterial, KeySpec
from agent.api.errors import UnsupportedOperationException
from agent.api.shapes.base import Empty
from agent.api.shapes.rotation import (
    DisableKeyRotationRequest,
    EnableKeyRotationRequest,
    GetKeyRotationStatusRequest,
    GetKeyRotationStatusResponse,
    ListKeyRotationsRequest,
    ListKeyRotationsResponse,
    RotateKeyOnDemandRequest,
    RotateKeyOnDemandResponse,
    RotationsListEntry,
)
from agent.keys import rotation as rules
from agent.keys.key import Key, KeyMaterial
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.keys import change
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page
from agent.operations.related import put_key, refuse_replica
from agent.operations.rotating import has_material, material_state, no_material
from agent.operations.targets import present

_LIST_LIMIT: Final = 100


def enable_key_rotation(kms: Kms, _caller: Caller, keys: Keys, request: EnableKeyRotationRequest) -> Empty:
    """Have the key's material replaced periodically, or change the period."""
    require_state(keys[0], "EnableKeyRotation")
    _require_symmetric(keys[0])
    refuse_replica(keys[0])
    now = kms.now()
    period = request.rotation_period_in_days
    change(kms, keys[0], "EnableKeyRotation", lambda key: rules.enable(key, period, now))
    return Empty()


def disable_key_rotation(kms: Kms, _caller: Caller, keys: Keys, _request: DisableKeyRotationRequest) -> Empty:
    """Stop periodic rotation; for keys that never rotate this is no news."""
    refuse_replica(keys[0])
    change(kms, keys[0], "DisableKeyRotation", rules.disable)
    return Empty()


def get_key_rotation_status(
    _kms: Kms, _caller: Caller, keys: Keys, _request: GetKeyRotationStatusRequest
) -> GetKeyRotationStatusResponse:
    """Return whether and when the key's material will be replaced; keys of every kind have an answer."""
    (key,) = keys
    require_state(key, "GetKeyRotationStatus")
    enabled = rules.is_enabled(key)
    return GetKeyRotationStatusResponse(
        key_rotation_enabled=enabled,
        key_id=key.key_id,
        rotation_period_in_days=key.rotation_period_days if enabled else None,
        next_rotation_date=key.next_rotation_date if enabled else None,
        on_demand_rotation_start_date=key.on_demand_rotation_start,
    )


def rotate_key_on_demand(
    kms: Kms, _caller: Caller, keys: Keys, _request: RotateKeyOnDemandRequest
) -> RotateKeyOnDemandResponse:
    """Begin to replace the key's material; the jobs do it at once. While one is under way it is that one."""
    require_state(keys[0], "RotateKeyOnDemand")
    _require_symmetric(keys[0])
    refuse_replica(keys[0])
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        require_state(key, "RotateKeyOnDemand")
        now = kms.now()
        if not rules.is_under_way(key):
            if not has_material(kms, key):
                raise no_material(key)
            rules.require_on_demand(key, now)
            put_key(kms, transaction, rules.begin_on_demand(key, now))
    kms.bell.ring()
    return RotateKeyOnDemandResponse(key_id=key.key_id)


def list_key_rotations(
    kms: Kms, _caller: Caller, keys: Keys, request: ListKeyRotationsRequest
) -> ListKeyRotationsResponse:
    """Return a page of the key's rotations, oldest first.

    On request with the first material and with imported material that waits. Keys that cannot rotate never
    did: their list is empty, and of their material nothing is told.
    """
    (key,) = keys
    require_state(key, "ListKeyRotations")
    include = request.include_key_material or IncludeKeyMaterial.ROTATIONS_ONLY
    everything = include is IncludeKeyMaterial.ALL_KEY_MATERIAL
    if everything:
        _require_symmetric(key)
    chosen, marker = page(
        [
            material
            for material in kms.store.materials(key.region, key.key_id)
            if everything or material.rotation_type is not None
        ],
        lambda material: f"{material.generation:08}",
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListKeyRotations {include} {key.key_id}",
    )
    return ListKeyRotationsResponse(
        rotations=tuple(_entry(kms, key, material) for material in chosen),
        next_marker=marker,
        truncated=marker is not None,
    )


def _entry(kms: Kms, key: Key, material: KeyMaterial) -> RotationsListEntry:
    return RotationsListEntry(
        key_id=key.key_id,
        key_material_id=material.material_id,
        key_material_description=material.description or None,
        import_state=material.import_state,
        key_material_state=material_state(kms, key, material),
        expiration_model=material.expiration_model,
        valid_to=material.valid_to,
        rotation_date=None if material.rotation_type is None else material.creation_date,
        rotation_type=material.rotation_type,
    )


def _require_symmetric(key: Key) -> None:
    if key.key_spec is not KeySpec.SYMMETRIC_DEFAULT:
        raise UnsupportedOperationException


HANDLERS: Final = (
    handler.Handler(
        api.ENABLE_KEY_ROTATION, handler.key(api.ENABLE_KEY_ROTATION), enable_key_rotation, mutates=True
    ),
    handler.Handler(
        api.DISABLE_KEY_ROTATION, handler.key(api.DISABLE_KEY_ROTATION), disable_key_rotation, mutates=True
    ),
    handler.Handler(
        api.GET_KEY_ROTATION_STATUS, handler.key(api.GET_KEY_ROTATION_STATUS), get_key_rotation_status
    ),
    handler.Handler(
        api.ROTATE_KEY_ON_DEMAND, handler.key(api.ROTATE_KEY_ON_DEMAND), rotate_key_on_demand, mutates=True
    ),
    handler.Handler(api.LIST_KEY_ROTATIONS, handler.key(api.LIST_KEY_ROTATIONS), list_key_rotations),
)
