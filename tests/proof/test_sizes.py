"""The ends of the scale: very large and sparse files, very full directories, the longest and oddest names."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

import trees
from mounts import Volume

GIB = 1 << 30
ENTRIES = 10_000


def test_ten_gigabyte_sparse_file(volume: Volume) -> None:
    """A file of 10 GiB that is nearly all hole costs next to nothing, and keeps what was written into it."""
    path = volume.path / "sparse"
    spots = {
        0: b"first",
        4 * GIB - 3: b"across the 32-bit edge",
        7 * GIB + 4095: b"across a chunk",
        10 * GIB - 4: b"last",
    }
    with path.open("wb") as file:
        for offset, text in spots.items():
            os.pwrite(file.fileno(), text, offset)
    volume.remount()
    status = path.stat()
    assert status.st_size == 10 * GIB
    assert status.st_blocks * 512 < 1 << 20
    with path.open("rb") as file:
        for offset, text in spots.items():
            assert os.pread(file.fileno(), len(text) + 4096, offset).rstrip(b"\0") == text
        assert not any(os.pread(file.fileno(), 1 << 20, 5 * GIB))
    os.truncate(path, 3)
    volume.remount()
    assert path.read_bytes() == b"fir"


def test_ten_thousand_files_in_one_directory(volume: Volume) -> None:
    """A directory of 10,000 files lists each exactly once, also while it changes, and empties again."""
    directory = volume.path / "full"
    directory.mkdir()
    names = {f"file number {number}" for number in range(ENTRIES)}
    for name in names:
        (directory / name).write_bytes(name.encode())
    assert sorted(os.listdir(directory)) == sorted(names)
    volume.remount()
    assert sorted(os.listdir(directory)) == sorted(names)
    sample = random.Random(4).sample(sorted(names), 200)  # noqa: S311 - the same sample each time
    assert all((directory / name).read_bytes() == name.encode() for name in sample)
    seen: list[str] = []
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            seen.append(entry.name)
            if number % 2:
                (directory / entry.name).unlink()
    assert sorted(seen) == sorted(names)
    assert len(os.listdir(directory)) == ENTRIES // 2
    with os.scandir(directory) as entries:
        for entry in entries:
            (directory / entry.name).unlink()
    directory.rmdir()


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_names_of_every_length_and_byte(volume: Volume, kind: str) -> None:
    """Names of 1 to 255 bytes, of every byte but the two that POSIX forbids, come back as given."""
    top = os.fsencode(volume.path)
    every_byte = bytes(range(1, 256)).replace(b"/", b"")
    names = {b"a" * length for length in range(1, 256)} | set(trees.ODD_NAMES) | {every_byte}
    for name in names:
        make(kind, os.path.join(top, name))
    volume.remount()
    assert sorted(os.listdir(top)) == sorted(names)
    for name in names:
        assert matches(kind, os.path.join(top, name))
        os.rename(os.path.join(top, name), os.path.join(top, b"moved"))
        os.rename(os.path.join(top, b"moved"), os.path.join(top, name))
    volume.remount()
    assert sorted(os.listdir(top)) == sorted(names)
    for name in names:
        remove = os.rmdir if kind == "directory" else os.unlink
        remove(os.path.join(top, name))
    leftovers = [path for path in volume.backing.iterdir() if not path.name.startswith(".kmsfs")]
    assert leftovers == []


def make(kind: str, path: bytes) -> None:
    """Make an object that remembers its own name."""
    match kind:
        case "directory":
            os.mkdir(path)
        case "symlink":
            os.symlink(os.path.basename(path), path)
        case _:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(descriptor, os.path.basename(path))
            os.close(descriptor)


def matches(kind: str, path: bytes) -> bool:
    """Whether the object is what `make` made."""
    name = os.path.basename(path)
    match kind:
        case "directory":
            return os.listdir(path) == []
        case "symlink":
            return os.readlink(path) == name
        case _:
            with open(path, "rb") as file:
                return file.read() == name


def test_name_of_256_bytes_is_refused(volume: Volume) -> None:
    """One byte more than 255 is ENAMETOOLONG, and statfs says so beforehand."""
    with pytest.raises(OSError, match="too long") as caught:
        (volume.path / ("n" * 256)).touch()
    assert caught.value.errno == errno.ENAMETOOLONG
    assert os.statvfs(volume.path).f_namemax == 255


@pytest.mark.parametrize("length", [1, 59, 60, 1000, 3000])
def test_symlink_target_lengths(volume: Volume, length: int) -> None:
    """A symlink's target comes back byte for byte, and its size is the target's length."""
    path: Path = volume.path / "link"
    path.symlink_to("t" * length)
    volume.remount()
    assert os.readlink(path) == "t" * length
    assert path.lstat().st_size == length
