"""Owns what a key of each spec can be used for and with which algorithms, as data. Knows nothing of material.

Source: the AWS KMS Developer Guide, "Key spec reference". Algorithms are listed in the order in which AWS
models them.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from agent.api.enums import (
    EncapsulationAlgorithmSpec,
    EncryptionAlgorithmSpec,
    KeyAgreementAlgorithmSpec,
    KeySpec,
    KeyUsage,
    MacAlgorithmSpec,
    SigningAlgorithmSpec,
)
from agent.api.errors import UnsupportedOperationException

_OAEP: Final = (EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1, EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256)
_RSASSA: Final = (
    SigningAlgorithmSpec.RSASSA_PSS_SHA_256,
    SigningAlgorithmSpec.RSASSA_PSS_SHA_384,
    SigningAlgorithmSpec.RSASSA_PSS_SHA_512,
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_256,
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_384,
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_512,
)
_EDDSA: Final = (SigningAlgorithmSpec.ED25519_SHA_512, SigningAlgorithmSpec.ED25519_PH_SHA_512)
_ML_DSA: Final = (SigningAlgorithmSpec.ML_DSA_SHAKE_256,)
_ECDH: Final = (KeyAgreementAlgorithmSpec.ECDH,)
_ML_KEM: Final = (EncapsulationAlgorithmSpec.ML_KEM,)

ENCRYPTION_ALGORITHMS: Final[Mapping[KeySpec, tuple[EncryptionAlgorithmSpec, ...]]] = {
    KeySpec.SYMMETRIC_DEFAULT: (EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT,),
    KeySpec.RSA_2048: _OAEP,
    KeySpec.RSA_3072: _OAEP,
    KeySpec.RSA_4096: _OAEP,
    KeySpec.SM2: (EncryptionAlgorithmSpec.SM2PKE,),
}

SIGNING_ALGORITHMS: Final[Mapping[KeySpec, tuple[SigningAlgorithmSpec, ...]]] = {
    KeySpec.RSA_2048: _RSASSA,
    KeySpec.RSA_3072: _RSASSA,
    KeySpec.RSA_4096: _RSASSA,
    KeySpec.ECC_NIST_P256: (SigningAlgorithmSpec.ECDSA_SHA_256,),
    KeySpec.ECC_NIST_P384: (SigningAlgorithmSpec.ECDSA_SHA_384,),
    KeySpec.ECC_NIST_P521: (SigningAlgorithmSpec.ECDSA_SHA_512,),
    KeySpec.ECC_SECG_P256K1: (SigningAlgorithmSpec.ECDSA_SHA_256,),
    KeySpec.ECC_NIST_EDWARDS25519: _EDDSA,
    KeySpec.ML_DSA_44: _ML_DSA,
    KeySpec.ML_DSA_65: _ML_DSA,
    KeySpec.ML_DSA_87: _ML_DSA,
    KeySpec.SM2: (SigningAlgorithmSpec.SM2DSA,),
}

MAC_ALGORITHMS: Final[Mapping[KeySpec, tuple[MacAlgorithmSpec, ...]]] = {
    KeySpec.HMAC_224: (MacAlgorithmSpec.HMAC_SHA_224,),
    KeySpec.HMAC_256: (MacAlgorithmSpec.HMAC_SHA_256,),
    KeySpec.HMAC_384: (MacAlgorithmSpec.HMAC_SHA_384,),
    KeySpec.HMAC_512: (MacAlgorithmSpec.HMAC_SHA_512,),
}

KEY_AGREEMENT_ALGORITHMS: Final[Mapping[KeySpec, tuple[KeyAgreementAlgorithmSpec, ...]]] = {
    KeySpec.ECC_NIST_P256: _ECDH,
    KeySpec.ECC_NIST_P384: _ECDH,
    KeySpec.ECC_NIST_P521: _ECDH,
    KeySpec.SM2: _ECDH,
}

ENCAPSULATION_ALGORITHMS: Final[Mapping[KeySpec, tuple[EncapsulationAlgorithmSpec, ...]]] = {
    KeySpec.ML_KEM_512: _ML_KEM,
    KeySpec.ML_KEM_768: _ML_KEM,
    KeySpec.ML_KEM_1024: _ML_KEM,
}

WITHOUT_PUBLIC_KEY: Final = frozenset({KeySpec.SYMMETRIC_DEFAULT, *MAC_ALGORITHMS})
"""Specs of one secret, not of a pair."""

Algorithm: TypeAlias = (
    EncryptionAlgorithmSpec
    | SigningAlgorithmSpec
    | MacAlgorithmSpec
    | KeyAgreementAlgorithmSpec
    | EncapsulationAlgorithmSpec
)

_ALGORITHMS: Final[Mapping[KeyUsage, Mapping[KeySpec, tuple[Algorithm, ...]]]] = {
    KeyUsage.ENCRYPT_DECRYPT: ENCRYPTION_ALGORITHMS,
    KeyUsage.SIGN_VERIFY: SIGNING_ALGORITHMS,
    KeyUsage.GENERATE_VERIFY_MAC: MAC_ALGORITHMS,
    KeyUsage.KEY_AGREEMENT: KEY_AGREEMENT_ALGORITHMS,
    KeyUsage.ENCAPSULATE_DECAPSULATE: ENCAPSULATION_ALGORITHMS,
}

USAGES: Final[Mapping[KeySpec, frozenset[KeyUsage]]] = {
    spec: frozenset(usage for usage, by_spec in _ALGORITHMS.items() if spec in by_spec) for spec in KeySpec
}
"""The usages that go with each spec: those for which it has algorithms."""


def algorithms(spec: KeySpec, usage: KeyUsage) -> tuple[Algorithm, ...]:
    """Return every algorithm of a key; `usage` must be one of the spec's."""
    return _ALGORITHMS[usage][spec]


_ABSENT: Final[Mapping[KeySpec, str]] = {
    KeySpec.SM2: "SM2 is offered by AWS in its China Regions only, and no cryptographic library here has it",
    KeySpec.ML_KEM_512: (
        "the cryptographic library has ML-KEM-768 and ML-KEM-1024 only; use KeySpec ML_KEM_768"
    ),
}


def require_supported(spec: KeySpec) -> None:
    """Refuse the specs that this agent can neither generate nor use.

    Raises:
        UnsupportedOperationException: tells why.
    """
    reason = _ABSENT.get(spec)
    if reason is not None:
        raise UnsupportedOperationException(f"KeySpec {spec} is not supported: {reason}.")
