"""Owns COSE_Sign1 (RFC 9052, section 4.2) with ES384 (RFC 9053), and strict CBOR (RFC 8949) for its content.

Strict: no key twice, no tags, nothing nested deeper than needed, nothing after the end. Whatever a length
says, no more is read than is there. Items of indefinite length are taken: the payloads of attestation
documents are such.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, NoReturn

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

_TAG: Final = b"\xd2"  # 18, which may stand before the message or not
_PARTS: Final = 4
_ALGORITHM: Final = 1
_ES384: Final = -35
_NUMBER_SIZE: Final = 48
_MAX_DEPTH: Final = 4


class CoseError(Exception):
    """This is no signed message, or its signature is another's."""


@dataclass(frozen=True, slots=True)
class Sign1:
    """A signed message taken apart; nothing in it is authenticated before `verify`.

    Attributes:
        protected: the encoded header that is signed with the payload.
        payload: what is signed.
        signature: r and s, 48 bytes each.
    """

    protected: bytes
    payload: bytes
    signature: bytes


class _NoTags(Mapping[int, Any]):
    """A decoder for every tag, which refuses it."""

    def __getitem__(self, tag: int) -> Any:  # noqa: ANN401 -- as the library wants it
        return _refuse_tag

    def __contains__(self, tag: object) -> bool:
        return True

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


def decode(encoded: bytes) -> object:
    """Return one CBOR item without tags, which must be all there is.

    Raises:
        CoseError: it is not, or not well-formed.
    """
    source = BytesIO(encoded)
    decoder = cbor2.CBORDecoder(
        source,
        tag_hook=_refuse_tag,
        semantic_decoders=_NoTags(),
        max_depth=_MAX_DEPTH,
        allow_duplicate_keys=False,
    )
    try:
        item: object = decoder.decode()
    except (cbor2.CBORError, ValueError):
        raise CoseError("is not CBOR as COSE needs it") from None
    if source.tell() != len(encoded):
        raise CoseError("has something after its end")
    return item


def parse(message: bytes) -> Sign1:
    """Take a message apart.

    Raises:
        CoseError: it is no COSE_Sign1 with ES384.
    """
    parts = decode(message.removeprefix(_TAG))
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise CoseError("is not a COSE_Sign1 structure")
    protected, unprotected, payload, signature = parts
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)) or unprotected != {}:
        raise CoseError("is not a COSE_Sign1 structure")
    if decode(protected) != {_ALGORITHM: _ES384} or len(signature) != 2 * _NUMBER_SIZE:
        raise CoseError("is not signed with ES384")
    return Sign1(protected, payload, signature)


def verify(message: Sign1, public_key: object) -> None:
    """Verify the signature.

    Args:
        message: from `parse`.
        public_key: as a certificate has it.

    Raises:
        CoseError: the key is none for ES384, or did not make the signature.
    """
    if not isinstance(public_key, EllipticCurvePublicKey) or not isinstance(public_key.curve, SECP384R1):
        raise CoseError("is signed by a certificate whose key is not on P-384")
    r, s = message.signature[:_NUMBER_SIZE], message.signature[_NUMBER_SIZE:]
    signature = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    signed = cbor2.dumps(["Signature1", message.protected, b"", message.payload])
    try:
        public_key.verify(signature, signed, ECDSA(SHA384()))
    except InvalidSignature:
        raise CoseError("has a signature that does not verify") from None


def _refuse_tag(*_arguments: object) -> NoReturn:
    raise ValueError("no tag is needed")
