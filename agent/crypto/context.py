"""Owns the bytes that an EncryptionContext is authenticated as. Knows nothing of ciphers.

Layout, integers big-endian:

    "kms-agent encryption context 1"   30 bytes
    pairs                              u32
    per pair, by key in UTF-8 order:   u32 length, key in UTF-8, u32 length, value in UTF-8

Every field is counted or preceded by its length, so two contexts have the same bytes only if they are
equal, and the order in which a caller wrote the pairs does not count. Comparison is exact: no
normalization, no case folding.
"""

import struct
from collections.abc import Mapping
from typing import Final

_LABEL: Final = b"kms-agent encryption context 1"
_LENGTH: Final = struct.Struct(">I")
_EMPTY: Final = _LABEL + _LENGTH.pack(0)


def encode(context: Mapping[str, str]) -> bytes:
    """Return the context as additional authenticated data; an absent context is the empty one."""
    if not context:
        return _EMPTY
    length = _LENGTH.pack
    parts = [_LABEL, length(len(context))]
    for key, value in sorted((_utf8(key), _utf8(value)) for key, value in context.items()):
        parts += (length(len(key)), key, length(len(value)), value)
    return b"".join(parts)


def _utf8(text: str) -> bytes:
    # Lone surrogates are not valid UTF-8 but can stand in a Python string: still one spelling for each.
    return text.encode("utf-8", "surrogatepass")
