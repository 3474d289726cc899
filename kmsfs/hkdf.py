"""Owns HKDF-Expand with SHA-256 (RFC 5869 section 2.3). Knows nothing of what the keys are for."""

import hmac
from typing import Final

_HASH_SIZE: Final = 32


def expand(key: bytes, info: bytes, size: int = _HASH_SIZE) -> bytes:
    """Return `size` bytes of key material for the purpose that `info` names.

    Extract is left out on purpose: every `key` here is 32 uniformly random bytes (RFC 5869 section 3.3).

    Args:
        key: pseudorandom key, 32 bytes.
        info: label and identifiers; two different purposes must never give equal bytes.
        size: 1 to 8160 bytes.
    """
    block = hmac.digest(key, info + b"\x01", "sha256")
    if size == _HASH_SIZE:
        return block
    material = block
    for counter in range(2, -(-size // _HASH_SIZE) + 1):
        block = hmac.digest(key, block + info + bytes((counter,)), "sha256")
        material += block
    return material[:size]
