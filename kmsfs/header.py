"""Owns the header of a file: its byte layout, the wrapping of the data key, the sealed block. Pure, no I/O.

    offset  size  clear part, fixed when the file is created
         0     6  magic 89 4B 4D 53 46 53
         6     2  version, 1
         8     1  suite, 1: XAES-256-GCM, HKDF-SHA-256
         9     1  mode: where the data key comes from
        10     1  chunk_shift: chunks hold 2**chunk_shift bytes
        11     1  header_units of 512 bytes, 1
        12     2  length of the wrapped data key: 72, in mode DIRECT 1 to 280
        14     2  zero
        16    16  volume_id
        32    16  file_id
        48    16  key reference: id of the bucket key, or 14 zero bytes | policy index 2
        64    32  key commitment
        96   280  wrapped data key, then zeros; a CiphertextBlob in mode DIRECT, in the others its
                  associated data are the 96 bytes before it
                  sealed block, written anew whenever it changes; associated data: the 376 bytes before it
       376    12  salt
       388    12  nonce
       400    96  ciphertext of: size 8 | flags 2 | binding count 2 | zero 4 | binding 16 | next binding 16 |
                  zero 48
       496    16  tag

Integers are big-endian. The sealed block is XAES-256-GCM under the key that seals the chunks; the magic keeps
its associated data apart from theirs. Knows nothing of chunks, names, or where wrapping keys come from.
"""

import hmac
import os
import struct
from collections.abc import Mapping
from enum import IntFlag
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag

from kmsfs import hkdf, xaes
from kmsfs.errors import CorruptHeaderError
from kmsfs.geometry import MAX_CHUNK_SHIFT, MAX_PLAIN_SIZE, MIN_CHUNK_SHIFT
from kmsfs.wrapping import BLOB_SIZE_MAX, WRAPPED_KEY_SIZE, Mode, OpeningKey, SealingKey

HEADER_UNIT: Final = 512
HEADER_PEEK_SIZE: Final = HEADER_UNIT
ID_SIZE: Final = 16
_MAGIC: Final = b"\x89KMSFS"
_VERSION: Final = 1
_SUITE: Final = 1
_UNITS: Final = 1
_HEAD: Final = struct.Struct(">6sHBBBBH2x16s16s16s32s")
_HEAD_ZEROS: Final = slice(14, 16)
_MODE_OFFSET: Final = 9
_WRAP_OFFSET: Final = _HEAD.size
_SALT_OFFSET: Final = _WRAP_OFFSET + BLOB_SIZE_MAX
_NONCE_OFFSET: Final = _SALT_OFFSET + xaes.SALT_SIZE
_SEALED_OFFSET: Final = _NONCE_OFFSET + xaes.NONCE_SIZE
_CLEAR_ZEROS: Final = bytes(BLOB_SIZE_MAX)
_BLOCK: Final = struct.Struct(">QHH4x16s16s48x")
_BLOCK_ZEROS: Final = slice(12, 16)
_BINDING_OFFSET: Final = 16
_BINDINGS_MAX: Final = 2
_CONTENT_LABEL: Final = b"kmsfs content 1"
_COMMITMENT_LABEL: Final = b"kmsfs commitment 1"


class Flags(IntFlag):
    """What the sealed block says of a file: SPARSE allows holes, MULTI says that it has had several links."""

    NONE = 0
    SPARSE = 1
    MULTI = 2


_FORM: Final = (_VERSION, _SUITE, _UNITS)
_WRAPPED_SIZES: Final[Mapping[int, range]] = {
    Mode.BUCKET: range(WRAPPED_KEY_SIZE, WRAPPED_KEY_SIZE + 1),
    Mode.DIRECT: range(1, BLOB_SIZE_MAX + 1),
    Mode.CUSTOMER: range(WRAPPED_KEY_SIZE, WRAPPED_KEY_SIZE + 1),
}
_MODES: Final = tuple(Mode)
# Making a Flags costs a microsecond; reading a header should not.
_FLAGS: Final = tuple(Flags(value) for value in range(4))


# Named tuples below: one of each is made per open, and making a frozen dataclass takes three times as long.
class FileKeys(NamedTuple):
    """A file's identity and content key.

    Attributes:
        file_id: 16 random bytes.
        chunk_shift: chunks hold 2**chunk_shift bytes.
        header_size: bytes before the first record.
        clear: the header up to the sealed block, as it is on disk.
        content_key: XAES-256-GCM key of chunks and sealed block, 32 bytes.
    """

    file_id: bytes
    chunk_shift: int
    header_size: int
    clear: bytes
    content_key: bytes

    def __repr__(self) -> str:
        return f"FileKeys({self.file_id.hex()})"


class ClearHeader(NamedTuple):
    """The clear part of a header: well-formed, but not authenticated before `unlock`.

    Attributes:
        mode: where the data key comes from.
        chunk_shift: chunks hold 2**chunk_shift bytes.
        header_size: bytes before the first record.
        volume_id: 16 bytes.
        file_id: 16 bytes.
        reference: 16 bytes that, with `mode`, name what unwraps `wrapped_key`.
        commitment: 32 bytes that only this file's data key leads to.
        wrapped_key: the data key, encrypted.
        clear: the bytes themselves.
    """

    mode: Mode
    chunk_shift: int
    header_size: int
    volume_id: bytes
    file_id: bytes
    reference: bytes
    commitment: bytes
    wrapped_key: bytes
    clear: bytes


class SealedBlock(NamedTuple):
    """What the header says under the file's own key.

    Attributes:
        size: bytes of plaintext.
        flags: SPARSE, MULTI.
        binding: 16 bytes that tie the file to its parent directory and name; None when it is not bound.
        next_binding: the same for the name that a rename under way gives it; only beside `binding`.
    """

    size: int
    flags: Flags = Flags.NONE
    binding: bytes | None = None
    next_binding: bytes | None = None


class NewFile(NamedTuple):
    """What the keys of a new file depend on; they can be drawn as late as its first byte is written.

    Attributes:
        volume_id: 16 bytes.
        chunk_shift: 12 to 20.
        key: gives the data key and wraps it.
    """

    volume_id: bytes
    chunk_shift: int
    key: SealingKey

    def draw(self) -> FileKeys:
        """Draw id and data key."""
        return create(self.volume_id, self.chunk_shift, self.key)


def create(volume_id: bytes, chunk_shift: int, key: SealingKey) -> FileKeys:
    """Draw a new file's id and data key; return them as they will stand in its header.

    Args:
        volume_id: 16 bytes.
        chunk_shift: 12 to 20.
        key: gives the data key and wraps it.
    """
    file_id, data_key = key.draw()
    return _wrapped(volume_id, chunk_shift, file_id, data_key, key)


def rewrap(clear: ClearHeader, volume_id: bytes, old: OpeningKey, new: SealingKey) -> FileKeys:
    """Return the keys of an existing file with its data key wrapped anew; its chunks stay as they are.

    The sealed block has to be sealed again, since it authenticates all that is before it.

    Args:
        clear: its parsed header.
        volume_id: 16 bytes.
        old: what opens it now.
        new: what is to open it; its `draw` is not asked.

    Raises:
        CorruptHeaderError: as from `unlock`.
    """
    data_key = unwrap(clear, volume_id, old)
    return _wrapped(volume_id, clear.chunk_shift, clear.file_id, data_key, new)


def _wrapped(
    volume_id: bytes, chunk_shift: int, file_id: bytes, data_key: bytes, key: SealingKey
) -> FileKeys:
    identity = volume_id + file_id
    if len(volume_id) != ID_SIZE or not MIN_CHUNK_SHIFT <= chunk_shift <= MAX_CHUNK_SHIFT:
        raise AssertionError("a volume id has 16 bytes, a chunk 2**12 to 2**20")
    head = _HEAD.pack(
        _MAGIC, _VERSION, _SUITE, key.mode, chunk_shift, _UNITS, key.wrapped_size,
        volume_id, file_id, key.id, hkdf.expand(data_key, _COMMITMENT_LABEL + identity),
    )  # fmt: skip
    wrapped = key.wrap(data_key, head)
    if len(wrapped) != key.wrapped_size or len(wrapped) not in _WRAPPED_SIZES[key.mode]:
        raise AssertionError("a wrapped data key has the size that was announced, and room in the header")
    clear = (head + wrapped).ljust(_SALT_OFFSET, b"\0")
    content_key = hkdf.expand(data_key, _CONTENT_LABEL + identity)
    return FileKeys(file_id, chunk_shift, HEADER_UNIT, clear, content_key)


def parse(raw: bytes) -> ClearHeader:
    """Read the clear part at the beginning of `raw`, which may go on with records.

    Raises:
        CorruptHeaderError: too short, of another version, or not in the one form that `create` gives.
    """
    if len(raw) < HEADER_UNIT:
        raise CorruptHeaderError(f"a file of {len(raw)} bytes is shorter than its header")
    clear = bytes(raw[:_SALT_OFFSET])
    (
        magic, version, suite, mode, chunk_shift, units, wrapped_size,
        volume_id, file_id, reference, commitment,
    ) = _HEAD.unpack_from(clear)  # fmt: skip
    if magic != _MAGIC:
        raise CorruptHeaderError("not a kmsfs file")
    if (version, suite, units) != _FORM or wrapped_size not in _WRAPPED_SIZES.get(mode, ()):
        raise CorruptHeaderError(
            f"a header of version {version}, suite {suite}, mode {mode}, {units} units, wrapped key of "
            f"{wrapped_size} bytes is damaged or of a newer kmsfs",
        )
    if not MIN_CHUNK_SHIFT <= chunk_shift <= MAX_CHUNK_SHIFT:
        raise CorruptHeaderError(f"chunk_shift {chunk_shift} is out of range")
    # The sealed block's tag covers these too; refusing them here keeps them free for later versions.
    wrapped_end = _WRAP_OFFSET + wrapped_size
    if clear[_HEAD_ZEROS] != b"\0\0" or clear[wrapped_end:] != _CLEAR_ZEROS[wrapped_size:]:
        raise CorruptHeaderError("reserved bytes of a header are not zero")
    return ClearHeader(
        _MODES[mode - 1], chunk_shift, HEADER_UNIT, volume_id, file_id, reference, commitment,
        clear[_WRAP_OFFSET:wrapped_end], clear,
    )  # fmt: skip


def unlock(clear: ClearHeader, volume_id: bytes, key: OpeningKey) -> FileKeys:
    """Unwrap the data key of a parsed header.

    Raises:
        CorruptHeaderError: of another volume or key, or changed by someone without the keys.
    """
    data_key = unwrap(clear, volume_id, key)
    content_key = hkdf.expand(data_key, _CONTENT_LABEL + volume_id + clear.file_id)
    return FileKeys(clear.file_id, clear.chunk_shift, clear.header_size, clear.clear, content_key)


def unwrap(clear: ClearHeader, volume_id: bytes, key: OpeningKey) -> bytes:
    """Return the data key of a parsed header, 32 bytes; `unlock` has what can be done with it.

    Raises:
        CorruptHeaderError: of another volume or key, or changed by someone without the keys.
    """
    if clear.volume_id != volume_id:
        raise CorruptHeaderError("the header is of a file of another volume")
    if clear.reference != key.id or clear.mode is not key.mode:
        raise CorruptHeaderError("the header names another key")
    data_key = key.unwrap(clear.wrapped_key, clear.clear[:_WRAP_OFFSET])
    # The commitment first: GCM alone can be made to accept one ciphertext under two keys.
    committed = hkdf.expand(data_key, _COMMITMENT_LABEL + volume_id + clear.file_id)
    if not hmac.compare_digest(committed, clear.commitment):
        raise CorruptHeaderError("the data key is not the one that the header commits to")
    return data_key


def is_direct(clear: bytes) -> bool:
    """Say whether a header, well-formed up to its sealed block, is of mode DIRECT."""
    return clear[_MODE_OFFSET] == Mode.DIRECT


def seal(keys: FileKeys, session: xaes.Session, block: SealedBlock) -> bytes:
    """Return the whole header, `keys.header_size` bytes, with `block` sealed into it.

    Args:
        keys: of the file.
        session: a write session under `keys.content_key`; counts as one of its writes.
        block: what to seal.
    """
    binding, next_binding = block.binding, block.next_binding
    if binding is None:
        if next_binding is not None:
            raise AssertionError("a next binding stands beside a binding")
        plain = _BLOCK.pack(block.size, block.flags, 0, b"", b"")
    else:
        count = 1 if next_binding is None else 2
        plain = _BLOCK.pack(block.size, block.flags, count, binding, next_binding or b"")
    nonce = os.urandom(xaes.NONCE_SIZE)
    return keys.clear + session.salt + nonce + session.gcm.encrypt(nonce, plain, keys.clear)


def unseal(keys: FileKeys, raw: bytes, session: xaes.Session | None = None) -> SealedBlock:
    """Open the sealed block of the header at the beginning of `raw`.

    Args:
        keys: of the file.
        raw: the header; may go on with records.
        session: `read_session(keys, raw)` where the caller has it already.

    Raises:
        CorruptHeaderError: changed by someone without the key, or not the header that `keys` came from.
    """
    header = bytes(raw[: keys.header_size])
    if len(header) != keys.header_size or not header.startswith(keys.clear):
        raise CorruptHeaderError("the header is not the one that was unlocked")
    if session is None:
        session = read_session(keys, header)
    nonce = header[_NONCE_OFFSET:_SEALED_OFFSET]
    try:
        plain = session.gcm.decrypt(nonce, header[_SEALED_OFFSET:], keys.clear)
    except InvalidTag:
        raise CorruptHeaderError("the sealed block of a header does not authenticate") from None
    size, flags, count, binding, next_binding = _BLOCK.unpack(plain)
    canonical = (
        size <= MAX_PLAIN_SIZE
        and flags < len(_FLAGS)
        and count <= _BINDINGS_MAX
        and not any(plain[_BLOCK_ZEROS])
        and not any(plain[_BINDING_OFFSET + count * ID_SIZE :])
    )
    # Only a holder of the key can come here with anything else; the check keeps the format canonical.
    if not canonical:
        raise CorruptHeaderError("the sealed block of a header is of a newer kmsfs")
    return SealedBlock(
        size,
        _FLAGS[flags],
        binding if count else None,
        next_binding if count == _BINDINGS_MAX else None,
    )


def read_session(keys: FileKeys, raw: bytes) -> xaes.Session:
    """Return the session that the header `raw` begins with was sealed in; chunks often share it."""
    salt = bytes(raw[_SALT_OFFSET:_NONCE_OFFSET])
    return xaes.Session(salt, xaes.derive(keys.content_key, salt))
