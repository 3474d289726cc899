"""Owns RSA (RFC 8017): generation, RSASSA-PSS, RSASSA-PKCS1-v1_5, RSAES-OAEP. Knows no keys' states."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from agent.api.enums import EncryptionAlgorithmSpec, KeySpec, MessageType
from agent.api.errors import InvalidCiphertextException, KMSInvalidSignatureException
from agent.crypto.keypairs import PrivateKey, PublicKey

_PUBLIC_EXPONENT: Final = 65537

KEY_BITS: Final[Mapping[KeySpec, int]] = {
    KeySpec.RSA_2048: 2048,
    KeySpec.RSA_3072: 3072,
    KeySpec.RSA_4096: 4096,
}

_OAEP_HASHES: Final[Mapping[EncryptionAlgorithmSpec, hashes.HashAlgorithm]] = {
    EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1: hashes.SHA1(),  # noqa: S303 -- AWS's algorithm; OAEP needs no collision resistance
    EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256: hashes.SHA256(),
}


def generate(spec: KeySpec) -> RSAPrivateKey:
    """Return a new key; 4096 bits take seconds, without holding the interpreter's lock."""
    return generate_private_key(_PUBLIC_EXPONENT, KEY_BITS[spec])


def max_plaintext_bytes(spec: KeySpec, algorithm: EncryptionAlgorithmSpec) -> int:
    """Return how much one encryption takes: RFC 8017, section 7.1.1."""
    return KEY_BITS[spec] // 8 - 2 * _OAEP_HASHES[algorithm].digest_size - 2


def encrypt(public_key: PublicKey, algorithm: EncryptionAlgorithmSpec, plaintext: bytes) -> bytes:
    """Encrypt at most `max_plaintext_bytes` with RSAES-OAEP; MGF1 uses the same hash, the label is empty."""
    return _public(public_key).encrypt(plaintext, _oaep(algorithm))


def decrypt(private_key: PrivateKey, algorithm: EncryptionAlgorithmSpec, ciphertext: bytes) -> bytes:
    """Decrypt what `encrypt` or anybody else encrypted to the key.

    Raises:
        InvalidCiphertextException: for every reason the same.
    """
    try:
        return _private(private_key).decrypt(ciphertext, _oaep(algorithm))
    except ValueError:
        raise InvalidCiphertextException from None


@dataclass(frozen=True, slots=True)
class Rsassa:
    """A signature scheme of RSA.

    Attributes:
        digest: hashes the message; also the hash of PSS's mask.
        padding: PSS with a salt as long as the digest, or PKCS #1 v1.5.
    """

    digest: hashes.HashAlgorithm
    padding: PSS | PKCS1v15

    @property
    def inputs(self) -> Mapping[MessageType, int | None]:
        """Messages, or their digests."""
        return MappingProxyType({MessageType.RAW: None, MessageType.DIGEST: self.digest.digest_size})

    def sign(self, private_key: PrivateKey, message_type: MessageType, message: bytes) -> bytes:
        """Return a signature as long as the modulus."""
        return _private(private_key).sign(message, self.padding, self._hash(message_type))

    def verify(
        self, public_key: PublicKey, message_type: MessageType, message: bytes, signature: bytes
    ) -> None:
        """Refuse a signature that is not the key's for this message.

        Raises:
            KMSInvalidSignatureException: without a message, as AWS.
        """
        try:
            _public(public_key).verify(signature, message, self.padding, self._hash(message_type))
        except InvalidSignature:
            raise KMSInvalidSignatureException from None

    def _hash(self, message_type: MessageType) -> hashes.HashAlgorithm | Prehashed:
        return Prehashed(self.digest) if message_type is MessageType.DIGEST else self.digest


def pss(digest: hashes.HashAlgorithm) -> Rsassa:
    """Return RSASSA-PSS with a hash."""
    return Rsassa(digest, PSS(MGF1(digest), digest.digest_size))


def pkcs1_v1_5(digest: hashes.HashAlgorithm) -> Rsassa:
    """Return RSASSA-PKCS1-v1_5 with a hash."""
    return Rsassa(digest, PKCS1v15())


def _oaep(algorithm: EncryptionAlgorithmSpec) -> OAEP:
    digest = _OAEP_HASHES[algorithm]
    return OAEP(MGF1(digest), digest, None)


def _private(key: PrivateKey) -> RSAPrivateKey:
    assert isinstance(key, RSAPrivateKey)
    return key


def _public(key: PublicKey) -> RSAPublicKey:
    assert isinstance(key, RSAPublicKey)
    return key
