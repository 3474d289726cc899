"""Owns XAES-256-GCM's key derivation (C2SP XAES-256-GCM.md). Knows nothing of files or chunks.

XAES-256-GCM under key K with a 24-byte nonce N is AES-256-GCM under a key derived from K and N[:12], with
nonce N[12:]. Files keep N[:12] (the salt) for a whole write session, so that the derived key is cached and
the hot path is plain AES-256-GCM.
"""

import os
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC

SALT_SIZE: Final = 12
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
KEY_SIZE: Final = 32


class Session(NamedTuple):
    """A salt drawn for one write session, and the AES-256-GCM key it leads to."""

    salt: bytes
    gcm: AESGCM


def derive(key: bytes, salt: bytes) -> AESGCM:
    """Return AES-256-GCM under the key that XAES-256-GCM derives from `key` (32 bytes) and `salt` (12 bytes).

    The derivation is CMAC in counter mode (SP 800-108r1) with the label "X" and the salt as context.
    """
    first = CMAC(algorithms.AES256(key))
    # Shares the key schedule.
    second = first.copy()
    first.update(b"\x00\x01X\x00" + salt)
    second.update(b"\x00\x02X\x00" + salt)
    return AESGCM(first.finalize() + second.finalize())


def new_session(key: bytes) -> Session:
    """Draw a fresh salt for `key` (32 bytes)."""
    salt = os.urandom(SALT_SIZE)
    return Session(salt, derive(key, salt))
