"""Owns HMAC (FIPS 198-1) with SHA-2. Knows nothing of keys' states."""

import hmac
from collections.abc import Mapping
from typing import Final

from agent.api.enums import KeySpec, MacAlgorithmSpec
from agent.api.errors import KMSInvalidMacException

KEY_SIZES: Final[Mapping[KeySpec, int]] = {
    KeySpec.HMAC_224: 28,
    KeySpec.HMAC_256: 32,
    KeySpec.HMAC_384: 48,
    KeySpec.HMAC_512: 64,
}
"""Bytes of the keys that the service generates: as many as the digest has. Imported ones may be longer."""

_DIGESTS: Final[Mapping[MacAlgorithmSpec, str]] = {
    MacAlgorithmSpec.HMAC_SHA_224: "sha224",
    MacAlgorithmSpec.HMAC_SHA_256: "sha256",
    MacAlgorithmSpec.HMAC_SHA_384: "sha384",
    MacAlgorithmSpec.HMAC_SHA_512: "sha512",
}


def generate(algorithm: MacAlgorithmSpec, key: bytes, message: bytes) -> bytes:
    """Return the HMAC of a message, not truncated."""
    return hmac.digest(key, message, _DIGESTS[algorithm])


def verify(algorithm: MacAlgorithmSpec, key: bytes, message: bytes, mac: bytes) -> None:
    """Compare a MAC with the message's, in time that does not depend on where they differ.

    Raises:
        KMSInvalidMacException: without a message, as AWS.
    """
    if not hmac.compare_digest(generate(algorithm, key, message), mac):
        raise KMSInvalidMacException
