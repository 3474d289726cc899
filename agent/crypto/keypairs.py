"""Owns how key pairs are written and read: PKCS#8 and SPKI in DER. Knows nothing of what they compute.

Private keys are PrivateKeyInfo (RFC 5958), ML-DSA and ML-KEM in seed form (RFC 9881 and 9935), public keys
SubjectPublicKeyInfo (RFC 5280): the forms in which AWS KMS gives out and takes in key pairs.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
    MLDSA87PrivateKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

MLDSAPrivateKey = MLDSA44PrivateKey | MLDSA65PrivateKey | MLDSA87PrivateKey
MLDSAPublicKey = MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey
MLKEMPrivateKey = MLKEM768PrivateKey | MLKEM1024PrivateKey
MLKEMPublicKey = MLKEM768PublicKey | MLKEM1024PublicKey

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | MLDSAPrivateKey | MLKEMPrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | MLDSAPublicKey | MLKEMPublicKey


class KeyPairError(ValueError):
    """The bytes are not a key pair of a kind that this service has."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An encoded key pair.

    Attributes:
        private_key: PKCS#8, DER.
        public_key: SPKI, DER.
    """

    private_key: bytes = field(repr=False)
    public_key: bytes


def encode(private_key: PrivateKey) -> KeyPair:
    """Return both halves of a key pair, encoded."""
    return KeyPair(
        private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        encode_public(private_key.public_key()),
    )


def encode_public(public_key: PublicKey) -> bytes:
    """Return a public key as SPKI, DER."""
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_private(encoded: bytes, *, trusted: bool) -> PrivateKey:
    """Return the private key in a PKCS#8 DER.

    Args:
        encoded: the key.
        trusted: whether this agent encoded it and kept it authenticated since: then RSA's primes are not
            tested for primality again, which would take a hundred times as long as a signature.

    Raises:
        KeyPairError: not a private key, or of a kind that this service has not.
    """
    try:
        key = load_der_private_key(encoded, None, unsafe_skip_rsa_key_validation=trusted)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause: the library's text may quote the key.
        raise KeyPairError("not a private key in PKCS#8 DER") from None
    if not isinstance(key, PrivateKey):
        raise KeyPairError("not a kind of private key that this service has")
    return key


def load_public(encoded: bytes) -> PublicKey:
    """Return the public key in an SPKI DER; a point off its curve is refused.

    Raises:
        KeyPairError: not a public key, or of a kind that this service has not.
    """
    try:
        key = load_der_public_key(encoded)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyPairError("not a public key in SPKI DER") from None
    if not isinstance(key, PublicKey):
        raise KeyPairError("not a kind of public key that this service has")
    return key
