"""Owns the CiphertextBlob of symmetric keys: its layout, sealing and opening. Knows nothing of keys' states.

Layout of version 1:

    offset  size  field
         0     4  magic "KMSA"
         4     1  version, 1
         5    32  id of the key material
        37    16  salt
        53    12  nonce
        65   n+16 AES-256-GCM ciphertext and tag

The message key is HKDF-Expand(key material, "kms-agent ciphertext blob 1" + material id + salt). With a
fresh salt for each message no AES-GCM key seals more than a few messages, so random nonces have no
practical limit (salt and nonce together are 224 random bits). The 65 bytes before the ciphertext, then the
encoded encryption context, are the additional authenticated data. The blob names its material, so opening
never tries keys in turn.
"""

import os
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.api.errors import InvalidCiphertextException
from agent.crypto.kdf import hkdf_expand

MAX_BLOB_BYTES: Final = 6144  # the longest CiphertextBlob that the API takes
MAGIC: Final = b"KMSA"
VERSION: Final = 1

_LABEL: Final = b"kms-agent ciphertext blob 1"
_PREFIX: Final = MAGIC + bytes([VERSION])
_ID_SIZE: Final = 32
_SALT_SIZE: Final = 16
_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_SALT_AT: Final = len(_PREFIX) + _ID_SIZE
_NONCE_AT: Final = _SALT_AT + _SALT_SIZE
_HEADER_SIZE: Final = _NONCE_AT + _NONCE_SIZE

OVERHEAD_BYTES: Final = _HEADER_SIZE + _TAG_SIZE


@dataclass(frozen=True, slots=True)
class Blob:
    """A CiphertextBlob taken apart; nothing in it is authenticated before `open`.

    Attributes:
        material_id: 64 hexadecimal digits.
        header: the 65 bytes before the ciphertext.
        ciphertext: ciphertext and tag.
    """

    material_id: str
    header: bytes
    ciphertext: bytes


def seal(material_id: str, material_key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Encrypt a message under a key's material.

    Args:
        material_id: 64 hexadecimal digits.
        material_key: the material, 32 uniformly random bytes.
        plaintext: at most MAX_BLOB_BYTES - OVERHEAD_BYTES.
        aad: the encoded encryption context.
    """
    return seal_with(material_id, material_key, plaintext, aad, os.urandom(_SALT_SIZE + _NONCE_SIZE))


def seal_with(material_id: str, material_key: bytes, plaintext: bytes, aad: bytes, random: bytes) -> bytes:
    """Encrypt as `seal` does, with 28 given random bytes: for known-answer tests, never twice."""
    identifier = bytes.fromhex(material_id)
    if len(identifier) != _ID_SIZE or len(random) != _SALT_SIZE + _NONCE_SIZE:
        raise AssertionError("a material id is 32 bytes; salt and nonce are 28")
    if len(plaintext) > MAX_BLOB_BYTES - OVERHEAD_BYTES:
        raise AssertionError("the plaintext does not fit into a blob that Decrypt would take")
    header = _PREFIX + identifier + random
    cipher = AESGCM(hkdf_expand(material_key, _LABEL + identifier + random[:_SALT_SIZE]))
    return header + cipher.encrypt(random[_SALT_SIZE:], plaintext, header + aad)


def parse(blob: bytes) -> Blob:
    """Take a CiphertextBlob apart.

    Raises:
        InvalidCiphertextException: not a blob of this version; AWS gives it no message.
    """
    if not OVERHEAD_BYTES <= len(blob) <= MAX_BLOB_BYTES or not blob.startswith(_PREFIX):
        raise InvalidCiphertextException
    return Blob(blob[len(_PREFIX) : _SALT_AT].hex(), blob[:_HEADER_SIZE], blob[_HEADER_SIZE:])


def open(blob: Blob, material_key: bytes, aad: bytes) -> bytes:  # noqa: A001 -- counterpart of seal, used as blob.open
    """Decrypt a message.

    Args:
        blob: from `parse`.
        material_key: the material that `blob.material_id` names.
        aad: the encoded encryption context, exactly as it was sealed with.

    Raises:
        InvalidCiphertextException: wrong material, wrong context or a changed byte, indistinguishably.
    """
    salt, nonce = blob.header[_SALT_AT:_NONCE_AT], blob.header[_NONCE_AT:]
    key = hkdf_expand(material_key, _LABEL + blob.header[len(_PREFIX) : _SALT_AT] + salt)
    try:
        return AESGCM(key).decrypt(nonce, blob.ciphertext, blob.header + aad)
    except InvalidTag:
        raise InvalidCiphertextException from None
