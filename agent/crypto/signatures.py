"""Owns the table of signature schemes and what each of them signs. Knows nothing of keys' states."""

from collections.abc import Mapping
from typing import Final, Protocol

from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from agent.api.enums import KeySpec, MessageType, SigningAlgorithmSpec
from agent.api.errors import ValidationException
from agent.crypto import ecc, ed25519, mldsa, rsa
from agent.crypto.keypairs import PrivateKey, PublicKey
from agent.crypto.specs import SIGNING_ALGORITHMS


class Scheme(Protocol):
    """A signature scheme; a key of the wrong kind is our own bug."""

    @property
    def inputs(self) -> Mapping[MessageType, int | None]:
        """What it signs, each with its only length in bytes, or None where every length will do."""

    def sign(self, private_key: PrivateKey, message_type: MessageType, message: bytes, /) -> bytes:
        """Return a signature."""

    def verify(
        self, public_key: PublicKey, message_type: MessageType, message: bytes, signature: bytes, /
    ) -> None:
        """Raise KMSInvalidSignatureException unless the signature is the key's for this message."""


SCHEMES: Final[Mapping[SigningAlgorithmSpec, Scheme]] = {
    SigningAlgorithmSpec.RSASSA_PSS_SHA_256: rsa.pss(SHA256()),
    SigningAlgorithmSpec.RSASSA_PSS_SHA_384: rsa.pss(SHA384()),
    SigningAlgorithmSpec.RSASSA_PSS_SHA_512: rsa.pss(SHA512()),
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_256: rsa.pkcs1_v1_5(SHA256()),
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_384: rsa.pkcs1_v1_5(SHA384()),
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_512: rsa.pkcs1_v1_5(SHA512()),
    SigningAlgorithmSpec.ECDSA_SHA_256: ecc.Ecdsa(SHA256()),
    SigningAlgorithmSpec.ECDSA_SHA_384: ecc.Ecdsa(SHA384()),
    SigningAlgorithmSpec.ECDSA_SHA_512: ecc.Ecdsa(SHA512()),
    SigningAlgorithmSpec.ED25519_SHA_512: ed25519.Pure(),
    SigningAlgorithmSpec.ED25519_PH_SHA_512: ed25519.Prehashed(),
    SigningAlgorithmSpec.ML_DSA_SHAKE_256: mldsa.MlDsa(),
}
"""Every scheme that goes with a spec which this agent has; SM2DSA goes with none."""


_SIZED: Final[Mapping[MessageType, str]] = {
    MessageType.DIGEST: "Digest",
    MessageType.EXTERNAL_MU: "External Mu",
}


def require_input(
    spec: KeySpec, algorithm: SigningAlgorithmSpec, message_type: MessageType, message: bytes
) -> None:
    """Refuse what an algorithm of a key cannot sign, in AWS's words.

    Raises:
        ValidationException: not this type of message, or not of this length.
    """
    inputs = SCHEMES[algorithm].inputs
    if message_type not in inputs:
        others = (SCHEMES[other] for other in SIGNING_ALGORITHMS[spec])
        taken = any(message_type in other.inputs for other in others)
        what = f"algorithm {algorithm}" if taken else f"key spec {spec}"
        raise ValidationException(f"Message type {message_type} is incompatible with {what}.")
    size = inputs[message_type]
    if size is not None and len(message) != size:
        raise ValidationException(f"{_SIZED[message_type]} is invalid length for algorithm {algorithm}.")
