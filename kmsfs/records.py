"""Owns what else is sealed beside files and names: directory records, symlink targets, extended attributes.

Records, targets and attribute names are AES-256-SIV (RFC 5297) with one associated data string that begins
with a label of their own, in base64url. Attribute values are XAES-256-GCM under a fresh 24-byte nonce. Pure,
no I/O. Knows nothing of directories' contents or of who stores the sealed bytes: docs/reference/format.md.
"""

import os
import struct
from dataclasses import dataclass, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from kmsfs import base64url, xaes
from kmsfs.errors import (
    CorruptAttributeError,
    CorruptRecordError,
    CorruptTargetError,
    NameTooLongError,
)

RECORDS_KEY_SIZE: Final = 64
XATTR_KEY_SIZE: Final = 32
ID_SIZE: Final = 16
TARGET_SIZE_MAX: Final = 3055
XATTR_PREFIX: Final = b"user."
STORED_XATTR_PREFIX: Final = b"user.kmsfs."
XATTR_NAME_SIZE_MAX: Final = len(XATTR_PREFIX) + 160
XATTR_VALUE_OVERHEAD: Final = xaes.SALT_SIZE + xaes.NONCE_SIZE + xaes.TAG_SIZE

_DIRECTORY_LABEL: Final = b"kmsfs directory 1"
_TARGET_LABEL: Final = b"kmsfs target 1"
_XATTR_NAME_LABEL: Final = b"kmsfs xattr name 1"
_XATTR_VALUE_LABEL: Final = b"kmsfs xattr value 1"
_SIV_SIZE: Final = 16
_PAD: Final = 16
_NONCE_END: Final = xaes.SALT_SIZE + xaes.NONCE_SIZE
# The kind is the number of bindings plus one, so that no kind is zero.
_RECORD: Final = struct.Struct(">BH16s")
# Half of a binding leaves the target of a bound directory's record short enough to lie in ext4's inode.
_BINDING_SIZE: Final = 8
_RECORD_SIZES: Final = {1 + count: _RECORD.size + count * _BINDING_SIZE for count in range(3)}


@dataclass(frozen=True, slots=True)
class DirectoryRecord:
    """What a directory's record says of it.

    Attributes:
        dir_id: 16 random bytes; names in the directory are sealed for it.
        policy: index of the encryption policy of what is created in it, 0 to 65535.
        binding: 8 bytes that tie it to its parent directory and name; None when it is not bound.
        next_binding: the same for the name that a rename under way gives it; only beside `binding`.
    """

    dir_id: bytes
    policy: int = 0
    binding: bytes | None = None
    next_binding: bytes | None = None

    def tied(self, place: bytes | None, next_place: bytes | None = None) -> "DirectoryRecord":
        """Return the record tied to a place, and to one that it is about to get, by their bindings."""
        return replace(
            self,
            binding=None if place is None else place[:_BINDING_SIZE],
            next_binding=None if next_place is None else next_place[:_BINDING_SIZE],
        )

    def is_tied_to(self, place: bytes) -> bool:
        """Say whether the directory may be found at a place, by its binding (16 bytes, as any place has)."""
        return place[:_BINDING_SIZE] in (self.binding, self.next_binding)


class RecordCipher:
    """Seals and opens records, targets and attributes of one volume.

    Args:
        records_key: AES-256-SIV key, 64 bytes.
        xattr_key: XAES-256-GCM key of attribute values, 32 bytes.
    """

    __slots__ = ("_siv", "_xattr_key")

    def __init__(self, records_key: bytes, xattr_key: bytes) -> None:
        if len(records_key) != RECORDS_KEY_SIZE or len(xattr_key) != XATTR_KEY_SIZE:
            raise AssertionError("a records key has 64 bytes, an xattr key 32")
        self._siv = AESSIV(records_key)
        self._xattr_key = xattr_key

    def seal(self, record: DirectoryRecord) -> bytes:
        """Return `record` as the target of the symlink that keeps it."""
        bindings = [binding for binding in (record.binding, record.next_binding) if binding is not None]
        plain = _RECORD.pack(1 + len(bindings), record.policy, record.dir_id) + b"".join(bindings)
        ordered = record.next_binding is None or record.binding is not None
        if not ordered or len(record.dir_id) != ID_SIZE or len(plain) != _RECORD_SIZES[plain[0]]:
            raise AssertionError("ids have 16 bytes, bindings 8, and a next one stands beside a binding")
        return self._seal(plain, _DIRECTORY_LABEL)

    def open(self, sealed: bytes) -> DirectoryRecord:
        """Return the record that a symlink's target `sealed` holds.

        Raises:
            CorruptRecordError: not sealed by this volume, or not in its one spelling.
        """
        plain = self._open(sealed, _DIRECTORY_LABEL, "a directory's record")
        if len(plain) != _RECORD_SIZES.get(plain[0]):
            raise CorruptRecordError("a directory's record is of a newer kmsfs")
        _, policy, dir_id = _RECORD.unpack_from(plain)
        first, second = plain[_RECORD.size :][:_BINDING_SIZE], plain[_RECORD.size + _BINDING_SIZE :]
        return DirectoryRecord(dir_id, policy, first or None, second or None)

    def seal_target(self, dir_id: bytes, target: bytes) -> bytes:
        """Return the stored target of a symlink to `target` that lies in the directory `dir_id`.

        Raises:
            NameTooLongError: over 3055 bytes, whose stored target would exceed Linux's 4095.
        """
        if len(target) > TARGET_SIZE_MAX:
            raise NameTooLongError(
                f"a symlink's target has at most {TARGET_SIZE_MAX} bytes on this filesystem"
            )
        if not target or b"\0" in target:
            raise AssertionError("a symlink's target is not empty and has no NUL")
        return self._seal(target, _TARGET_LABEL + dir_id)

    def open_target(self, dir_id: bytes, sealed: bytes) -> bytes:
        """Return the target of a symlink in the directory `dir_id` whose stored target is `sealed`.

        Raises:
            CorruptTargetError: not sealed for this directory, or not in its one spelling.
        """
        return self._open(sealed, _TARGET_LABEL + dir_id, "a symlink's target", CorruptTargetError)

    def seal_xattr_name(self, name: bytes) -> bytes:
        """Return the stored name of the attribute `name`, which begins with `user.`.

        Raises:
            NameTooLongError: over 165 bytes, whose stored name would exceed Linux's 255.
        """
        if len(name) > XATTR_NAME_SIZE_MAX:
            raise NameTooLongError(
                f"an extended attribute's name has at most {XATTR_NAME_SIZE_MAX} bytes on this filesystem",
            )
        if not name.startswith(XATTR_PREFIX) or b"\0" in name:
            raise AssertionError("only names of the user namespace are sealed")
        rest = name[len(XATTR_PREFIX) :]
        return STORED_XATTR_PREFIX + self._seal(rest + bytes(_pad_size(len(rest))), _XATTR_NAME_LABEL)

    def open_xattr_name(self, stored: bytes) -> bytes:
        """Return the attribute name that `stored` stands for.

        Raises:
            CorruptAttributeError: not sealed by this volume, or not in its one spelling.
        """
        if not stored.startswith(STORED_XATTR_PREFIX):
            raise CorruptAttributeError(f"an extended attribute's name is not one of kmsfs's: {stored!r}")
        sealed = stored[len(STORED_XATTR_PREFIX) :]
        padded = self._open(sealed, _XATTR_NAME_LABEL, "an attribute's name", CorruptAttributeError)
        rest = padded.rstrip(b"\0")
        if len(padded) != len(rest) + _pad_size(len(rest)) or b"\0" in rest:
            raise CorruptAttributeError(f"an extended attribute's name is not canonical: {stored!r}")
        return XATTR_PREFIX + rest

    def seal_xattr_value(self, owner_id: bytes, name: bytes, value: bytes) -> bytes:
        """Return the stored value of an attribute, 40 bytes longer than `value`.

        Args:
            owner_id: file_id or dir_id, 16 bytes, of what carries the attribute.
            name: its plain name, `user.` included.
            value: its value; may be empty.
        """
        if len(owner_id) != ID_SIZE:
            raise AssertionError("ids have 16 bytes")
        session = xaes.new_session(self._xattr_key)
        nonce = os.urandom(xaes.NONCE_SIZE)
        aad = _XATTR_VALUE_LABEL + owner_id + name
        return session.salt + nonce + session.gcm.encrypt(nonce, value, aad)

    def open_xattr_value(self, owner_id: bytes, name: bytes, stored: bytes) -> bytes:
        """Return the value that `stored` holds for the attribute `name` of `owner_id`.

        Raises:
            CorruptAttributeError: not the value of this attribute of this file or directory.
        """
        salt, nonce = stored[: xaes.SALT_SIZE], stored[xaes.SALT_SIZE : _NONCE_END]
        if len(stored) < XATTR_VALUE_OVERHEAD:
            raise CorruptAttributeError("an extended attribute's value is too short")
        gcm = xaes.derive(self._xattr_key, salt)
        try:
            return gcm.decrypt(nonce, stored[_NONCE_END:], _XATTR_VALUE_LABEL + owner_id + name)
        except InvalidTag:
            raise CorruptAttributeError("an extended attribute's value does not authenticate") from None

    def _seal(self, plain: bytes, aad: bytes) -> bytes:
        return base64url.encode(self._siv.encrypt(plain, [aad]))

    def _open(
        self, sealed: bytes, aad: bytes, what: str, refusal: type[CorruptRecordError] = CorruptRecordError
    ) -> bytes:
        try:
            raw = base64url.decode(sealed)
            if len(raw) <= _SIV_SIZE:
                raise refusal(f"{what} is too short")
            return self._siv.decrypt(raw, [aad])
        except (InvalidTag, ValueError):
            raise refusal(f"{what} does not authenticate") from None


def target_length(stored_size: int) -> int:
    """Return the length of the target that a stored target of `stored_size` bytes (its st_size) holds.

    Raises:
        CorruptRecordError: no stored target has that size.
    """
    try:
        length = base64url.decoded_size(stored_size) - _SIV_SIZE
    except ValueError:
        length = 0
    if length <= 0:
        raise CorruptRecordError(f"no symlink of this filesystem has {stored_size} bytes")
    return length


def xattr_value_length(stored_size: int) -> int:
    """Return the length of the value that a stored value of `stored_size` bytes holds.

    Raises:
        CorruptAttributeError: no stored value has that size.
    """
    if stored_size < XATTR_VALUE_OVERHEAD:
        raise CorruptAttributeError("an extended attribute's value is too short")
    return stored_size - XATTR_VALUE_OVERHEAD


def _pad_size(size: int) -> int:
    """Return how many NULs make `size` bytes a multiple of 16, at least 16."""
    return -size % _PAD if size else _PAD
