"""What a program on a mount sees of a changed backing store: EIO, never other bytes; status counts it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from backgrounds import Place

CONTENT = os.urandom(3 * 4096 + 100)


def flip(path: Path, offset: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "a bit of the header": lambda victim, _: flip(victim, 100),
    "a bit of the first chunk": lambda victim, _: flip(victim, 600),
    "a bit of the last tag": lambda victim, _: flip(victim, victim.stat().st_size - 1),
    "cut at a chunk": lambda victim, _: os.truncate(victim, 512 + 2 * 4136),
    "cut in a chunk": lambda victim, _: os.truncate(victim, 512 + 4136 + 7),
    "cut to nothing": lambda victim, _: os.truncate(victim, 0),
    "extended by zeros": lambda victim, _: os.truncate(victim, victim.stat().st_size + 4136),
    "a chunk zeroed": lambda victim, _: write_at(victim, 512 + 4136, bytes(4136)),
    "a chunk of another file": lambda victim, other: write_at(victim, 512, other.read_bytes()[512:4648]),
    "the header of another file": lambda victim, other: write_at(victim, 0, other.read_bytes()[:512]),
}


def write_at(path: Path, offset: int, content: bytes) -> None:
    """Overwrite part of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def backing_files(ciphertext: Path) -> dict[int, Path]:
    """Return the files of a volume by inode number, which a mount shows as they are on the store."""
    files = (path for path in ciphertext.iterdir() if path.is_file() and not path.is_symlink())
    return {path.stat().st_ino: path for path in files}


@pytest.mark.parametrize("change", CHANGES)
def test_change_gives_eio(volume: Place, change: str) -> None:
    """A changed file cannot be read, its neighbour can, and status counts the refusal."""
    volume.mount()
    victim, other = volume.mountpoint / "victim", volume.mountpoint / "other"
    victim.write_bytes(CONTENT)
    other.write_bytes(CONTENT[::-1])
    inodes = victim.stat().st_ino, other.stat().st_ino
    assert volume.umount().returncode == 0
    files = backing_files(volume.ciphertext)
    CHANGES[change](files[inodes[0]], files[inodes[1]])
    volume.mount()
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        victim.read_bytes()
    assert caught.value.errno == errno.EIO
    assert other.read_bytes() == CONTENT[::-1]
    assert volume.status()["running"]["counters"]["integrity_errors"] >= 1
    assert volume.umount().returncode == 0
