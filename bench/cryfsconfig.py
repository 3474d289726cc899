"""The configuration of a new CryFS volume, under a passphrase that is quick to check.

CryFS's own derivation takes seconds at each mount, and no option shortens it; but its file says how much of
it there is. Two layers of AES-256-GCM, each padded to a fixed size; CryFS makes the rest at the first mount.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CIPHER = "aes-256-gcm"

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1024, 4, 1
_OUTER_BYTES, _INNER_BYTES = 1024, 900
_KEY_BYTES = 32
_DERIVED_BYTES = 88  # for the outer key and the longest that an inner cipher can have
_IV_BYTES = 16
_BLOCK_BYTES = 16_384


def new_config(passphrase: str, program_version: str) -> bytes:
    """Return the content of `cryfs.config` for a volume that is still empty."""
    salt = os.urandom(32)
    derived = hashlib.scrypt(
        passphrase.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, dklen=_DERIVED_BYTES
    )
    described = {
        "rootblob": "",
        "key": os.urandom(_KEY_BYTES).hex().upper(),
        "cipher": CIPHER,
        "version": "0.10",
        "createdWithVersion": program_version,
        "lastOpenedWithVersion": program_version,
        "blocksizeBytes": str(_BLOCK_BYTES),
        "filesystemId": os.urandom(16).hex().upper(),
        "migrations": {"hasVersionNumbers": "true", "hasParentPointers": "true"},
    }
    sealed = _sealed(
        derived[_KEY_BYTES:][:_KEY_BYTES], json.dumps({"cryfs": described}).encode(), _INNER_BYTES
    )
    inner = b"cryfs.config.inner;0\0" + CIPHER.encode() + b"\0" + sealed
    derivation = struct.pack("<QII", _SCRYPT_N, _SCRYPT_R, _SCRYPT_P) + salt
    return b"".join(
        (
            b"cryfs.config;1;scrypt\0",
            struct.pack("<Q", len(derivation)),
            derivation,
            _sealed(derived[:_KEY_BYTES], inner, _OUTER_BYTES),
        )
    )


def _sealed(key: bytes, content: bytes, padded_bytes: int) -> bytes:
    padded = struct.pack("<I", len(content)) + content
    padded += os.urandom(padded_bytes - len(padded))
    nonce = os.urandom(_IV_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, padded, None)
