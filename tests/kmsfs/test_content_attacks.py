"""What an adversary with the backing store can do to a file's content: all of it is refused."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kmsfs.errors import CorruptFileError
from offline import HEADER_BYTES, OfflineVolume, opened, read, truncate, write

CHUNK = 4096
RECORD = CHUNK + 40
CHUNKS = 5
LAST = 1000
CONTENT = os.urandom((CHUNKS - 1) * CHUNK + LAST)
RAW_SIZE = HEADER_BYTES + (CHUNKS - 1) * RECORD + LAST + 40

PLACES = {"salt": 3, "nonce": 20, "ciphertext": 500, "tag": -5}
RECORDS = {"first": (0, RECORD), "middle": (2, RECORD), "last": (CHUNKS - 1, LAST + 40)}


def start(index: int) -> int:
    """Return where the record of a chunk begins."""
    return HEADER_BYTES + index * RECORD


def record(raw: bytes, index: int) -> bytes:
    """Return the record of a chunk, the last one being shorter."""
    return raw[start(index) : start(index + 1)]


def flip(chunk: str, place: str) -> Callable[[bytes, bytes], bytes]:
    """Return a change that flips one bit."""
    index, length = RECORDS[chunk]
    offset = start(index) + PLACES[place] % length

    def change(raw: bytes, _other: bytes) -> bytes:
        changed = bytearray(raw)
        changed[offset] ^= 0x10
        return bytes(changed)

    return change


def put(index: int, by: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    """Return a change that puts other bytes in the place of a whole record."""

    def change(raw: bytes, other: bytes) -> bytes:
        new = by(raw, other)
        assert len(new) == RECORD
        return raw[: start(index)] + new + raw[start(index) + RECORD :]

    return change


def swapped(raw: bytes, _other: bytes) -> bytes:
    """Two chunks in each other's place."""
    return raw[: start(1)] + record(raw, 2) + record(raw, 1) + raw[start(3) :]


# raw and the same part of another file of equal size → raw, changed
CHANGES: dict[str, Callable[[bytes, bytes], bytes]] = {
    **{f"flip {place} of the {chunk} chunk": flip(chunk, place) for chunk in RECORDS for place in PLACES},
    "cut at a chunk boundary": lambda raw, _: raw[: start(3)],
    "cut off the last chunk": lambda raw, _: raw[: start(CHUNKS - 1)],
    "cut inside a chunk": lambda raw, _: raw[: start(2) + 1000],
    "cut inside a salt": lambda raw, _: raw[: start(2) + 5],
    "cut the last byte": lambda raw, _: raw[:-1],
    "cut to the header": lambda raw, _: raw[:HEADER_BYTES],
    "cut inside the header": lambda raw, _: raw[: HEADER_BYTES - 1],
    "cut inside the magic": lambda raw, _: raw[:3],
    "cut to nothing": lambda _raw, _: b"",
    "append the last chunk again": lambda raw, _: raw + record(raw, CHUNKS - 1),
    "append a whole chunk": lambda raw, _: raw + record(raw, 1),
    "append zeros": lambda raw, _: raw + bytes(RECORD),
    "append noise": lambda raw, _: raw + os.urandom(777),
    "append a byte": lambda raw, _: raw + b"\0",
    "swap two chunks": swapped,
    "drop a chunk": lambda raw, _: raw[: start(1)] + raw[start(2) :],
    "drop the first chunk": lambda raw, _: raw[:HEADER_BYTES] + raw[start(1) :],
    "double a chunk": lambda raw, _: raw[: start(2)] + record(raw, 1) + raw[start(2) :],
    "double a chunk over the next": put(2, lambda raw, _: record(raw, 1)),
    "another file's chunk at the same index": put(1, lambda _, other: record(other, 1)),
    "all chunks of another file": lambda raw, other: raw[:HEADER_BYTES] + other[HEADER_BYTES:],
    "zero a chunk": put(1, lambda _raw, _: bytes(RECORD)),
    "zero a salt": lambda raw, _: raw[: start(1)] + bytes(12) + raw[start(1) + 12 :],
    "zero all chunks": lambda raw, _: raw[:HEADER_BYTES] + bytes(len(raw) - HEADER_BYTES),
    "noise in the place of a chunk": put(1, lambda _raw, _: os.urandom(RECORD)),
    "write zeros over everything": lambda raw, _: bytes(len(raw)),
    "the content in plain": lambda _raw, _: CONTENT,
}

# What has no mistaken length may still be opened, and is refused when it is read.
LENGTH_KEPT = ("flip", "swap two", "double a chunk over", "another", "all chunks", "zero", "noise")
HOLES = ("zero a chunk", "zero all chunks")


@pytest.fixture(params=[False, True], ids=["dense", "sparse"])
def sparse(request: pytest.FixtureRequest) -> bool:
    """Whether the attacked file has ever had a hole."""
    return bool(request.param)


@pytest.fixture
def volume(tmp_path: Path, *, sparse: bool) -> OfflineVolume:
    """A volume with a file to attack, another of the same length, and a third to be left alone."""
    made = OfflineVolume(tmp_path)
    for name in (b"file", b"other", b"untouched"):
        made.write_file(name, CONTENT if name != b"other" else CONTENT[::-1])
        if sparse:
            with made.core() as core:
                truncate(core, name, 20 * CHUNK)
                truncate(core, name, len(CONTENT))
    return made


def attack(volume: OfflineVolume, change: Callable[[bytes, bytes], bytes]) -> None:
    """Change the file's ciphertext in place."""
    with volume.core() as core:
        path, other = (Path(os.fsdecode(volume.stored_path(core, name))) for name in (b"file", b"other"))
    raw = path.read_bytes()
    assert len(raw) == RAW_SIZE
    path.write_bytes(change(raw, other.read_bytes()))


@pytest.mark.parametrize("name", CHANGES)
def test_changed_content_is_refused(volume: OfflineVolume, name: str, *, sparse: bool) -> None:
    """No read gives a byte that was not written there: it is an error, and other files read on."""
    attack(volume, CHANGES[name])
    with volume.core() as core:
        if sparse and name in HOLES:
            damaged = slice(CHUNK, 2 * CHUNK) if name == "zero a chunk" else slice(0, len(CONTENT))
            expected = bytearray(CONTENT)
            expected[damaged] = bytes(damaged.stop - damaged.start)
            assert read(core, b"file") == expected, "the stated limit of format 1"
        else:
            with pytest.raises(CorruptFileError):
                read(core, b"file")
            assert core.volume.counters.repaired_files == 0
        assert read(core, b"untouched") == CONTENT


@pytest.mark.parametrize("name", CHANGES)
def test_undamaged_chunks_are_still_read(volume: OfflineVolume, name: str) -> None:
    """Where the length is right, reads beside the damage go on; what they give was written there."""
    attack(volume, CHANGES[name])
    with volume.core() as core:
        if not name.startswith(LENGTH_KEPT):
            with pytest.raises(CorruptFileError), opened(core, b"file", os.O_RDONLY):
                pytest.fail("a file of the wrong length was opened")
            return
        refused: list[int | None] = []
        damaged: list[int] = []
        with opened(core, b"file", os.O_RDONLY) as file:
            for offset in range(0, len(CONTENT), CHUNK):
                expected = CONTENT[offset : offset + CHUNK]
                try:
                    assert bytes(file.read(offset, CHUNK)) in (expected, bytes(len(expected)))
                except CorruptFileError as error:
                    refused.append(error.chunk_index)
                    damaged.append(offset // CHUNK)
        assert refused == damaged
        assert refused or name in HOLES


@pytest.mark.parametrize("name", ["flip tag of the middle chunk", "swap two chunks"])
def test_a_damaged_chunk_is_not_made_good_by_writing_into_it(volume: OfflineVolume, name: str) -> None:
    """A write into a part of a damaged chunk is refused too; a write of all of it gives a good one."""
    attack(volume, CHANGES[name])
    with volume.core() as core:
        with pytest.raises(CorruptFileError):
            write(core, b"file", b"!", offset=2 * CHUNK + 5)
        with pytest.raises(CorruptFileError):
            truncate(core, b"file", 2 * CHUNK + 5)
        with pytest.raises(CorruptFileError):
            read(core, b"file")
        write(core, b"file", CONTENT[CHUNK : 3 * CHUNK], offset=CHUNK)
    assert volume.read_file(b"file") == CONTENT


def test_a_punched_hole_is_a_zeroed_chunk(volume: OfflineVolume, *, sparse: bool) -> None:
    """Chunks punched out of the backing file are refused in a dense file and zeros in a sparse one."""
    with volume.core() as core:
        path = os.fsdecode(volume.stored_path(core, b"file"))
    punch = ["fallocate", "--punch-hole", "--offset", str(start(1)), "--length", str(2 * RECORD), path]
    subprocess.run(punch, check=True)
    if sparse:
        expected = CONTENT[:CHUNK] + bytes(2 * CHUNK) + CONTENT[3 * CHUNK :]
        assert volume.read_file(b"file") == expected
        return
    with pytest.raises(CorruptFileError):
        volume.read_file(b"file")


def test_a_file_cut_while_it_is_open_is_refused(volume: OfflineVolume) -> None:
    """A backing file that gets shorter under an open file gives an error, not a shorter file."""
    with volume.core() as core, opened(core, b"file", os.O_RDONLY) as file:
        os.truncate(volume.stored_path(core, b"file"), start(2) + 100)
        with pytest.raises(CorruptFileError, match="truncated") as caught:
            file.read(0, len(CONTENT))
        assert caught.value.chunk_index == 2
        assert bytes(file.read(0, CHUNK)) == CONTENT[:CHUNK]
