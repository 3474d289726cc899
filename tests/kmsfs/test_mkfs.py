"""Making volumes: wholly or not at all, under a real agent."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backgrounds import Place
from kmsfs import volume as volumes
from kmsfs.cli.codes import ExitCode
from kmsfs.errors import KeyUnavailableError
from kmsfs.mkfs import NotEmptyError, VolumePlan, make_volume

if TYPE_CHECKING:
    from agents import RunningAgent


def test_what_is_made(place: Place) -> None:
    """A volume is a directory of root's or the user's alone, with a root record and a description."""
    result = place.kmsfs("init", place.ciphertext)
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(place.ciphertext)) == [".kmsfs", ".kmsfs-volume"]
    assert (place.ciphertext / ".kmsfs").is_symlink()
    own = place.ciphertext / ".kmsfs-volume"
    assert sorted(os.listdir(own)) == ["lock", "volume.yaml"]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (place.ciphertext, own, *own.iterdir())}
    assert set(modes.values()) == {0o700, 0o600}
    description = volumes.load((own / "volume.yaml").read_bytes()).description
    assert description.parameters == volumes.Parameters(names="siv")
    assert description.policies[0].chunk_shift == 12
    assert len(description.bucket_keys) == 1
    for shown in (description.volume_id.hex(), description.policies[0].key_arn, "kmsfs mount"):
        assert shown in result.stdout


@pytest.mark.parametrize(
    ("options", "names", "chunk_shift"),
    [
        (["--plain-names"], "plain", 12),
        (["--chunk-size", "4096"], "siv", 12),
        (["--chunk-size", "64k"], "siv", 16),
        (["--chunk-size", "1M"], "siv", 20),
    ],
)
def test_parameters(place: Place, options: list[str], names: str, chunk_shift: int) -> None:
    """What is asked for is what the description says, and such a volume mounts and works."""
    place.init(*options)
    raw = (place.ciphertext / ".kmsfs-volume" / "volume.yaml").read_bytes()
    description = volumes.load(raw).description
    assert (description.parameters.names, description.policies[0].chunk_shift) == (names, chunk_shift)
    assert place.mount().returncode == 0
    (place.mountpoint / "name").write_bytes(b"content")
    assert (place.ciphertext / "name").exists() == (names == "plain")
    assert place.umount().returncode == 0
    assert place.mount().returncode == 0
    assert (place.mountpoint / "name").read_bytes() == b"content"


def test_existing_empty_directory(place: Place) -> None:
    """An empty directory is used as it is, with the mode and owner that it has."""
    place.ciphertext.mkdir(mode=0o750)
    place.init()
    assert stat.S_IMODE(place.ciphertext.stat().st_mode) == 0o750


def test_directory_that_holds_something(place: Place) -> None:
    """Neither somebody's files nor another volume are made a volume of."""
    full = place.directory / "full"
    full.mkdir()
    (full / "thing").write_text("mine")
    result = place.kmsfs("init", full)
    assert result.returncode == ExitCode.VOLUME
    assert "not empty" in result.stderr
    assert os.listdir(full) == ["thing"]
    place.init()
    result = place.kmsfs("init", place.ciphertext)
    assert result.returncode == ExitCode.VOLUME
    assert "volume already" in result.stderr


@pytest.mark.parametrize("exists", [False, True])
def test_unknown_key_changes_nothing(place: Place, *, exists: bool) -> None:
    """When the agent refuses the key, it says why and there is no trace of an attempt."""
    if exists:
        place.ciphertext.mkdir()
    result = place.kmsfs("init", "--key", "alias/none", place.ciphertext)
    assert result.returncode == ExitCode.KEY_REFUSED
    assert "alias/none" in result.stderr
    assert "NotFoundException" in result.stderr
    assert place.ciphertext.exists() == exists
    assert not exists or os.listdir(place.ciphertext) == []


def test_absent_agent_changes_nothing(place: Place) -> None:
    """When no agent answers at an address that was named, none is started and nothing is made."""
    result = place.kmsfs("init", "--agent", f"unix://{place.directory}/none.sock", place.ciphertext)
    assert result.returncode == ExitCode.NO_AGENT
    assert "none.sock" in result.stderr
    assert not place.ciphertext.exists()


@pytest.fixture
def tight_directory(short_directory: Path) -> Iterator[Path]:
    """A filesystem that has room for a few inodes only."""
    path = short_directory / "tight"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=4", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")
@pytest.mark.parametrize("below", [".", "new"])
def test_full_disk_changes_nothing(tight_directory: Path, shared_agent: RunningAgent, below: str) -> None:
    """When the disk has no room half-way through, what was made is taken back."""
    path = tight_directory / below
    with shared_agent.client() as client, pytest.raises(OSError, match="No space left"):
        make_volume(str(path), client, VolumePlan())
    assert os.listdir(tight_directory) == []


def test_refusals_are_exceptions(short_directory: Path, shared_agent: RunningAgent) -> None:
    """Without the command, the same refusals are errors of their own classes."""
    with shared_agent.client() as client:
        with pytest.raises(KeyUnavailableError):
            make_volume(str(short_directory / "v"), client, VolumePlan(key_id="alias/none"))
        make_volume(str(short_directory / "v"), client, VolumePlan())
        with pytest.raises(NotEmptyError):
            make_volume(str(short_directory / "v"), client, VolumePlan())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay takes root")
def test_an_overlay_without_xino_is_refused(place: Place) -> None:
    """A store that gives files other devices than directories is refused with the way out, and left empty."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        for name in ("upper", "work", "merged"):
            (Path(memory) / name).mkdir()
        layers = f"xino=off,lowerdir={place.directory},upperdir={memory}/upper,workdir={memory}/work"
        merged = Path(memory) / "merged"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, merged], check=True)
        try:
            result = place.kmsfs("init", merged / "volume")
            assert result.returncode == ExitCode.VOLUME
            assert "xino=on" in result.stderr
            assert not (merged / "volume").exists()
        finally:
            subprocess.run(["umount", merged], check=True)
