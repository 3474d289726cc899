"""The header of a file: every bit of it counts."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsfs import header, xaes
from kmsfs.bucketkeys import BucketKey
from kmsfs.errors import CorruptHeaderError
from kmsfs.geometry import MAX_PLAIN_SIZE
from kmsfs.header import FileKeys, Flags, SealedBlock
from kmsfs.wrapping import Mode

VOLUME_ID = b"volume number 01"
BUCKET_KEY = BucketKey(b"bucket key no. 1", bytes(range(32)))
BINDING = st.binary(min_size=16, max_size=16)

blocks = st.builds(
    lambda size, flags, bindings: SealedBlock(size, Flags(flags), *bindings),
    st.integers(0, MAX_PLAIN_SIZE),
    st.integers(0, 3),
    st.lists(BINDING, max_size=2),
)


def new_file(block: SealedBlock = SealedBlock(5)) -> tuple[FileKeys, bytes]:  # noqa: B008 - frozen
    """Return the keys and the header of a new file."""
    keys = header.create(VOLUME_ID, 12, BUCKET_KEY)
    return keys, header.seal(keys, xaes.new_session(keys.content_key), block)


def open_header(raw: bytes) -> SealedBlock:
    """Read a header as opening a file does."""
    keys = header.unlock(header.parse(raw), VOLUME_ID, BUCKET_KEY)
    return header.unseal(keys, raw)


@given(blocks, st.integers(12, 20))
def test_what_is_sealed_is_read(block: SealedBlock, chunk_shift: int) -> None:
    """A header gives back its keys and its sealed block, also with a record behind it."""
    keys = header.create(VOLUME_ID, chunk_shift, BUCKET_KEY)
    session = xaes.new_session(keys.content_key)
    raw = header.seal(keys, session, block)
    assert len(raw) == keys.header_size == header.HEADER_PEEK_SIZE == 512
    clear = header.parse(raw + b"the first record")
    assert (clear.mode, clear.chunk_shift, clear.file_id) == (Mode.BUCKET, chunk_shift, keys.file_id)
    assert (clear.volume_id, clear.reference) == (VOLUME_ID, BUCKET_KEY.id)
    assert header.unlock(clear, VOLUME_ID, BUCKET_KEY) == keys
    assert header.unseal(keys, raw + b"the first record") == block
    assert header.read_session(keys, raw).salt == session.salt
    assert header.unseal(keys, raw, session) == block


def test_every_bit_of_the_header_counts() -> None:
    """Flipping any one of the 4096 bits is refused."""
    _, raw = new_file()
    assert open_header(raw) == SealedBlock(5)
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptHeaderError):
            open_header(bytes(changed))


@pytest.mark.parametrize("size", [0, 1, 375, 376, 511])
def test_a_short_header_is_refused(size: int) -> None:
    """Nothing shorter than a header is one."""
    _, raw = new_file()
    with pytest.raises(CorruptHeaderError):
        header.parse(raw[:size])
    with pytest.raises(CorruptHeaderError):
        header.unseal(new_file()[0], raw[:size])


PARTS = {
    "wrapped key": slice(96, 168),
    "wrapped key and file id": slice(32, 168),
    "commitment": slice(64, 96),
    "all before the sealed block": slice(0, 376),
    "sealed block": slice(376, 512),
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_two_headers_do_not_mix(part: str) -> None:
    """A header with a part of another file's header is refused."""
    _, first = new_file()
    _, second = new_file()
    mixed = bytearray(first)
    mixed[PARTS[part]] = second[PARTS[part]]
    with pytest.raises(CorruptHeaderError):
        open_header(bytes(mixed))


def test_another_volume_or_bucket_key_is_refused() -> None:
    """A header opens in its volume and under its bucket key only, even where ids are equal."""
    _, raw = new_file()
    clear = header.parse(raw)
    for volume_id, bucket_key, reason in (
        (b"volume number 02", BUCKET_KEY, "another volume"),
        (VOLUME_ID, BucketKey(b"bucket key no. 2", bytes(range(32))), "another key"),
        (VOLUME_ID, BucketKey(BUCKET_KEY.id, bytes(32)), "does not authenticate"),
    ):
        with pytest.raises(CorruptHeaderError, match=reason):
            header.unlock(clear, volume_id, bucket_key)


def test_the_commitment_ties_a_header_to_one_data_key() -> None:
    """A data key that unwraps but was not committed to is refused, before anything is opened with it."""

    class Willing:
        """A bucket key that authenticates anything."""

        id = BUCKET_KEY.id
        mode = Mode.BUCKET

        def unwrap(self, wrapped: bytes, head: bytes) -> bytes:  # noqa: ARG002 - the protocol's
            return b"not the data key".ljust(32)

    with pytest.raises(CorruptHeaderError, match="commits"):
        header.unlock(header.parse(new_file()[1]), VOLUME_ID, Willing())


FIELDS = {"version": 6, "suite": 8, "mode": 9, "chunk_shift": 10, "units": 11, "wrapped size": 12, "zero": 14}


@given(st.sampled_from(sorted(FIELDS)), st.integers(0, 255))
def test_no_field_has_another_value(field: str, value: int) -> None:
    """Only chunk sizes have several well-formed values, and even those are authenticated."""
    _, raw = new_file()
    changed = bytearray(raw)
    if changed[FIELDS[field]] == value:
        return
    changed[FIELDS[field]] = value
    with pytest.raises(CorruptHeaderError):
        open_header(bytes(changed))


NOT_IN_FORMAT_1 = {
    "magic": (0, b"\x88"),
    "version": (6, b"\0\2"),
    "suite": (8, b"\2"),
    "mode 0": (9, b"\0"),
    "a mode to come": (9, b"\4"),
    "chunks too small": (10, b"\x0b"),
    "chunks too large": (10, b"\x15"),
    "more units": (11, b"\2"),
    "longer wrapped key": (12, b"\0\x49"),
    "reserved word": (15, b"\1"),
    "first reserved byte": (168, b"\1"),
    "last reserved byte": (375, b"\1"),
}


@pytest.mark.parametrize("case", NOT_IN_FORMAT_1)
def test_other_forms_are_refused_before_any_key_is_used(case: str) -> None:
    """What format 1 does not have is refused on sight: even someone with the keys cannot write it."""
    offset, value = NOT_IN_FORMAT_1[case]
    raw = bytearray(new_file()[1])
    raw[offset : offset + len(value)] = value
    with pytest.raises(CorruptHeaderError):
        header.parse(bytes(raw))


PLAIN_BLOCKS = {
    "unknown flag": struct.pack(">QHH4x16s16s48x", 0, 4, 0, b"", b""),
    "three bindings": struct.pack(">QHH4x16s16s48x", 0, 0, 3, b"", b""),
    "a binding not counted": struct.pack(">QHH4x16s16s48x", 0, 0, 0, b"B", b""),
    "a next binding not counted": struct.pack(">QHH4x16s16s48x", 0, 0, 1, b"B", b"N"),
    "size over the maximum": struct.pack(">QHH4x16s16s48x", MAX_PLAIN_SIZE + 1, 0, 0, b"", b""),
    "reserved bytes": struct.pack(">QHH4x16s16s47xB", 0, 0, 0, b"", b"", 1),
    "reserved word": struct.pack(">QHHI16s16s48x", 0, 0, 0, 1, b"", b""),
}


@pytest.mark.parametrize("plain", PLAIN_BLOCKS.values(), ids=PLAIN_BLOCKS)
def test_sealed_blocks_of_later_versions_are_refused(plain: bytes) -> None:
    """A block that authenticates but says what this version does not know is refused, not overlooked."""
    keys, _ = new_file()
    session = xaes.new_session(keys.content_key)
    nonce = os.urandom(12)
    sealed = session.gcm.encrypt(nonce, plain, keys.clear)
    with pytest.raises(CorruptHeaderError, match="newer"):
        header.unseal(keys, keys.clear + session.salt + nonce + sealed)


def test_nothing_repeats() -> None:
    """Every header sealed, and every data key wrapped, has its own nonce."""
    keys, _ = new_file()
    session = xaes.new_session(keys.content_key)
    seen = {header.seal(keys, session, SealedBlock(0))[388:400] for _ in range(1000)}
    wrapped = {header.create(VOLUME_ID, 12, BUCKET_KEY).clear[96:120] for _ in range(1000)}
    assert len(seen) == len(wrapped) == 1000


def test_keys_do_not_show() -> None:
    """The content key and the bucket key are in no representation."""
    keys, _ = new_file()
    assert keys.content_key.hex() not in repr(keys)
    assert repr(keys.content_key) not in repr(keys)
    assert repr(bytes(range(32))) not in repr(BUCKET_KEY)


@pytest.mark.parametrize("mode", [Mode.BUCKET, Mode.CUSTOMER])
def test_a_data_key_wrapped_anew(mode: Mode) -> None:
    """The same file under another key: identity and content key stay, the old sealed block no longer fits."""
    before, raw = new_file()
    other = BucketKey(b"another wrap key", bytes(32), mode)
    after = header.rewrap(header.parse(raw), VOLUME_ID, BUCKET_KEY, other)
    assert (after.file_id, after.chunk_shift, after.content_key) == (
        before.file_id, before.chunk_shift, before.content_key,
    )  # fmt: skip
    assert after.clear != before.clear
    now = header.seal(after, xaes.new_session(after.content_key), SealedBlock(7))
    assert header.unlock(header.parse(now), VOLUME_ID, other) == after
    assert header.unseal(after, now) == SealedBlock(7)
    with pytest.raises(CorruptHeaderError):
        header.unlock(header.parse(now), VOLUME_ID, BUCKET_KEY)
    with pytest.raises(CorruptHeaderError):
        header.unseal(after, after.clear + raw[376:])
    changed = raw[:120] + bytes([raw[120] ^ 1]) + raw[121:]
    with pytest.raises(CorruptHeaderError):
        header.rewrap(header.parse(changed), VOLUME_ID, BUCKET_KEY, other)
