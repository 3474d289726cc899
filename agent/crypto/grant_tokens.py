"""Owns grant tokens: what names a grant so that nobody else can make one. Knows nothing of permissions.

A token is URL-safe base64 of

    version (1) · nonce (16) · grant id (32) · Region and key id as UTF-8, a slash between · tag (32)

where the tag is HMAC-SHA-256 of all before it. Nothing about tokens is kept: whoever has the key reads any.
Each token of a grant is different; all mean the same.
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from agent.crypto.kdf import hmac_sha256

NONCE_SIZE: Final = 16
_VERSION: Final = b"\x01"
_GRANT_ID_SIZE: Final = 32
_TAG_SIZE: Final = 32
_NAMES_START: Final = len(_VERSION) + NONCE_SIZE + _GRANT_ID_SIZE


class GrantTokenError(ValueError):
    """The text is not a token that was made with this key."""


@dataclass(frozen=True, slots=True)
class TokenOf:
    """What a token names.

    Attributes:
        grant_id: 64 hexadecimal digits.
    """

    region: str
    key_id: str
    grant_id: str


def make_token(key: bytes, named: TokenOf, nonce: bytes) -> str:
    """Return a token.

    Args:
        key: 32 bytes.
        named: the grant.
        nonce: 16 bytes, used once.
    """
    if len(nonce) != NONCE_SIZE:
        raise AssertionError("a nonce is 16 bytes")
    names = f"{named.region}/{named.key_id}".encode()
    body = _VERSION + nonce + bytes.fromhex(named.grant_id) + names
    return _encode(body + hmac_sha256(key, body))


def read_token(key: bytes, text: str) -> TokenOf:
    """Return what a token names.

    Raises:
        GrantTokenError: it was not made with `key`, or was changed since.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise GrantTokenError from None
    body, tag = raw[:-_TAG_SIZE], raw[-_TAG_SIZE:]
    # The decoder skips what is not base64; there is one spelling of a token.
    authentic = hmac.compare_digest(tag, hmac_sha256(key, body)) and _encode(raw) == text
    if not authentic or body[:1] != _VERSION:
        raise GrantTokenError
    region, _, key_id = body[_NAMES_START:].decode().rpartition("/")
    return TokenOf(region, key_id, body[_NAMES_START - _GRANT_ID_SIZE : _NAMES_START].hex())


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
