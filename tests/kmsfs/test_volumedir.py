"""Replacing the volume description: whole, or not at all, whatever lies in the place of its spare."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kmsfs import backing
from kmsfs.volumedir import SPARE_NAME, read_description, write_description

SPARE = SPARE_NAME.decode()


@pytest.fixture
def volume_fd(tmp_path: Path) -> Iterator[int]:
    """The directory of a volume's own files, with a description that is older than all others."""
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    write_description(fd, b"oldest")
    yield fd
    os.close(fd)


def test_descriptions_follow_each_other(volume_fd: int, tmp_path: Path) -> None:
    """Longer or shorter, the new description is there alone, and the one before it is the spare."""
    before = b"oldest"
    for description in (b"a much longer one", b"short", b"as short"):
        write_description(volume_fd, description)
        assert read_description(volume_fd) == description
        assert (tmp_path / SPARE).read_bytes() == before
        before = description
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volume.yaml", SPARE]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "symlink": lambda path: path.symlink_to(path.parent / "outside"),
    "broken symlink": lambda path: path.symlink_to("nowhere"),
    "hard link": lambda path: path.hardlink_to(path.parent / "outside"),
    "link to the description": lambda path: path.hardlink_to(path.parent / "volume.yaml"),
    "FIFO": os.mkfifo,
    "unwritable file": lambda path: path.touch(0o000),
}


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_stands_for_the_spare_is_not_written_through(volume_fd: int, tmp_path: Path, kind: str) -> None:
    """No other file is written to by way of the spare, and nothing in its place keeps a volume shut."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    IN_THE_WAY[kind](tmp_path / SPARE)
    write_description(volume_fd, b"newest")
    assert read_description(volume_fd) == b"newest"
    assert outside.read_bytes() == b"untouched"


@pytest.mark.parametrize("step", ["pwrite_all", "truncate", "fsync", "rename"])
def test_a_failure_leaves_the_old_description(
    volume_fd: int, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever step fails, the old description is there, whole, and the next attempt succeeds."""
    write_description(volume_fd, b"old")
    with monkeypatch.context() as patched:
        patched.setattr(backing, step, _fail)
        with pytest.raises(OSError, match="error"):
            write_description(volume_fd, b"new")
    assert read_description(volume_fd) == b"old"
    write_description(volume_fd, b"new")
    assert read_description(volume_fd) == b"new"


def test_the_spare_is_no_description_on_disk(volume_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that a killed process left is made durable before what it has put aside is written over."""
    write_description(volume_fd, b"old")
    calls: list[str] = []
    sync, write = backing.fsync_directory, backing.pwrite_all

    def note_sync(dirfd: int) -> None:
        calls.append("fsync_directory")
        sync(dirfd)

    def note_write(fd: int, buffers: Sequence[memoryview | bytes], offset: int) -> None:
        calls.append("pwrite_all")
        write(fd, buffers, offset)

    monkeypatch.setattr(backing, "fsync_directory", note_sync)
    monkeypatch.setattr(backing, "pwrite_all", note_write)
    write_description(volume_fd, b"new")
    assert calls == ["fsync_directory", "pwrite_all", "fsync_directory"]


def _fail(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_store_without_exchange(volume_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store knows no exchange, the spare is renamed over the description."""
    rename = backing.rename

    def plain(old_dirfd: int, old: bytes, new_dirfd: int, new: bytes, flags: int = 0) -> None:
        if flags:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        rename(old_dirfd, old, new_dirfd, new)

    monkeypatch.setattr(backing, "rename", plain)
    write_description(volume_fd, b"new")
    assert read_description(volume_fd) == b"new"
    assert not (tmp_path / SPARE).exists()
