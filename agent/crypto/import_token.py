"""Owns the import token: all that the agent remembers of a GetParametersForImport, kept by the caller.

The token is the request's record itself, sealed: no state is kept for imports that never come. Layout of
version 1:

    offset  size  field
         0     4  magic "KMSI"
         4     1  version, 1
         5    16  salt
        21     n  AES-256-GCM of the fields below, as in `agent.crypto.wrapping`

Its key is HKDF-Expand(token key, "kms-agent import token 1" + salt); magic, version and salt are additional
authenticated data. The fields: expiry (f64, seconds since the epoch), then, each after its length (u16): key
id, Region, wrapping algorithm, wrapping key spec, private wrapping key (PKCS#8 DER). Integers are big-endian.
Nothing may follow.
"""

import math
import os
import struct
from dataclasses import dataclass, field
from typing import Final

from agent.api.enums import AlgorithmSpec, WrappingKeySpec
from agent.api.errors import InvalidImportTokenException
from agent.crypto.kdf import hkdf_expand
from agent.crypto.wrapping import WrappingError, unwrap, wrap

MAX_TOKEN_BYTES: Final = 6144  # the longest ImportToken that the API takes

_PREFIX: Final = b"KMSI\x01"
_LABEL: Final = b"kms-agent import token 1"
_SALT_SIZE: Final = 16
_SEALED_AT: Final = len(_PREFIX) + _SALT_SIZE
_EXPIRY: Final = struct.Struct(">d")
_LENGTH: Final = struct.Struct(">H")
_FIELDS: Final = 5


@dataclass(frozen=True, slots=True)
class ImportToken:
    """What an ImportKeyMaterial must go with.

    Attributes:
        key_id: the key that material may be imported into.
        region: where that key is.
        algorithm: how the material is encrypted.
        wrapping_key_spec: what it is encrypted under.
        private_key: the wrapping key's private half, PKCS#8 in DER.
        valid_to: when the token expires, in seconds since the epoch.
    """

    key_id: str
    region: str
    algorithm: AlgorithmSpec
    wrapping_key_spec: WrappingKeySpec
    private_key: bytes = field(repr=False)
    valid_to: float


def seal(token_key: bytes, token: ImportToken) -> bytes:
    """Return a token as the caller keeps it.

    Args:
        token_key: 32 bytes, the same for all tokens of this agent.
        token: what it says.
    """
    words = (token.key_id, token.region, token.algorithm, token.wrapping_key_spec)
    parts = [_EXPIRY.pack(token.valid_to)]
    for part in (*(word.encode() for word in words), token.private_key):
        parts += (_LENGTH.pack(len(part)), part)
    head = _PREFIX + os.urandom(_SALT_SIZE)
    return head + wrap(_key(token_key, head), b"".join(parts), head)


def open_token(token_key: bytes, sealed: bytes) -> ImportToken:
    """Return what a token says, once it is certain that this agent said it.

    Raises:
        InvalidImportTokenException: anything else; AWS gives it no message.
    """
    if len(sealed) > MAX_TOKEN_BYTES or not sealed.startswith(_PREFIX):
        raise InvalidImportTokenException
    head = sealed[:_SEALED_AT]
    try:
        return _parse(unwrap(_key(token_key, head), sealed[_SEALED_AT:], head))
    except (WrappingError, ValueError, struct.error):
        raise InvalidImportTokenException from None


def _key(token_key: bytes, head: bytes) -> bytes:
    return hkdf_expand(token_key, _LABEL + head[len(_PREFIX) :])


def _parse(plain: bytes) -> ImportToken:
    (valid_to,) = _EXPIRY.unpack_from(plain)
    if not math.isfinite(valid_to):
        raise ValueError("the expiry is no date")
    position = _EXPIRY.size
    parts = []
    for _ in range(_FIELDS):
        (length,) = _LENGTH.unpack_from(plain, position)
        position += _LENGTH.size + length
        parts.append(plain[position - length : position])
    if position != len(plain):
        raise ValueError("fields are cut short, or something follows them")
    key_id, region, algorithm, spec, private_key = parts
    return ImportToken(
        key_id=key_id.decode(),
        region=region.decode(),
        algorithm=AlgorithmSpec(algorithm.decode()),
        wrapping_key_spec=WrappingKeySpec(spec.decode()),
        private_key=private_key,
        valid_to=valid_to,
    )
