"""Owns the operations on rotation, and rotation itself: new material encrypts, all material decrypts."""

from typing import Final

from agent.api import operations as api
from agent.api.enums import IncludeKeyMaterial, KeyMaterialState, KeySpec, RotationType
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
from agent.backends import local
from agent.keys import rotation as rules
from agent.keys.key import Key, KeyMaterial
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.keys import change
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page
from agent.operations.related import put_key, put_material, refuse_replica
from agent.operations.targets import present
from agent.store.protocol import StoreTransaction

_LIST_LIMIT: Final = 100


def enable_key_rotation(kms: Kms, _caller: Caller, keys: Keys, request: EnableKeyRotationRequest) -> Empty:
    """Have the key's material replaced periodically, or change the period."""
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
    """Return whether and when the key's material will be replaced."""
    (key,) = keys
    require_state(key, "GetKeyRotationStatus")
    if not rules.is_enabled(key):
        return GetKeyRotationStatusResponse(key_rotation_enabled=False, key_id=key.key_id)
    return GetKeyRotationStatusResponse(
        key_rotation_enabled=True,
        key_id=key.key_id,
        rotation_period_in_days=key.rotation_period_days,
        next_rotation_date=key.next_rotation_date,
    )


def rotate_key_on_demand(
    kms: Kms, _caller: Caller, keys: Keys, _request: RotateKeyOnDemandRequest
) -> RotateKeyOnDemandResponse:
    """Replace the key's material now; done when this returns."""
    _require_symmetric(keys[0])
    refuse_replica(keys[0])
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        require_state(key, "RotateKeyOnDemand")
        now = kms.now()
        rules.require_on_demand(key, now)
        rotate(kms, transaction, key, RotationType.ON_DEMAND, now)
    return RotateKeyOnDemandResponse(key_id=key.key_id)


def rotate(kms: Kms, transaction: StoreTransaction, key: Key, rotation_type: RotationType, now: float) -> Key:
    """Make fresh material current, for replicas too, within a transaction; return the key as it becomes."""
    generation = kms.store.materials(key.region, key.key_id)[-1].generation + 1
    material = local.new_material(
        kms.barrier,
        key.key_id,
        region=key.region,
        generation=generation,
        rotation_type=rotation_type,
        now=now,
    )
    rotated = rules.rotate(key, material.material_id, rotation_type, now)
    put_material(kms, transaction, rotated, material)
    put_key(kms, transaction, rotated)
    return rotated


def list_key_rotations(
    kms: Kms, _caller: Caller, keys: Keys, request: ListKeyRotationsRequest
) -> ListKeyRotationsResponse:
    """Return a page of the key's rotations, oldest first; on request with the first material."""
    (key,) = keys
    require_state(key, "ListKeyRotations")
    _require_symmetric(key)
    include = request.include_key_material or IncludeKeyMaterial.ROTATIONS_ONLY
    chosen, marker = page(
        [
            material
            for material in kms.store.materials(key.region, key.key_id)
            if include is IncludeKeyMaterial.ALL_KEY_MATERIAL or material.rotation_type is not None
        ],
        lambda material: f"{material.generation:08}",
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListKeyRotations {include} {key.key_id}",
    )
    return ListKeyRotationsResponse(
        rotations=tuple(_entry(key, material) for material in chosen),
        next_marker=marker,
        truncated=marker is not None,
    )


def _entry(key: Key, material: KeyMaterial) -> RotationsListEntry:
    current = material.material_id == key.current_material_id
    return RotationsListEntry(
        key_id=key.key_id,
        key_material_id=material.material_id,
        key_material_state=KeyMaterialState.CURRENT if current else KeyMaterialState.NON_CURRENT,
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
