"""Owns Ed25519 and its variant for hashed messages, Ed25519ph (RFC 8032, section 5.1).

Ed25519ph is libsodium's, through PyNaCl, which is an extra of this package: `cryptography` has no Ed25519ph.
Without it everything else works, and the one algorithm is refused.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.api.enums import MessageType, SigningAlgorithmSpec
from agent.api.errors import KMSInvalidSignatureException, UnsupportedOperationException
from agent.crypto.keypairs import PrivateKey, PublicKey

try:
    from nacl import bindings as sodium
    from nacl.exceptions import BadSignatureError
except ImportError:
    HAS_PREHASHED = False
else:
    HAS_PREHASHED = True

SIGNATURE_SIZE: Final = 64
_SHA_512_SIZE: Final = 64


def generate() -> Ed25519PrivateKey:
    """Return a new key."""
    return Ed25519PrivateKey.generate()


class Pure:
    """Ed25519: hashes the message twice by itself, so digests cannot stand for messages."""

    __slots__ = ()

    @property
    def inputs(self) -> Mapping[MessageType, int | None]:
        """Messages only."""
        return MappingProxyType({MessageType.RAW: None})

    def sign(self, private_key: PrivateKey, _message_type: MessageType, message: bytes) -> bytes:
        """Return a signature, 64 bytes, always the same for the same message."""
        return _private(private_key).sign(message)

    def verify(
        self, public_key: PublicKey, _message_type: MessageType, message: bytes, signature: bytes
    ) -> None:
        """Refuse a signature that is not the key's for this message.

        Raises:
            KMSInvalidSignatureException: without a message, as AWS.
        """
        try:
            _public(public_key).verify(signature, message)
        except InvalidSignature:
            raise KMSInvalidSignatureException from None


class Prehashed:
    """Ed25519ph with an empty context. AWS takes a digest and hashes it again: the digest is the message."""

    __slots__ = ()

    @property
    def inputs(self) -> Mapping[MessageType, int | None]:
        """Digests only."""
        return MappingProxyType({MessageType.DIGEST: _SHA_512_SIZE})

    def sign(self, private_key: PrivateKey, _message_type: MessageType, message: bytes) -> bytes:
        """Return a signature, 64 bytes, always the same for the same message.

        Raises:
            UnsupportedOperationException: PyNaCl is not installed.
        """
        key = _private(private_key)
        _require_prehashed()
        state = sodium.crypto_sign_ed25519ph_state()
        sodium.crypto_sign_ed25519ph_update(state, message)
        secret = key.private_bytes_raw() + key.public_key().public_bytes_raw()
        return sodium.crypto_sign_ed25519ph_final_create(state, secret)

    def verify(
        self, public_key: PublicKey, _message_type: MessageType, message: bytes, signature: bytes
    ) -> None:
        """Refuse a signature that is not the key's for this message.

        Raises:
            KMSInvalidSignatureException: without a message, as AWS.
            UnsupportedOperationException: PyNaCl is not installed.
        """
        key = _public(public_key)
        _require_prehashed()
        if len(signature) != SIGNATURE_SIZE:
            raise KMSInvalidSignatureException
        state = sodium.crypto_sign_ed25519ph_state()
        sodium.crypto_sign_ed25519ph_update(state, message)
        try:
            sodium.crypto_sign_ed25519ph_final_verify(state, signature, key.public_bytes_raw())
        except BadSignatureError:
            raise KMSInvalidSignatureException from None


def _require_prehashed() -> None:
    if not HAS_PREHASHED:
        raise UnsupportedOperationException(
            f"SigningAlgorithm {SigningAlgorithmSpec.ED25519_PH_SHA_512} needs PyNaCl, which is not "
            "installed: install kmsfs with its extra ed25519ph, or use ED25519_SHA_512."
        )


def _private(key: PrivateKey) -> Ed25519PrivateKey:
    assert isinstance(key, Ed25519PrivateKey)
    return key


def _public(key: PublicKey) -> Ed25519PublicKey:
    assert isinstance(key, Ed25519PublicKey)
    return key
