"""Owns rotation itself: new material becomes current, in every Region of a key at once.

Fresh material is made here, imported material waits until it is told. What was current goes on decrypting.
"""

from dataclasses import replace
from typing import Final

from agent.api.enums import KeyMaterialState, Origin, RotationType
from agent.api.errors import KMSInvalidStateException
from agent.backends import local
from agent.keys import imports
from agent.keys import rotation as rules
from agent.keys.key import Key, KeyMaterial
from agent.operations.kms import Kms
from agent.operations.related import put_key, put_material, relatives
from agent.store.protocol import StoreTransaction

_WAITING: Final = {
    True: KeyMaterialState.PENDING_ROTATION,
    False: KeyMaterialState.PENDING_MULTI_REGION_IMPORT_AND_ROTATION,
}


def has_material(kms: Kms, key: Key) -> bool:
    """Whether there is something to rotate to: what has to be imported waits, in every Region of the key."""
    return key.origin is not Origin.EXTERNAL or _waiting(kms, key) is not None


def no_material(key: Key) -> KMSInvalidStateException:
    """Return the refusal to rotate without material."""
    return KMSInvalidStateException(f"No available key material pending rotation for the key: {key.arn}.")


def rotate(kms: Kms, transaction: StoreTransaction, key: Key, rotation_type: RotationType, now: float) -> Key:
    """Rotate a key, within a transaction; return it as it becomes.

    The material that it gets is fresh, or the imported one that waits; the caller has asked `has_material`
    in the same transaction.
    """
    if key.origin is Origin.EXTERNAL:
        return _promote(kms, transaction, key, rotation_type, now)
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


def material_state(kms: Kms, key: Key, material: KeyMaterial) -> KeyMaterialState:
    """Return the place of a material in its key."""
    if material.pending_rotation:
        return _WAITING[all(map(imports.is_present, _copies(kms, key, material.material_id)))]
    current = material.material_id == key.current_material_id
    return KeyMaterialState.CURRENT if current else KeyMaterialState.NON_CURRENT


def _waiting(kms: Kms, key: Key) -> KeyMaterial | None:
    """Return the imported material that waits for its rotation, if every Region of the key has it."""
    waiting = imports.pending(kms.store.materials(key.region, key.key_id))
    if waiting is None:
        return None
    now = kms.now()
    everywhere = _copies(kms, key, waiting.material_id)
    usable = all(imports.is_present(copy) and not imports.is_expired(copy, now) for copy in everywhere)
    return waiting if usable else None


def _copies(kms: Kms, key: Key, material_id: str) -> tuple[KeyMaterial, ...]:
    """Return each Region's record of a material."""
    regions = [member.region for member in (key, *relatives(kms, key))]
    found = (kms.store.material(region, material_id) for region in regions)
    return tuple(material for material in found if material is not None)


def _promote(
    kms: Kms, transaction: StoreTransaction, key: Key, rotation_type: RotationType, now: float
) -> Key:
    waiting = imports.pending(kms.store.materials(key.region, key.key_id))
    if waiting is None:
        raise AssertionError(f"{key.arn} has no material to rotate to")
    for material in _copies(kms, key, waiting.material_id):
        transaction.put(
            replace(material, pending_rotation=False, rotation_type=rotation_type, creation_date=now)
        )
    rotated = rules.rotate(key, waiting.material_id, rotation_type, now)
    put_key(kms, transaction, rotated)
    return rotated
