"""Owns key derivation: HKDF-Expand for keys, Argon2id for passphrases. Knows nothing of their purposes."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

KEY_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one guess at a passphrase costs (RFC 9106, section 3.1).

    Attributes:
        iterations: passes over the memory.
        lanes: degree of parallelism.
        memory_kib: memory in KiB, at least 8 per lane.
    """

    iterations: int
    lanes: int
    memory_kib: int


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA-256 (RFC 2104), 32 bytes."""
    return hmac.digest(key, message, "sha256")


def sha256(message: bytes) -> bytes:
    """Return SHA-256 (FIPS 180-4), 32 bytes."""
    return hashlib.sha256(message).digest()


def hkdf_expand(key: bytes, info: bytes) -> bytes:
    """Return the first 32 bytes of HKDF-Expand with SHA-256 (RFC 5869, section 2.3).

    `key` must be uniformly random already: then HKDF's extract step may be left out (RFC 5869, section 3.3).
    """
    return hmac.digest(key, info + b"\x01", "sha256")


def argon2id(passphrase: bytes, salt: bytes, cost: Argon2Cost) -> bytes:
    """Return 32 bytes from a passphrase with Argon2id version 1.3 (RFC 9106)."""
    return Argon2id(
        salt=salt,
        length=KEY_SIZE,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive(passphrase)
