"""Owns ML-DSA (FIPS 204), hedged and with an empty context: generation, signatures of messages and of mu."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA65PrivateKey,
    MLDSA87PrivateKey,
)

from agent.api.enums import KeySpec, MessageType
from agent.api.errors import KMSInvalidSignatureException
from agent.crypto.keypairs import MLDSAPrivateKey, MLDSAPublicKey, PrivateKey, PublicKey

MU_SIZE: Final = 64

PRIVATE_KEYS: Final[Mapping[KeySpec, type[MLDSAPrivateKey]]] = {
    KeySpec.ML_DSA_44: MLDSA44PrivateKey,
    KeySpec.ML_DSA_65: MLDSA65PrivateKey,
    KeySpec.ML_DSA_87: MLDSA87PrivateKey,
}


def generate(spec: KeySpec) -> MLDSAPrivateKey:
    """Return a new key."""
    return PRIVATE_KEYS[spec].generate()


class MlDsa:
    """ML-DSA; the parameter set is the key's.

    Two signatures of one message differ: the hedged variant mixes fresh random bytes in. A signature of a
    message and one of its mu (FIPS 204, section 6.2: a hash of public key, context and message that the
    caller computed) are the same kind of signature.
    """

    __slots__ = ()

    @property
    def inputs(self) -> Mapping[MessageType, int | None]:
        """Messages, or their mu."""
        return MappingProxyType({MessageType.RAW: None, MessageType.EXTERNAL_MU: MU_SIZE})

    def sign(self, private_key: PrivateKey, message_type: MessageType, message: bytes) -> bytes:
        """Return a signature of 2420, 3309 or 4627 bytes."""
        assert isinstance(private_key, MLDSAPrivateKey)
        if message_type is MessageType.EXTERNAL_MU:
            return private_key.sign_mu(message)
        return private_key.sign(message)

    def verify(
        self, public_key: PublicKey, message_type: MessageType, message: bytes, signature: bytes
    ) -> None:
        """Refuse a signature that is not the key's for this message.

        Raises:
            KMSInvalidSignatureException: without a message, as AWS.
        """
        assert isinstance(public_key, MLDSAPublicKey)
        try:
            if message_type is MessageType.EXTERNAL_MU:
                public_key.verify_mu(signature, message)
            else:
                public_key.verify(signature, message)
        except InvalidSignature:
            raise KMSInvalidSignatureException from None
