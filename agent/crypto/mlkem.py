"""Owns ML-KEM (FIPS 203): generation, encapsulation, decapsulation."""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey

from agent.api.enums import KeySpec
from agent.api.errors import InvalidCiphertextException
from agent.crypto.keypairs import MLKEMPrivateKey, MLKEMPublicKey, PrivateKey, PublicKey

PRIVATE_KEYS: Final[Mapping[KeySpec, type[MLKEMPrivateKey]]] = {
    KeySpec.ML_KEM_768: MLKEM768PrivateKey,
    KeySpec.ML_KEM_1024: MLKEM1024PrivateKey,
}


def generate(spec: KeySpec) -> MLKEMPrivateKey:
    """Return a new key."""
    return PRIVATE_KEYS[spec].generate()


def encapsulate(public_key: PublicKey) -> tuple[bytes, bytes]:
    """Return a fresh shared secret of 32 bytes, and the ciphertext from which the key's owner gets it."""
    assert isinstance(public_key, MLKEMPublicKey)
    return public_key.encapsulate()


def decapsulate(private_key: PrivateKey, ciphertext: bytes) -> bytes:
    """Return the shared secret of a ciphertext; a changed one gives another secret (implicit rejection).

    Raises:
        InvalidCiphertextException: its length is not that of the parameter set's ciphertexts.
    """
    assert isinstance(private_key, MLKEMPrivateKey)
    try:
        return private_key.decapsulate(ciphertext)
    except ValueError:
        raise InvalidCiphertextException from None
