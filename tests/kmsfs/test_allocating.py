"""Room on the store: fallocate(2) takes it and gives it back, and content is what tmpfs would have."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backgrounds import Place

LIBC = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE = 1, 2, 8, 16
CONTENT = b"content" * 10_000
RANGES = [
    (0, len(CONTENT)),
    (0, 4096),
    (1, 4096),
    (4095, 12_290),
    (5000, 20),
    (60_000, 100_000),
    (len(CONTENT), 10),
]
MODES = [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE]


def fallocate(path: Path, mode: int, offset: int, length: int) -> int:
    """Make the system call; return its errno, 0 for success."""
    fd = os.open(path, os.O_RDWR)
    try:
        failed = LIBC.fallocate64(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length))
        return ctypes.get_errno() if failed else 0
    finally:
        os.close(fd)


@pytest.fixture
def tmpfs() -> Iterator[Path]:
    """A directory on tmpfs."""
    with tempfile.TemporaryDirectory(prefix="kms-", dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture
def mounted(place: Place) -> Place:
    """A new volume on a mount."""
    place.init()
    assert place.mount().returncode == 0
    return place


def test_content_is_what_tmpfs_would_have(mounted: Place, tmpfs: Path) -> None:
    """Every mode over every kind of range leaves the same content, size and answer, also after a remount."""
    names = []
    for mode in MODES:
        for offset, length in RANGES:
            name = f"{mode}-{offset}-{length}"
            answers = []
            for directory in (tmpfs, mounted.mountpoint):
                (directory / name).write_bytes(CONTENT)
                answers.append(fallocate(directory / name, mode, offset, length))
            assert answers[0] == answers[1] or answers == [errno.EOPNOTSUPP, 0], name
            if answers[0] == 0:
                names.append(name)
                assert (mounted.mountpoint / name).read_bytes() == (tmpfs / name).read_bytes(), name
    assert mounted.umount().returncode == 0
    assert mounted.mount().returncode == 0
    assert len(names) > len(RANGES)
    for name in names:
        assert (mounted.mountpoint / name).read_bytes() == (tmpfs / name).read_bytes(), name


def test_a_hole_gives_its_room_back_and_allocating_takes_it(mounted: Place) -> None:
    """What is punched takes no blocks; what is allocated has them before anything is written."""
    path = mounted.mountpoint / "file"
    path.write_bytes(bytes(1 << 20))
    os.sync()
    before = path.stat().st_blocks
    assert fallocate(path, PUNCH_HOLE | KEEP_SIZE, 0, 1 << 20) == 0
    assert path.stat().st_blocks < before // 4
    assert fallocate(path, 0, 0, 1 << 20) == 0
    assert path.stat().st_blocks >= before
    assert path.read_bytes() == bytes(1 << 20)


def test_other_modes_are_refused(mounted: Place) -> None:
    """A range cannot be taken out of a file, and nothing has changed."""
    path = mounted.mountpoint / "file"
    path.write_bytes(CONTENT)
    assert fallocate(path, COLLAPSE_RANGE, 0, 4096) == errno.EOPNOTSUPP
    assert path.read_bytes() == CONTENT
