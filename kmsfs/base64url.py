"""Owns unpadded base64url (RFC 4648 section 5) with one spelling per value. Knows nothing of names."""

import binascii
from typing import Final

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# The standard alphabet's own two characters become ones that do not decode to what they spell.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")
_PADDING: Final = (b"", b"===", b"==", b"=")


def encode(raw: bytes) -> bytes:
    """Return the one spelling of `raw`."""
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """Return what `text` spells.

    Raises:
        ValueError: `text` is not the one spelling that `encode` gives (padding, foreign characters,
            stray bits in the last character).
    """
    raw = binascii.a2b_base64(text.translate(_TO_STANDARD) + _PADDING[len(text) & 3])
    # a2b_base64 skips what it does not know and drops stray bits: spelling the value again finds both.
    if binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=") != text:
        raise ValueError("not canonical base64url")
    return raw


def encoded_size(raw_size: int) -> int:
    """Return the length in characters of `raw_size` bytes."""
    return (raw_size * 4 + 2) // 3


def decoded_size(text_size: int) -> int:
    """Return the length in bytes of what `text_size` characters spell.

    Raises:
        ValueError: no value has that many characters.
    """
    if text_size & 3 == 1:
        raise ValueError("no base64url text has this length")
    return text_size * 3 // 4
