"""Times that the mount has shown do not change by themselves when the file is let go and looked up again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mounts import Volume


def empty(path: Path) -> None:
    """Create a file and write nothing."""
    path.touch()


def small(path: Path) -> None:
    """Create a file of one chunk."""
    path.write_bytes(b"small")


def large(path: Path) -> None:
    """Create a file in many writes."""
    with path.open("wb") as file:
        for _ in range(300):
            file.write(b"a line of a larger file\n" * 100)
            file.flush()


def appended(path: Path) -> None:
    """Create a file, and open it again to append."""
    path.write_bytes(b"small")
    with path.open("ab") as file:
        file.write(b"more")


def given(path: Path) -> None:
    """Create a file with a time of its own, as archivers do."""
    with path.open("wb") as file:
        file.write(b"unpacked")
        file.flush()
        os.utime(file.fileno(), ns=(1, 123_456_789_123_456_789))


def cut(path: Path) -> None:
    """Create a file and cut it."""
    path.write_bytes(b"a line\n" * 10_000)
    os.truncate(path, 5000)


@pytest.mark.parametrize("make", [empty, small, large, appended, given, cut])
def test_modification_time_stays(volume: Volume, make: Callable[[Path], None]) -> None:
    """A hundred files made in a row have the same times before and after a remount."""
    paths = [volume.path / str(number) for number in range(100)]
    for path in paths:
        make(path)
    before = [path.stat().st_mtime_ns for path in paths]
    volume.remount()
    assert [path.stat().st_mtime_ns for path in paths] == before
