"""Owns making key material, and cryptography with secrets that this agent holds. Knows no key's state."""

import secrets
from collections.abc import Mapping
from typing import Final

from agent.api.enums import KeySpec, MacAlgorithmSpec, RotationType
from agent.api.errors import IncorrectKeyException
from agent.crypto import blob as blobs
from agent.crypto import context as contexts
from agent.crypto import mac
from agent.crypto.generation import generate
from agent.keys.key import Key, KeyMaterial
from agent.seal.barrier import Barrier
from agent.store.protocol import Store

_MATERIAL_ID_SIZE: Final = 32

Context = Mapping[str, str]


def new_material(
    barrier: Barrier,
    key_id: str,
    *,
    region: str,
    generation: int,
    rotation_type: RotationType | None,
    now: float,
    spec: KeySpec = KeySpec.SYMMETRIC_DEFAULT,
) -> KeyMaterial:
    """Return fresh key material, already wrapped. Making RSA's takes long: hold no transaction meanwhile."""
    new = generate(spec)
    material_id = secrets.token_hex(_MATERIAL_ID_SIZE)
    return KeyMaterial(
        material_id=material_id,
        key_id=key_id,
        region=region,
        generation=generation,
        creation_date=now,
        rotation_type=rotation_type,
        wrapped=barrier.wrap_material(material_id, key_id, new.plaintext),
        public_key=new.public_key,
    )


def current_material(store: Store, key: Key) -> KeyMaterial:
    """Return the material that serves new requests; the key's state says that there is one."""
    material = store.material(key.region, key.current_material_id)
    if material is None:
        raise AssertionError(f"{key.arn} has lost its current material")
    return material


def encrypt(store: Store, barrier: Barrier, key: Key, plaintext: bytes, context: Context | None) -> bytes:
    """Return a CiphertextBlob under the key's current material."""
    material = current_material(store, key)
    return blobs.seal(
        material.material_id, barrier.unwrap_material(material), plaintext, contexts.encode(context or {})
    )


def decrypt(
    store: Store, barrier: Barrier, key: Key, blob: bytes, context: Context | None
) -> tuple[bytes, str]:
    """Return the plaintext of a CiphertextBlob, and the id of the material that it names.

    Raises:
        InvalidCiphertextException: damaged, or another encryption context; nothing tells which.
        IncorrectKeyException: the blob is another key's.
    """
    parsed = blobs.parse(blob)
    material = _named_material(store, key, parsed)
    plaintext = blobs.open(parsed, barrier.unwrap_material(material), contexts.encode(context or {}))
    return plaintext, material.material_id


def require_own(store: Store, key: Key, blob: bytes) -> None:
    """Refuse a CiphertextBlob that is not the key's, whatever the key may be used for.

    Raises:
        InvalidCiphertextException: not a CiphertextBlob.
        IncorrectKeyException: another key's.
    """
    _named_material(store, key, blobs.parse(blob))


def _named_material(store: Store, key: Key, blob: blobs.Blob) -> KeyMaterial:
    material = store.material(key.region, blob.material_id)
    if material is None or material.key_id != key.key_id:
        raise IncorrectKeyException(
            "The key ID in the request does not identify a CMK that can perform this operation."
        )
    return material


def key_of(store: Store, region: str, blob: bytes) -> Key | None:
    """Return the key that a CiphertextBlob names, unauthenticated; None if it is gone or of another Region.

    Raises:
        InvalidCiphertextException: not a CiphertextBlob.
    """
    material = store.material(region, blobs.parse(blob).material_id)
    return None if material is None else store.key(region, material.key_id)


def generate_mac(
    store: Store, barrier: Barrier, key: Key, algorithm: MacAlgorithmSpec, message: bytes
) -> bytes:
    """Return the HMAC of a message under the key's material; the algorithm fits its spec."""
    return mac.generate(algorithm, barrier.unwrap_material(current_material(store, key)), message)


def verify_mac(
    store: Store, barrier: Barrier, key: Key, algorithm: MacAlgorithmSpec, message: bytes, code: bytes
) -> None:
    """Compare an HMAC with the message's.

    Raises:
        KMSInvalidMacException: they differ.
    """
    mac.verify(algorithm, barrier.unwrap_material(current_material(store, key)), message, code)
