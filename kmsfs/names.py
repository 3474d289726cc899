"""Owns the names on the backing store: a directory entry's name to its stored name and back, no I/O.

A name is padded with NUL to a multiple of 16, sealed with AES-256-SIV (RFC 5297) under the volume's name key
with the directory's identifier as associated data, and spelled in base64url. What would then exceed 255 bytes
is stored under a hash of it; the full spelling is the target of a symlink beside it, its sidecar. Neither
alphabet nor case leaves two spellings of one name: docs/reference/format.md, "Names".

Knows nothing of directories' records, files, or who keeps the sidecars.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from kmsfs import base64url
from kmsfs.errors import CorruptNameError, NameTooLongError, ReservedNameError

NAME_KEY_SIZE: Final = 64
NAME_SIZE_MAX: Final = 255
STORED_SIZE_MAX: Final = 255
RESERVED_PREFIX: Final = b".kmsfs"
LONG_PREFIX: Final = b"kmsfs.long."
SIDECAR_SUFFIX: Final = b".name"

_LABEL: Final = b"kmsfs name 1"
_PAD: Final = 16
_SIV_SIZE: Final = 16
_HASH_TEXT_SIZE: Final = 43
_LONG_SIZE: Final = len(LONG_PREFIX) + _HASH_TEXT_SIZE

SIDECAR_SIZE_MAX: Final = base64url.encoded_size(_SIV_SIZE + -(-NAME_SIZE_MAX // _PAD) * _PAD)


@dataclass(frozen=True, slots=True)
class StoredName:
    """A name as the backing store has it.

    Attributes:
        name: name of the entry, at most 255 bytes.
        sidecar: target of the symlink `sidecar_name(name)` that must exist before the entry; None when the
            name is short enough to stand for itself.
    """

    name: bytes
    sidecar: bytes | None = None


class NameCipher(Protocol):
    """Turns names into stored names and back, one-to-one within a directory."""

    def seal(self, dir_id: bytes, name: bytes) -> StoredName:
        """Return the one stored name of `name` (1 to 255 bytes) in the directory `dir_id` (16 bytes)."""
        ...

    def open(self, dir_id: bytes, sealed: bytes) -> bytes:
        """Return the name that `sealed` stands for: a stored name, or a long one's sidecar."""
        ...


class SivNames:
    """Names sealed with AES-256-SIV.

    Args:
        key: 64 bytes.
    """

    __slots__ = ("_siv",)

    def __init__(self, key: bytes) -> None:
        if len(key) != NAME_KEY_SIZE:
            raise AssertionError("a name key has 64 bytes")
        self._siv = AESSIV(key)

    def seal(self, dir_id: bytes, name: bytes) -> StoredName:
        """Return the one stored name of `name` in the directory `dir_id`.

        Raises:
            NameTooLongError: over 255 bytes.
        """
        size = len(name)
        if size > NAME_SIZE_MAX:
            raise NameTooLongError(f"a name has at most {NAME_SIZE_MAX} bytes, this one has {size}")
        if not _is_name(name):
            raise AssertionError("not a directory entry's name")
        padded = name + bytes(-size % _PAD)
        sealed = base64url.encode(self._siv.encrypt(padded, [_LABEL + dir_id]))
        if len(sealed) <= STORED_SIZE_MAX:
            return StoredName(sealed)
        return StoredName(_long_name(sealed), sealed)

    def open(self, dir_id: bytes, sealed: bytes) -> bytes:
        """Return the name that `sealed` stands for in the directory `dir_id`.

        Raises:
            CorruptNameError: not sealed under this key for this directory, or not in its one spelling.
        """
        try:
            padded = self._siv.decrypt(base64url.decode(sealed), [_LABEL + dir_id])
        except (InvalidTag, ValueError):
            raise CorruptNameError(f"a stored name does not authenticate: {sealed!r}") from None
        name = padded.rstrip(b"\0")
        size = len(name)
        # Only a holder of the key can come here; the checks keep the format canonical for every writer.
        if size > NAME_SIZE_MAX or len(padded) != size + -size % _PAD or not _is_name(name):
            raise CorruptNameError(f"a stored name is not canonical: {sealed!r}")
        return name


class PlainNames:
    """Names kept as they are, for volumes made with plain names."""

    __slots__ = ()

    def seal(self, dir_id: bytes, name: bytes) -> StoredName:  # noqa: ARG002 - the protocol's
        """Return `name` itself.

        Raises:
            NameTooLongError: over 255 bytes.
            ReservedNameError: one of the names that kmsfs keeps for itself.
        """
        if len(name) > NAME_SIZE_MAX:
            raise NameTooLongError(f"a name has at most {NAME_SIZE_MAX} bytes, this one has {len(name)}")
        if name.startswith((RESERVED_PREFIX, LONG_PREFIX)):
            raise ReservedNameError(
                f"{name!r} is a name that kmsfs keeps for itself; choose one that begins otherwise, "
                "or use a volume without plain names",
            )
        if not _is_name(name):
            raise AssertionError("not a directory entry's name")
        return StoredName(name)

    def open(self, dir_id: bytes, sealed: bytes) -> bytes:  # noqa: ARG002 - the protocol's
        """Return `sealed` itself.

        Raises:
            CorruptNameError: one of the names that kmsfs keeps for itself, or not a name.
        """
        reserved = sealed.startswith((RESERVED_PREFIX, LONG_PREFIX))
        if reserved or len(sealed) > NAME_SIZE_MAX or not _is_name(sealed):
            raise CorruptNameError(f"not a name of a volume with plain names: {sealed!r}")
        return sealed


def is_reserved(stored: bytes) -> bool:
    """Tell whether `stored` is kmsfs's own: a record, the description, a temporary, or a sidecar."""
    return stored.startswith(RESERVED_PREFIX) or (
        stored.startswith(LONG_PREFIX) and stored.endswith(SIDECAR_SUFFIX)
    )


def is_long(stored: bytes) -> bool:
    """Tell whether `stored` stands for a name whose spelling its sidecar has."""
    return len(stored) == _LONG_SIZE and stored.startswith(LONG_PREFIX)


def sidecar_name(stored: bytes) -> bytes:
    """Return the name of the sidecar that belongs to the long name `stored`."""
    return stored + SIDECAR_SUFFIX


def long_name_matches(stored: bytes, sidecar: bytes) -> bool:
    """Tell whether `sidecar` is the target that belongs to the long name `stored`.

    A spelling that would fit into a name of its own never matches: it would be a second name of one entry.
    """
    return len(sidecar) > STORED_SIZE_MAX and _long_name(sidecar) == stored


def _long_name(sealed: bytes) -> bytes:
    return LONG_PREFIX + base64url.encode(hashlib.sha256(sealed).digest())


def _is_name(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and b"\0" not in name and b"/" not in name
