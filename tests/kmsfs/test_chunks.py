"""Chunk records: what is sealed comes back, and nothing else does."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.primitives import xaes_open
from kmsfs import chunks, xaes
from kmsfs.chunks import MAX_SESSION_CHUNKS, ChunkCodec, ChunkError
from kmsfs.geometry import RECORD_OVERHEAD

KEY = bytes(range(32))
FILE_ID = b"file number 0001"
SIZE = 4096
RECORD = SIZE + RECORD_OVERHEAD


def codec(key: bytes = KEY, file_id: bytes = FILE_ID, chunk_size: int = SIZE) -> ChunkCodec:
    """Return a codec that has seen nothing yet."""
    return ChunkCodec(key, file_id, chunk_size)


def seal(plain: bytes, first_index: int = 0, by: ChunkCodec | None = None) -> bytes:
    """Return the records of `plain`."""
    out = memoryview(bytearray(len(plain) + RECORD_OVERHEAD * (len(plain) // SIZE + 2)))
    return bytes(out[: (by or codec()).seal(first_index, memoryview(plain), out)])


def unseal(raw: bytes, first_index: int = 0, *, sparse: bool = False, by: ChunkCodec | None = None) -> bytes:
    """Return the plaintext of records."""
    out = memoryview(bytearray(len(raw)))
    return bytes(out[: (by or codec()).open(first_index, memoryview(raw), out, sparse=sparse)])


@given(st.integers(0, 3 * SIZE + 1), st.integers(0, 1 << 50), st.booleans())
@settings(deadline=None)
def test_what_is_sealed_is_opened(length: int, first_index: int, sparse: bool) -> None:  # noqa: FBT001 - drawn
    """Any run of chunks comes back, whole or with a short last one."""
    plain = os.urandom(length)
    raw = seal(plain, first_index)
    assert len(raw) == length + RECORD_OVERHEAD * -(-length // SIZE)
    assert unseal(raw, first_index, sparse=sparse) == plain


def test_record_is_xaes() -> None:
    """A record is XAES-256-GCM with salt and nonce as its nonce; label, file and index are bound to it."""
    plain = b"p" * SIZE + b"q"
    raw = seal(plain, 7)
    for index, record in ((7, raw[:RECORD]), (8, raw[RECORD:])):
        bound = b"kmsfs chunk 1" + FILE_ID + index.to_bytes(8)
        opened = xaes_open(KEY, record[:24], bound, record[24:])
        assert opened == plain[(index - 7) * SIZE : (index - 6) * SIZE]


def test_every_bit_of_a_record_counts() -> None:
    """Flipping any one bit of a record is refused, in salt, nonce, ciphertext and tag alike."""
    raw = bytearray(seal(b"some text"))
    reader = codec()
    for bit in range(len(raw) * 8):
        raw[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChunkError):
            unseal(raw, by=reader)
        raw[bit // 8] ^= 1 << bit % 8
    assert unseal(raw, by=reader) == b"some text"


def test_first_bad_chunk_is_named() -> None:
    """The error tells the index of the first chunk that is wrong."""
    raw = bytearray(seal(b"p" * (4 * SIZE), 10))
    raw[2 * RECORD + 100] ^= 1
    with pytest.raises(ChunkError) as caught:
        unseal(bytes(raw), 10)
    assert caught.value.chunk_index == 12


ELSEWHERE = {
    "the next index": (codec(), 4),
    "index zero": (codec(), 0),
    "another file": (codec(file_id=b"file number 0002"), 3),
    "another key": (codec(key=bytes(32)), 3),
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_record_is_good_in_one_place(place: str) -> None:
    """A record opens at its own index, in its own file, under its own key, and nowhere else."""
    raw = seal(b"some text", 3)
    reader, index = ELSEWHERE[place]
    assert unseal(raw, 3) == b"some text"
    with pytest.raises(ChunkError):
        unseal(raw, index, by=reader)


@pytest.mark.parametrize("length", [1, 39, 40, 41, RECORD - 1])
def test_a_cut_record_is_refused(length: int) -> None:
    """No prefix of a record is one."""
    raw = seal(b"p" * SIZE)
    with pytest.raises(ChunkError):
        unseal(raw[:length])


def test_a_longer_record_is_refused() -> None:
    """A short record with a byte more is none."""
    with pytest.raises(ChunkError):
        unseal(seal(b"some text") + b"\0")


@pytest.mark.parametrize("length", [41, 100, RECORD])
def test_zeros_are_a_hole_in_a_sparse_file_only(length: int) -> None:
    """A record of zeros reads as zeros where holes are allowed, and is refused where they are not."""
    assert unseal(bytes(length), 5, sparse=True) == bytes(length - RECORD_OVERHEAD)
    with pytest.raises(ChunkError):
        unseal(bytes(length), 5)


@pytest.mark.parametrize("length", [1, 40])
def test_zeros_too_short_for_a_record_are_no_hole(length: int) -> None:
    """A hole is at least one byte of plaintext."""
    with pytest.raises(ChunkError):
        unseal(bytes(length), sparse=True)


@pytest.mark.parametrize("position", [0, 11, 12, 24, 41, RECORD - 1])
def test_one_bit_makes_a_hole_no_hole(position: int) -> None:
    """Nearly all zeros is not all zeros."""
    raw = bytearray(RECORD)
    raw[position] = 1
    with pytest.raises(ChunkError):
        unseal(bytes(raw), sparse=True)


def test_holes_and_chunks_alternate() -> None:
    """A run may hold both."""
    written = seal(b"p" * SIZE, 1)
    assert unseal(bytes(RECORD) + written + bytes(41), sparse=True) == bytes(SIZE) + b"p" * SIZE + b"\0"


def test_a_session_ends_at_its_limit() -> None:
    """The salt changes before more chunks are sealed under it than the limit, not earlier."""
    sealer = codec()
    first = sealer.session(MAX_SESSION_CHUNKS - 1).salt
    assert sealer.session(1).salt == first
    second = sealer.session(1).salt
    assert second != first
    assert sealer.session(MAX_SESSION_CHUNKS).salt != second


def test_limit_is_the_specification_s() -> None:
    """A salt is kept for 2**24 messages at most."""
    assert MAX_SESSION_CHUNKS == 1 << 24


def test_records_of_many_sessions_open() -> None:
    """More salts than are kept ready are no obstacle, in any order."""
    records = [(index, seal(bytes([index]), index)) for index in range(200)]
    reader = codec()
    for index, raw in records + records[::-1]:
        assert unseal(raw, index, by=reader) == bytes([index])


class _Unsealing:
    """Stands for AES-256-GCM where only the nonces are looked at: a million seals take a second."""

    def encrypt_into(self, nonce: bytes, _plain: memoryview, _bound: bytes, out: memoryview) -> int:
        assert len(nonce) == 12
        return len(out)


def test_a_million_chunks_repeat_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pair of salt and nonce comes twice in a million sealed chunks, over many sessions and calls."""
    monkeypatch.setattr(chunks, "MAX_SESSION_CHUNKS", 1 << 16)
    monkeypatch.setattr(
        xaes,
        "new_session",
        lambda _key: xaes.Session(os.urandom(12), _Unsealing()),  # type: ignore[arg-type]  # see there
    )
    sealer = codec(chunk_size=1)
    seen: set[bytes] = set()
    salts: set[bytes] = set()
    run, step = 1000, 1 + RECORD_OVERHEAD
    plain, out = memoryview(bytes(run)), memoryview(bytearray(run * step))
    for first_index in range(0, 1_000_000, run):
        assert sealer.seal(first_index, plain, out) == run * step
        seen.update(bytes(out[start : start + 24]) for start in range(0, run * step, step))
        salts.add(bytes(out[:12]))
    assert len(seen) == 1_000_000
    assert len(salts) == 16


def test_seals_really_are_aes() -> None:
    """A session's key is AES-256-GCM, and a codec seals with it."""
    assert isinstance(codec().session().gcm, AESGCM)
