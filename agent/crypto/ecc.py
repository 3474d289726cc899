"""Owns ECDSA (FIPS 186-5) on the NIST curves and secp256k1, and their generation. Signatures are DER."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256K1,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from agent.api.enums import KeySpec, MessageType
from agent.api.errors import KMSInvalidSignatureException
from agent.crypto.keypairs import PrivateKey, PublicKey

CURVES: Final[Mapping[KeySpec, EllipticCurve]] = {
    KeySpec.ECC_NIST_P256: SECP256R1(),
    KeySpec.ECC_NIST_P384: SECP384R1(),
    KeySpec.ECC_NIST_P521: SECP521R1(),
    KeySpec.ECC_SECG_P256K1: SECP256K1(),
}


def generate(spec: KeySpec) -> EllipticCurvePrivateKey:
    """Return a new key on the spec's curve."""
    return generate_private_key(CURVES[spec])


@dataclass(frozen=True, slots=True)
class Ecdsa:
    """ECDSA with one hash; the curve is the key's."""

    digest: hashes.HashAlgorithm

    @property
    def inputs(self) -> Mapping[MessageType, int | None]:
        """Messages, or their digests."""
        return MappingProxyType({MessageType.RAW: None, MessageType.DIGEST: self.digest.digest_size})

    def sign(self, private_key: PrivateKey, message_type: MessageType, message: bytes) -> bytes:
        """Return a signature: the DER of r and s (ANS X9.62)."""
        assert isinstance(private_key, EllipticCurvePrivateKey)
        return private_key.sign(message, self._algorithm(message_type))

    def verify(
        self, public_key: PublicKey, message_type: MessageType, message: bytes, signature: bytes
    ) -> None:
        """Refuse a signature that is not the key's for this message.

        Raises:
            KMSInvalidSignatureException: without a message, as AWS.
        """
        assert isinstance(public_key, EllipticCurvePublicKey)
        try:
            public_key.verify(signature, message, self._algorithm(message_type))
        except InvalidSignature:
            raise KMSInvalidSignatureException from None

    def _algorithm(self, message_type: MessageType) -> ECDSA:
        return ECDSA(Prehashed(self.digest) if message_type is MessageType.DIGEST else self.digest)
