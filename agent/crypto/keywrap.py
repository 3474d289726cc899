"""Owns how key material is encrypted on its way into the agent. Knows nothing of tokens or of keys' states.

RSAES_OAEP_SHA_1 and _SHA_256 (RFC 8017) encrypt the material itself; the label is empty and MGF1 has the same
hash. RSA_AES_KEY_WRAP_SHA_1 and _SHA_256 (PKCS #11, CKM_RSA_AES_KEY_WRAP) encrypt a fresh AES-256 key like
that, and the material under it with AES-KWP (RFC 5649): the RSA ciphertext, as long as the modulus, comes
first.
"""

import os
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from agent.api.enums import AlgorithmSpec, EncryptionAlgorithmSpec, KeySpec, WrappingKeySpec
from agent.api.errors import InvalidCiphertextException
from agent.crypto import rsa
from agent.crypto.keypairs import KeyPair, encode, load_private, load_public

_AES_KEY_SIZE: Final = 32

_DIRECT: Final[Mapping[AlgorithmSpec, EncryptionAlgorithmSpec]] = {
    AlgorithmSpec.RSAES_OAEP_SHA_1: EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1,
    AlgorithmSpec.RSAES_OAEP_SHA_256: EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256,
}
_TWO_STEPS: Final[Mapping[AlgorithmSpec, EncryptionAlgorithmSpec]] = {
    AlgorithmSpec.RSA_AES_KEY_WRAP_SHA_1: EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1,
    AlgorithmSpec.RSA_AES_KEY_WRAP_SHA_256: EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256,
}

ALGORITHMS: Final = frozenset({*_DIRECT, *_TWO_STEPS})
"""What can be unwrapped; the API knows two more words."""

KEY_SPECS: Final[Mapping[WrappingKeySpec, KeySpec]] = {
    WrappingKeySpec.RSA_2048: KeySpec.RSA_2048,
    WrappingKeySpec.RSA_3072: KeySpec.RSA_3072,
    WrappingKeySpec.RSA_4096: KeySpec.RSA_4096,
}
"""The wrapping keys that can be made; the API knows one more word."""


def generate(spec: WrappingKeySpec) -> KeyPair:
    """Return a new wrapping key; one of `KEY_SPECS`. RSA_4096 takes seconds."""
    return encode(rsa.generate(KEY_SPECS[spec]))


def is_direct(algorithm: AlgorithmSpec) -> bool:
    """Whether RSA encrypts the material itself, and so limits its size."""
    return algorithm in _DIRECT


def wrap(algorithm: AlgorithmSpec, public_key: bytes, material: bytes) -> bytes:
    """Encrypt key material, as its owner does before ImportKeyMaterial.

    Args:
        algorithm: one of `ALGORITHMS`.
        public_key: the wrapping key, SPKI in DER.
        material: if RSA encrypts it itself, at most `rsa.max_plaintext_bytes`.
    """
    key = load_public(public_key)
    if algorithm in _DIRECT:
        return rsa.encrypt(key, _DIRECT[algorithm], material)
    aes_key = os.urandom(_AES_KEY_SIZE)
    return rsa.encrypt(key, _TWO_STEPS[algorithm], aes_key) + wrap_under_aes(aes_key, material)


def unwrap(algorithm: AlgorithmSpec, private_key: bytes, wrapped: bytes) -> bytes:
    """Decrypt key material.

    Args:
        algorithm: one of `ALGORITHMS`.
        private_key: the wrapping key, PKCS#8 in DER, as this agent made and kept it.
        wrapped: from `wrap`, or whatever somebody sent instead.

    Raises:
        InvalidCiphertextException: for every reason the same.
    """
    key = load_private(private_key, trusted=True)
    if algorithm in _DIRECT:
        return rsa.decrypt(key, _DIRECT[algorithm], wrapped)
    public_key = key.public_key()
    assert isinstance(public_key, RSAPublicKey)
    modulus_size = public_key.key_size // 8
    aes_key = rsa.decrypt(key, _TWO_STEPS[algorithm], wrapped[:modulus_size])
    if len(aes_key) != _AES_KEY_SIZE:
        raise InvalidCiphertextException
    return unwrap_under_aes(aes_key, wrapped[modulus_size:])


def wrap_under_aes(aes_key: bytes, material: bytes) -> bytes:
    """Encrypt key material under an AES key with AES-KWP (RFC 5649)."""
    return aes_key_wrap_with_padding(aes_key, material)


def unwrap_under_aes(aes_key: bytes, wrapped: bytes) -> bytes:
    """Decrypt what `wrap_under_aes` encrypted.

    Raises:
        InvalidCiphertextException: for every reason the same.
    """
    try:
        return aes_key_unwrap_with_padding(aes_key, wrapped)
    except InvalidUnwrap:
        raise InvalidCiphertextException from None
