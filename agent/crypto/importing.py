"""Owns what key material somebody may bring for a key of each spec. Knows nothing of how it was wrapped.

Source: the AWS KMS Developer Guide, "Requirements for imported key material". A symmetric key is 32 bytes; an
HMAC key at least as long as the digest and at most 128 bytes; a private key is an unencrypted PKCS#8 DER of
exactly the spec, from which the public key is derived.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurve, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from agent.api.enums import KeySpec
from agent.api.errors import IncorrectKeyMaterialException
from agent.crypto import ecc, keypairs, mac, mldsa, mlkem, rsa
from agent.crypto.generation import ConsistencyError, NewMaterial, prove
from agent.crypto.keypairs import KeyPairError, PrivateKey

_SYMMETRIC_SIZE: Final = 32
_MAX_HMAC_SIZE: Final = 128
_SEQUENCE: Final = 0x30
_LONG_LENGTH: Final = 0x80


def read(spec: KeySpec, plaintext: bytes) -> NewMaterial:
    """Return imported key material as the agent keeps it: key pairs encoded anew, and proven to fit.

    Raises:
        IncorrectKeyMaterialException: it is not what the spec needs.
    """
    sizes = _SIZES.get(spec)
    if sizes is None:
        return _read_pair(spec, plaintext)
    if len(plaintext) not in sizes:
        least, most = sizes[0], sizes[-1]
        many = f"{least} bytes" if least == most else f"{least} to {most} bytes"
        raise IncorrectKeyMaterialException(
            f"A key with KeySpec {spec} takes key material of {many}; these are {len(plaintext)}."
        )
    return NewMaterial(plaintext, b"")


def identity(material: NewMaterial) -> bytes:
    """Return the bytes that two imports of the same material have in common.

    Of a key pair that is the public key: a private key can be written in several ways.
    """
    return material.public_key or material.plaintext


def _read_pair(spec: KeySpec, plaintext: bytes) -> NewMaterial:
    try:
        # Size and curve first, on trust: validating RSA numbers takes long, and longer the larger they are.
        if not _is_pkcs8(plaintext) or not _KINDS[spec](keypairs.load_private(plaintext, trusted=True)):
            raise _incorrect(spec)
        pair = keypairs.encode(keypairs.load_private(plaintext, trusted=False))
        prove(spec, pair)
    except (KeyPairError, ConsistencyError):
        raise _incorrect(spec) from None
    return NewMaterial(pair.private_key, pair.public_key)


def _incorrect(spec: KeySpec) -> IncorrectKeyMaterialException:
    seed = ", in seed form" if spec in mldsa.PRIVATE_KEYS or spec in mlkem.PRIVATE_KEYS else ""
    return IncorrectKeyMaterialException(
        f"A key with KeySpec {spec} takes a private key of that kind, unencrypted, in PKCS#8 DER{seed}; "
        "this is none, or its numbers do not fit together."
    )


def _is_pkcs8(encoded: bytes) -> bool:
    """Tell PKCS#8 from PKCS#1 and SEC 1: only there the version is followed by a SEQUENCE."""
    if len(encoded) < 2 or encoded[0] != _SEQUENCE:  # noqa: PLR2004 -- tag and length
        return False
    length = encoded[1]
    version_at = 2 + (length - _LONG_LENGTH if length > _LONG_LENGTH else 0)
    return encoded[version_at : version_at + 2] == b"\x02\x01" and encoded[
        version_at + 3 : version_at + 4
    ] == bytes([_SEQUENCE])


def _is_rsa(bits: int, key: PrivateKey) -> bool:
    return isinstance(key, RSAPrivateKey) and key.key_size == bits


def _is_on(curve: EllipticCurve, key: PrivateKey) -> bool:
    return isinstance(key, EllipticCurvePrivateKey) and key.curve.name == curve.name


def _is_a(kind: type[PrivateKey], key: PrivateKey) -> bool:
    return isinstance(key, kind)


_SIZES: Final[Mapping[KeySpec, range]] = {
    KeySpec.SYMMETRIC_DEFAULT: range(_SYMMETRIC_SIZE, _SYMMETRIC_SIZE + 1),
    **{spec: range(size, _MAX_HMAC_SIZE + 1) for spec, size in mac.KEY_SIZES.items()},
}

_KINDS: Final[Mapping[KeySpec, Callable[[PrivateKey], bool]]] = {
    **{spec: partial(_is_rsa, bits) for spec, bits in rsa.KEY_BITS.items()},
    **{spec: partial(_is_on, curve) for spec, curve in ecc.CURVES.items()},
    **{spec: partial(_is_a, kind) for spec, kind in mldsa.PRIVATE_KEYS.items()},
    **{spec: partial(_is_a, kind) for spec, kind in mlkem.PRIVATE_KEYS.items()},
    KeySpec.ECC_NIST_EDWARDS25519: partial(_is_a, Ed25519PrivateKey),
}
