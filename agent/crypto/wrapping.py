"""Owns how one key is kept under another at rest. Knows nothing of files or of what the keys are for.

Layout: version (1 byte, 1), nonce (12), AES-256-GCM ciphertext and tag. The caller makes sure that one
wrapping key serves few messages (one per key material, or one per passphrase and salt), far below 2^32.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = b"\x01"
_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_CIPHERTEXT_AT: Final = len(_VERSION) + _NONCE_SIZE


class WrappingError(Exception):
    """The wrapped key does not authenticate under this wrapping key and additional data."""


def wrap(wrapping_key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Encrypt `plaintext` under `wrapping_key` (32 bytes), bound to `aad`."""
    nonce = os.urandom(_NONCE_SIZE)
    return _VERSION + nonce + AESGCM(wrapping_key).encrypt(nonce, plaintext, _VERSION + aad)


def unwrap(wrapping_key: bytes, wrapped: bytes, aad: bytes) -> bytes:
    """Return what `wrap` encrypted.

    Raises:
        WrappingError: wrong key, wrong additional data, an unknown version, or a changed byte.
    """
    if len(wrapped) < _CIPHERTEXT_AT + _TAG_SIZE or not wrapped.startswith(_VERSION):
        raise WrappingError
    nonce = wrapped[len(_VERSION) : _CIPHERTEXT_AT]
    try:
        return AESGCM(wrapping_key).decrypt(nonce, wrapped[_CIPHERTEXT_AT:], _VERSION + aad)
    except InvalidTag:
        raise WrappingError from None
