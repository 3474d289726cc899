"""Owns which operations share a request quota, as AWS KMS groups them. Knows nothing of rates or callers.

Source: KMS Developer Guide, "Request quotas". Operations that share none have their own, by their name.
"""

from collections.abc import Mapping
from typing import Final

from agent.api.enums import DataKeyPairSpec, KeySpec
from agent.api.operations import ADMINISTRATION, OPERATIONS

SYMMETRIC: Final = "cryptographic_symmetric"

CRYPTOGRAPHIC: Final = frozenset(
    {
        "Decapsulate",
        "Decrypt",
        "DeriveSharedSecret",
        "Encapsulate",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "GenerateRandom",
        "ReEncrypt",
        "Sign",
        "Verify",
        "VerifyMac",
    }
)
"""Operations that share the quota of the kind of key that they use."""

DATA_KEY_PAIRS: Final = frozenset({"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"})
"""Operations that share the quota of the kind of pair that they make."""

_KINDS: Final[Mapping[str, str]] = {
    "SYMMETRIC_": SYMMETRIC,
    "HMAC_": SYMMETRIC,
    "RSA_": "cryptographic_rsa",
    "ECC_": "cryptographic_ecc",
    "SM2": "cryptographic_ecc",
    "ML_DSA_": "cryptographic_ml_dsa",
    "ML_KEM_": "cryptographic_ml_kem",
}
_KIND_OF: Final[Mapping[KeySpec, str]] = {
    spec: kind for spec in KeySpec for prefix, kind in _KINDS.items() if spec.startswith(prefix)
}
_PAIR_OF: Final[Mapping[DataKeyPairSpec, str]] = {
    spec: f"data_key_pair_{spec.lower()}" for spec in DataKeyPairSpec
}

GROUPS: Final = (
    frozenset({*_KINDS.values(), *_PAIR_OF.values(), *OPERATIONS, *ADMINISTRATION})
    - CRYPTOGRAPHIC
    - DATA_KEY_PAIRS
)
"""The names of all request quotas."""


def cryptographic_group(spec: KeySpec) -> str:
    """Return the quota that using a key of that spec counts against."""
    return _KIND_OF[spec]


def pair_group(spec: DataKeyPairSpec) -> str:
    """Return the quota that making a pair of that spec counts against."""
    return _PAIR_OF[spec]
