"""Owns XAES-256-GCM's key derivation (C2SP XAES-256-GCM.md). Knows nothing of files or chunks.

XAES-256-GCM under key K with a 24-byte nonce N is AES-256-GCM under a key derived from K and N[:12], with
nonce N[12:]. Files keep N[:12] (the salt) for a whole write session, so that the derived key is cached and
the hot path is plain AES-256-GCM.
"""

import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT_SIZE: Final = 12
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
KEY_SIZE: Final = 32

_BLOCK: Final = 16
_MASK: Final = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Session:
    """A salt drawn for one write session, and the AES-256-GCM key it leads to."""

    salt: bytes
    gcm: AESGCM = field(repr=False)


def derive(key: bytes, salt: bytes) -> AESGCM:
    """Return AES-256-GCM under the key that XAES-256-GCM derives from `key` (32 bytes) and `salt` (12 bytes).

    The derivation is CMAC (SP 800-108 counter mode) over single blocks: E(key, block XOR 2·E(key, 0)).
    """
    encrypt = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update  # noqa: S305 - the block cipher itself
    double = int.from_bytes(encrypt(bytes(_BLOCK)), "big") << 1
    subkey = (double & _MASK) ^ (0x87 if double >> 128 else 0)
    both = (subkey << 128) | subkey
    blocks = int.from_bytes(b"\x00\x01X\x00" + salt + b"\x00\x02X\x00" + salt, "big") ^ both
    return AESGCM(encrypt(blocks.to_bytes(2 * _BLOCK, "big")))


def new_session(key: bytes) -> Session:
    """Draw a fresh salt for `key` (32 bytes)."""
    salt = os.urandom(SALT_SIZE)
    return Session(salt, derive(key, salt))
