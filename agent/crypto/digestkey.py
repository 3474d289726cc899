"""Owns Ed25519 (RFC 8032) as the digests of the audit log use it. Knows nothing of what is signed."""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

ALGORITHM: Final = "Ed25519"
SIGNATURE_BYTES: Final = 64


class PublicKeyError(ValueError):
    """This is no Ed25519 public key in PEM."""


class DigestKey:
    """A private key.

    Args:
        seed: 32 uniformly random bytes; every such string is a private key (RFC 8032, section 5.1.5).
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = PublicKey(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes, always the same for the same message."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return "<DigestKey>"


class PublicKey:
    """A public key.

    Args:
        key: as the library has it; `load` reads one from PEM.
    """

    __slots__ = ("_key", "fingerprint", "pem")

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.fingerprint = hashlib.sha256(der).hexdigest()

    @classmethod
    def load(cls, pem: bytes) -> "PublicKey":
        """Read a key from PEM, SubjectPublicKeyInfo (RFC 8410).

        Raises:
            PublicKeyError: it is none, or of another algorithm.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise PublicKeyError("is not a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise PublicKeyError("is a public key, but not for Ed25519")
        return cls(key)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature is this key's over a message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True
