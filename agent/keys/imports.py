"""Owns the rules of imported key material: which belongs to its key, which is missing, which has expired.

Every function takes records and gives records or a verdict; no I/O, no clock, no cryptography. Material that
waits for its rotation is not yet permanently a part of its key: the key does without it, and it can be
replaced by other material until then.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from agent.api.enums import ExpirationModel, ImportState, ImportType, KeySpec, KeyState
from agent.api.errors import IncorrectKeyMaterialException, KMSInvalidStateException
from agent.keys.key import Key, KeyMaterial

_LABEL: Final = b"kms-agent imported material 1"
_SERVING: Final = frozenset({KeyState.ENABLED, KeyState.DISABLED})


def material_id(key: Key, fingerprint: bytes) -> str:
    """Return the id of material in a key: the same whenever it comes back, another one in another key.

    Args:
        key: the key that it is imported into; all Regions of a multi-Region key give the same id.
        fingerprint: a keyed digest of the material, 32 bytes.
    """
    return hashlib.sha256(_LABEL + fingerprint + key.key_id.encode()).hexdigest()


def is_present(material: KeyMaterial) -> bool:
    """Whether the key material itself is here, not only its record."""
    return bool(material.wrapped)


def pending(materials: Iterable[KeyMaterial]) -> KeyMaterial | None:
    """Return the material that waits for its rotation; there is at most one."""
    return next((material for material in materials if material.pending_rotation), None)


def permanent(materials: Iterable[KeyMaterial]) -> tuple[KeyMaterial, ...]:
    """Return the materials that the key cannot do without."""
    return tuple(material for material in materials if not material.pending_rotation)


def is_complete(materials: Iterable[KeyMaterial]) -> bool:
    """Whether a key has been given all that it needs: everything permanent is present."""
    needed = permanent(materials)
    return bool(needed) and all(map(is_present, needed))


def is_expired(material: KeyMaterial, now: float) -> bool:
    """Whether material that is present must be deleted now."""
    return material.valid_to is not None and material.valid_to <= now and is_present(material)


def earliest_expiry(materials: Iterable[KeyMaterial]) -> float | None:
    """Return when the first of the permanent materials expires; None if none does."""
    return min((material.valid_to for material in permanent(materials) if material.valid_to), default=None)


def expiration_model(materials: Iterable[KeyMaterial]) -> ExpirationModel | None:
    """Return whether any permanent material that is present expires; None where none is present."""
    models = {material.expiration_model for material in permanent(materials) if is_present(material)}
    for model in (ExpirationModel.KEY_MATERIAL_EXPIRES, ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE):
        if model in models:
            return model
    return None


def removed(material: KeyMaterial) -> KeyMaterial:
    """Return what is left of permanent material that is deleted: what it takes to know it again."""
    return replace(
        material, wrapped=b"", import_state=ImportState.PENDING_IMPORT, expiration_model=None, valid_to=None
    )


def first_record(key: Key, materials: Sequence[KeyMaterial], identifier: str, now: float) -> KeyMaterial:
    """Return the record of material that the key has not had; what it is will be filled in.

    A key's very first material is its own at once; what comes later waits for its rotation.
    """
    return KeyMaterial(
        material_id=identifier,
        key_id=key.key_id,
        region=key.region,
        generation=materials[-1].generation + 1 if materials else 0,
        creation_date=now,
        rotation_type=None,
        wrapped=b"",
        pending_rotation=bool(materials),
    )


def key_after_import(key: Key, materials: Iterable[KeyMaterial], imported: KeyMaterial) -> Key:
    """Return a key as it becomes when material was imported: enabled, if that was all it waited for.

    Args:
        key: the key.
        materials: its materials before.
        imported: the one that came.
    """
    others = (material for material in materials if material.material_id != imported.material_id)
    state = key.key_state
    if state is KeyState.PENDING_IMPORT and is_complete((*others, imported)):
        state = KeyState.ENABLED
    current = key.current_material_id or imported.material_id
    return replace(key, key_state=state, current_material_id=current)


def state_after_removal(key: Key, materials: Iterable[KeyMaterial]) -> KeyState:
    """Return the key's state once material was deleted; a deletion that is pending stays so."""
    if key.key_state in _SERVING and not is_complete(materials):
        return KeyState.PENDING_IMPORT
    return key.key_state


def settled(key: Key, materials: Iterable[KeyMaterial], now: float) -> Key:
    """Return a key as it is at `now`: expired material serves no more, even before it has been deleted."""
    if key.key_state in _SERVING and any(is_expired(material, now) for material in permanent(materials)):
        return replace(key, key_state=KeyState.PENDING_IMPORT)
    return key


def require_expected(
    key: Key, materials: Sequence[KeyMaterial], identifier: str, import_type: ImportType | None
) -> KeyMaterial | None:
    """Return the record of material that comes back; None for material that is new and may come.

    Args:
        key: the key that it is imported into.
        materials: all materials of that key.
        identifier: the id of the material that came.
        import_type: what the caller says it is; by default new for a key that never had any.

    Raises:
        IncorrectKeyMaterialException: it is not what the caller says, or not what the key has.
        KMSInvalidStateException: other new material waits for its rotation.
    """
    known = next((material for material in materials if material.material_id == identifier), None)
    if known is None and materials and key.key_spec is not KeySpec.SYMMETRIC_DEFAULT:
        raise IncorrectKeyMaterialException(
            f"This is not the key material that was imported into KMS key {key.arn} before."
        )
    if (import_type or _default_type(materials)) is ImportType.EXISTING_KEY_MATERIAL:
        if known is None:
            raise IncorrectKeyMaterialException(
                f"Key material (id: {identifier}) being imported as EXISTING_KEY_MATERIAL is not "
                f"associated with KMS key {key.arn}. Import the material that it had, or add this one with "
                "the ImportType NEW_KEY_MATERIAL."
            )
        return known
    if known is not None:
        raise IncorrectKeyMaterialException(
            f"Key material (id: {identifier}) being imported as NEW_KEY_MATERIAL is already "
            f"associated with KMS key {key.arn}."
        )
    waiting = pending(materials)
    if waiting is not None:
        raise KMSInvalidStateException(
            f"New key material (id: {identifier}) cannot be imported into KMS key {key.arn}, because "
            f"another key material (id: {waiting.material_id}) is pending rotation."
        )
    return None


def _default_type(materials: Sequence[KeyMaterial]) -> ImportType:
    return ImportType.EXISTING_KEY_MATERIAL if materials else ImportType.NEW_KEY_MATERIAL
