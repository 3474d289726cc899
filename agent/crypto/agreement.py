"""Owns ECDH on the NIST curves (SP 800-56A, section 5.7.1.2; their cofactor is one). Knows no keys' states.

A peer's public key is SubjectPublicKeyInfo in DER as RFC 5480 has it: a named curve, the same as the key's,
and a point on it, uncompressed or compressed. Parameters spelled out and the hybrid form of points, which
RFC 5480 forbids, are refused.
"""

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.api.errors import ValidationException
from agent.crypto.keypairs import KeyPairError, PrivateKey, encode_public, load_public


def derive(private_key: PrivateKey, peer_public_key: bytes) -> bytes:
    """Return the raw shared secret: the x coordinate, as long as the field (32, 48 or 66 bytes).

    Args:
        private_key: on a NIST curve.
        peer_public_key: SPKI, DER.

    Raises:
        ValidationException: not a public key on the same curve.
    """
    assert isinstance(private_key, EllipticCurvePrivateKey)
    curve = private_key.curve
    try:
        peer = load_public(peer_public_key)
    except KeyPairError:
        peer = None
    if (
        not isinstance(peer, EllipticCurvePublicKey)
        or peer.curve.name != curve.name
        or peer_public_key not in (encode_public(peer), _with_compressed_point(peer))
    ):
        raise ValidationException(
            f"PublicKey is not a public key on the curve of the KMS key ({curve.name}): a DER-encoded X.509 "
            "SubjectPublicKeyInfo that names the curve, as GetPublicKey returns it."
        )
    return private_key.exchange(ECDH(), peer)


def _with_compressed_point(key: EllipticCurvePublicKey) -> bytes:
    """Return the SPKI of RFC 5480 with the point compressed, which the library only reads."""
    encoded = encode_public(key)
    algorithm_at = 3 if encoded[1] & 0x80 else 2
    algorithm = encoded[algorithm_at : algorithm_at + 2 + encoded[algorithm_at + 1]]
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    content = algorithm + bytes([0x03, len(point) + 1, 0]) + point
    return bytes([0x30, len(content)]) + content
