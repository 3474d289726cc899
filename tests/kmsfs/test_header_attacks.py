"""What an adversary with the backing store can do to a file's header: the file is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kmsfs.core import Core
from kmsfs.errors import CorruptFileError, KeyUnavailableError
from offline import HEADER_BYTES, OfflineVolume, find, read

CONTENT = b"some content" * 700
SEALED_BLOCK = slice(376, 512)
WRAPPED_KEY = slice(96, 168)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with a file to attack, one to take parts of, one under another bucket key, one left alone."""
    made = OfflineVolume(tmp_path)
    for name, current in ((b"file", 0), (b"other", 0), (b"rotated", 1), (b"untouched", 0)):
        made.write_file(name, CONTENT, current=current)
    return made


def paths(volume: OfflineVolume, *names: bytes) -> list[Path]:
    """Return where files lie."""
    with volume.core() as core:
        return [Path(os.fsdecode(volume.stored_path(core, name))) for name in names]


def refuses(core: Core, name: bytes) -> bool:
    """Say whether opening a file is refused as corrupt."""
    nodeid = find(core, name)
    try:
        core.files.release(core.open(nodeid, os.O_RDONLY).chunks.inode)
    except CorruptFileError:
        return True
    return False


def test_every_bit_of_a_header_counts(volume: OfflineVolume) -> None:
    """Flipping any of the 4096 bits of a header is refused at open, and flipping it back mends the file."""
    (path,) = paths(volume, b"file")
    descriptor = os.open(path, os.O_RDWR)
    try:
        header = os.pread(descriptor, HEADER_BYTES, 0)
        with volume.core() as core:
            for bit in range(8 * HEADER_BYTES):
                os.pwrite(descriptor, bytes([header[bit // 8] ^ 1 << bit % 8]), bit // 8)
                assert refuses(core, b"file"), f"bit {bit}"
                os.pwrite(descriptor, header[bit // 8 : bit // 8 + 1], bit // 8)
            assert read(core, b"file") == CONTENT
            assert read(core, b"untouched") == CONTENT
    finally:
        os.close(descriptor)


def fields(offset: int, value: bytes) -> Callable[[bytes, bytes], bytes]:
    """Return a change that puts a value into the header."""
    return lambda raw, _other: raw[:offset] + value + raw[offset + len(value) :]


def of_another(part: slice) -> Callable[[bytes, bytes], bytes]:
    """Return a change that takes a part of another file of the same size."""
    return lambda raw, other: raw[: part.start] + other[part] + raw[part.stop :]


CHANGES = {
    "header of another file": of_another(slice(0, 512)),
    "wrapped key of another file": of_another(WRAPPED_KEY),
    "wrapped key and file id of another file": of_another(slice(32, 168)),
    "clear part of another file": of_another(slice(0, 376)),
    "sealed block of another file": of_another(SEALED_BLOCK),
    "commitment of another file": of_another(slice(64, 96)),
    "file id of another file": of_another(slice(32, 48)),
    "a version to come": fields(6, b"\0\2"),
    "version 0": fields(6, b"\0\0"),
    "another suite": fields(8, b"\2"),
    "mode direct": fields(9, b"\2"),
    "mode customer": fields(9, b"\3"),
    "a mode to come": fields(9, b"\4"),
    "chunks of 1 MiB": fields(10, b"\x14"),
    "chunks of 2**255": fields(10, b"\xff"),
    "chunks of one byte": fields(10, b"\0"),
    "no header units": fields(11, b"\0"),
    "255 header units": fields(11, b"\xff"),
    "a wrapped key of 65535 bytes": fields(12, b"\xff\xff"),
    "another volume": fields(16, b"v" * 16),
    "a bucket key of no volume": fields(48, b"b" * 16),
    "reserved bytes": fields(300, b"\1"),
    "a sealed block of zeros": fields(376, bytes(136)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_header_is_refused(volume: OfflineVolume, name: str) -> None:
    """A header changed in a meaningful way is refused, whichever check it is that sees it."""
    path, other = paths(volume, b"file", b"other")
    path.write_bytes(CHANGES[name](path.read_bytes(), other.read_bytes()))
    with volume.core() as core:
        assert refuses(core, b"file")
        with pytest.raises(CorruptFileError):
            read(core, b"file")
        assert read(core, b"untouched") == CONTENT


def test_another_bucket_key_of_the_volume_is_refused(volume: OfflineVolume) -> None:
    """The id of another bucket key in a header does not open the file, with or without its wrapped key."""
    path, rotated = paths(volume, b"file", b"rotated")
    raw, other = path.read_bytes(), rotated.read_bytes()
    for part in (slice(48, 64), slice(48, 168)):
        path.write_bytes(of_another(part)(raw, other))
        with volume.core() as core:
            assert refuses(core, b"file")
            assert read(core, b"rotated") == CONTENT


def test_an_older_sealed_block_needs_the_older_length(volume: OfflineVolume) -> None:
    """A header put back to what it once was is refused once the file has another length."""
    (path,) = paths(volume, b"file")
    older = path.read_bytes()[SEALED_BLOCK]
    with volume.core() as core:
        nodeid = find(core, b"file")
        file = core.open(nodeid, os.O_RDWR)
        file.truncate(100)
        core.files.release(file.chunks.inode)
    raw = path.read_bytes()
    path.write_bytes(raw[: SEALED_BLOCK.start] + older)
    with volume.core() as core:
        assert refuses(core, b"file")


def test_a_file_of_another_volume_is_refused(volume: OfflineVolume, tmp_path: Path) -> None:
    """A file of a volume with other keys does not open, not even with this volume's id written into it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    foreign = Path(os.fsdecode(OfflineVolume(elsewhere).write_file(b"file", CONTENT))).read_bytes()
    (path,) = paths(volume, b"file")
    own = path.read_bytes()
    for raw in (foreign, foreign[:16] + own[16:32] + foreign[32:48] + own[48:64] + foreign[64:]):
        path.write_bytes(raw)
        with volume.core() as core:
            assert refuses(core, b"file")


def test_a_key_that_cannot_be_had_is_not_corruption(volume: OfflineVolume) -> None:
    """A file under a bucket key that the agent did not give is ENOKEY with its reason; the others open."""
    lost, kept = volume.bucket_keys
    volume.missing = {lost.id: "the key is disabled"}
    volume.bucket_keys = (kept, kept)
    with volume.core() as core:
        with pytest.raises(KeyUnavailableError, match="disabled"):
            read(core, b"file")
        assert read(core, b"rotated") == CONTENT
        assert core.attributes.getattr(find(core, b"file")).size == len(CONTENT)
