"""Mounts after a mount that was killed: what they repair, what they say, and what they still refuse."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backgrounds import Place
from kmsfs.cli.exits import ExitCode

CHUNK = 4096
STORE_BYTES = 1 << 19


def stored_file(volume: Place) -> Path:
    """Return where the one file of the volume lies."""
    (path,) = (path for path in volume.ciphertext.iterdir() if path.is_file() and not path.is_symlink())
    return path


def make_file(volume: Place) -> Path:
    """Mount, and write a synced file of three chunks; return where it lies."""
    assert volume.mount().returncode == 0
    with (volume.mountpoint / "file").open("wb") as file:
        file.write(b"p" * 3 * CHUNK)
        file.flush()
        os.fsync(file.fileno())
    return stored_file(volume)


def cut(path: Path) -> None:
    """Take away what a crash may have kept from the disk."""
    os.truncate(path, path.stat().st_size - 1)


def kill(volume: Place) -> None:
    """End the mount as a crash does."""
    volume.signal(signal.SIGKILL)
    assert volume.has_ended()


@pytest.fixture
def crashed(volume: Place) -> Place:
    """A volume whose mount was killed, with one file that has lost its end."""
    path = make_file(volume)
    kill(volume)
    cut(path)
    return volume


def test_repaired_before_anything_is_seen(crashed: Place) -> None:
    """The next mount says what it repaired; the kernel hears the right size at once, so appending appends."""
    assert crashed.status()["volume"]["condition"] == "not unmounted cleanly"
    result = crashed.mount()
    assert result.returncode == 0
    assert "1 repaired" in result.stderr
    status = crashed.status()
    assert status["running"]["was_clean"] is False
    assert status["running"]["counters"]["repaired_files"] == 1
    assert status["volume"]["condition"] == "in use"
    file = crashed.mountpoint / "file"
    assert file.stat().st_size == 2 * CHUNK
    with file.open("ab") as end:
        end.write(b"more")
    assert file.read_bytes() == b"p" * 2 * CHUNK + b"more"
    crashed.umount()
    assert crashed.status(crashed.ciphertext)["volume"]["condition"] == "clean"
    assert crashed.mount().stderr == ""
    assert crashed.status()["running"]["was_clean"] is True
    assert file.read_bytes() == b"p" * 2 * CHUNK + b"more"


def test_a_crash_is_over_with_the_next_mount(crashed: Place) -> None:
    """Once a mount after the crash has ended cleanly, or only begun, a cut file is refused again."""
    crashed.mount()
    cut(stored_file(crashed))
    with pytest.raises(OSError, match="Input/output"):
        (crashed.mountpoint / "file").read_bytes()
    crashed.umount()
    crashed.mount()
    with pytest.raises(OSError, match="Input/output"):
        (crashed.mountpoint / "file").read_bytes()
    counters = crashed.status()["running"]["counters"]
    assert (counters["repaired_files"], counters["integrity_errors"]) == (0, 1)


def test_planted_marks_are_nothing(volume: Place) -> None:
    """Files that once said that there was a crash say nothing: a cut file is refused."""
    path = make_file(volume)
    volume.umount()
    for name in ("mounted", "unclean"):
        (volume.ciphertext / ".kmsfs-volume" / name).touch()
    cut(path)
    assert volume.mount().stderr == ""
    with pytest.raises(OSError, match="Input/output"):
        (volume.mountpoint / "file").read_bytes()
    assert volume.status()["running"]["was_clean"] is True


def test_a_planted_moment_is_refused(volume: Place) -> None:
    """Nobody without the key can say in the description that there was a crash, nor that there was none."""
    path = make_file(volume)
    volume.umount()
    cut(path)
    description = volume.ciphertext / ".kmsfs-volume" / "volume.yaml"
    text = description.read_text()
    planted = text.replace("in_use_since: null", "in_use_since: '2026-01-31T23:59:59Z'")
    assert planted != text
    description.write_text(planted)
    result = volume.mount()
    assert result.returncode == ExitCode.DAMAGED
    assert path.stat().st_size % CHUNK


def test_read_only_mount_says_what_to_do(crashed: Place) -> None:
    """A read-only mount repairs nothing, refuses what does not fit, and says what would repair it."""
    before = stored_file(crashed).read_bytes()
    result = crashed.mount("-o", "ro")
    assert result.returncode == 0
    assert "mount it once for writing" in result.stderr
    with pytest.raises(OSError, match="Input/output"):
        (crashed.mountpoint / "file").read_bytes()
    assert crashed.status()["volume"]["condition"] == "not unmounted cleanly"
    crashed.umount()
    assert stored_file(crashed).read_bytes() == before
    assert crashed.status(crashed.ciphertext)["volume"]["condition"] == "not unmounted cleanly"
    crashed.mount()
    assert (crashed.mountpoint / "file").read_bytes() == b"p" * 2 * CHUNK


def test_killed_again_and_again(crashed: Place) -> None:
    """Each mount that follows a killed one recovers, and keeps what was there."""
    for _ in range(3):
        assert crashed.mount().returncode == 0
        assert (crashed.mountpoint / "file").read_bytes() == b"p" * 2 * CHUNK
        assert crashed.status()["running"]["was_clean"] is False
        kill(crashed)


@pytest.fixture
def small_volume(place: Place) -> Iterator[Place]:
    """A volume on a store of half a megabyte."""
    place.ciphertext.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={STORE_BYTES},mode=0700", "none", str(place.ciphertext)]
    subprocess.run(mount, check=True)
    try:
        place.init()
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place.ciphertext)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
def test_a_full_store_can_be_mounted_to_make_room(small_volume: Place) -> None:
    """On a store without room for one more byte, mounting, removing a file and unmounting work."""
    small_volume.mount()
    with pytest.raises(OSError, match="No space"):
        (small_volume.mountpoint / "file").write_bytes(bytes(2 * STORE_BYTES))
    small_volume.umount()
    with pytest.raises(OSError, match="No space"):
        (small_volume.ciphertext / "ballast").write_bytes(bytes(STORE_BYTES))
    assert small_volume.mount().returncode == 0
    (small_volume.mountpoint / "file").unlink()
    assert small_volume.umount().returncode == 0
    assert small_volume.status(small_volume.ciphertext)["volume"]["condition"] == "clean"
