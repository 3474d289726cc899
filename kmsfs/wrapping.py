"""Owns what a file's header asks of the key that wraps its data key, and how it names that key. Pure.

Knows nothing of a header's layout but the two places that a wrapping key is tied to, and no key.
"""

import struct
from enum import IntEnum
from typing import Final, Protocol

from kmsfs.errors import CorruptHeaderError

WRAPPED_KEY_SIZE: Final = 72
BLOB_SIZE_MAX: Final = 280
# Where the file_id stands in the 96 bytes that a data key is wrapped with.
FILE_ID: Final = slice(32, 48)

_POLICY_REFERENCE: Final = struct.Struct(">14xH")
_REFERENCE_ZEROS: Final = bytes(14)


class Mode(IntEnum):
    """Where a file's data key comes from: a bucket key, a call to the KMS, or the customer's own key."""

    BUCKET = 1
    DIRECT = 2
    CUSTOMER = 3


class OpeningKey(Protocol):
    """What opens the wrapped data key of existing files."""

    @property
    def id(self) -> bytes:
        """The key reference that names it in headers, 16 bytes."""
        ...

    @property
    def mode(self) -> Mode:
        """The mode of the headers that it opens."""
        ...

    def unwrap(self, wrapped: bytes, head: bytes) -> bytes:
        """Return the data key, 32 bytes.

        Args:
            wrapped: as it stands in the header.
            head: the 96 bytes before it.

        Raises:
            CorruptHeaderError: it does not authenticate.
            KeyUnavailableError: the KMS refuses it, or cannot be asked.
            WaitNeededError: the KMS has to be asked first.
        """
        ...


class SealingKey(Protocol):
    """What a new file's data key comes from and is wrapped with."""

    @property
    def id(self) -> bytes:
        """The key reference that names it in headers, 16 bytes."""
        ...

    @property
    def mode(self) -> Mode:
        """The mode of the headers that it makes."""
        ...

    @property
    def wrapped_size(self) -> int:
        """How many bytes `wrap` returns."""
        ...

    def draw(self) -> tuple[bytes, bytes]:
        """Return a new file's id (16 bytes) and data key (32 bytes)."""
        ...

    def wrap(self, data_key: bytes, head: bytes) -> bytes:
        """Return the wrapped data key, tied to the 96 bytes that will stand before it."""
        ...


def policy_reference(policy: int) -> bytes:
    """Return the key reference of files in mode DIRECT or CUSTOMER: the index of their policy, 16 bytes."""
    return _POLICY_REFERENCE.pack(policy)


def referenced_policy(reference: bytes) -> int:
    """Return the policy index that a key reference of mode DIRECT or CUSTOMER holds.

    Raises:
        CorruptHeaderError: it has another form.
    """
    if not reference.startswith(_REFERENCE_ZEROS):
        raise CorruptHeaderError("the key reference of a header is not a policy's")
    (policy,) = _POLICY_REFERENCE.unpack(reference)
    return int(policy)
