"""Opening volumes: what is refused, why, and that a refusal leaves no trace."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kmsfs.recovery
import trees
from agent.api.operations import CREATE_KEY
from agent.api.shapes.keys import CreateKeyRequest
from kmsfs.errors import CorruptVolumeError, VolumeError
from kmsfs.locking import VolumeLockedError
from kmsfs.mkfs import VolumePlan, make_volume
from kmsfs.opening import open_volume
from kmsfs.volume import VolumeDescription, load
from kmsfs.volumedir import NotAVolumeError
from rotations import rotate

if TYPE_CHECKING:
    from agents import RunningAgent


@pytest.fixture
def volume(short_directory: Path, running_agent: RunningAgent) -> Path:
    """A new volume."""
    path = short_directory / "ciphertext"
    with running_agent.client() as client:
        make_volume(str(path), client, VolumePlan())
    return path


def stored(path: Path) -> VolumeDescription:
    """Return the description as it is on disk now."""
    return load((path / ".kmsfs-volume" / "volume.yaml").read_bytes()).description


def test_open_and_close(volume: Path, running_agent: RunningAgent) -> None:
    """An open volume is locked and known to be in use, and afterwards as it was."""
    before = stored(volume)
    assert before.in_use_since is None
    with running_agent.client() as client:
        with open_volume(str(volume), client, mountpoint="/m") as opened:
            assert opened.was_clean
            assert os.fstat(opened.root_fd).st_ino == volume.stat().st_ino
            assert stored(volume) == replace(before, in_use_since=stored(volume).in_use_since)
            assert stored(volume).in_use_since is not None
            with pytest.raises(VolumeLockedError, match=f"process {os.getpid()} .*'/m'"):
                open_volume(str(volume), client).__enter__()
        with open_volume(str(volume), client) as again:
            assert again.was_clean
    assert stored(volume) == before
    assert sorted(os.listdir(volume / ".kmsfs-volume")) == ["lock", "volume.yaml", "volume.yaml.spare"]
    assert (volume / ".kmsfs-volume" / "lock").read_bytes() == b""


def test_keys_do_not_show(volume: Path, running_agent: RunningAgent) -> None:
    """However an open volume is printed, no key is in it."""
    with running_agent.client() as client, open_volume(str(volume), client) as opened:
        shown = repr(opened)
        for key in (opened.keys.names, opened.keys.records, opened.keys.mac):
            assert repr(key) not in shown
            assert key.hex() not in shown


def test_read_only_leaves_no_trace(volume: Path, running_agent: RunningAgent) -> None:
    """Opened for reading, not a byte nor a time of the volume changes, while it is open or afterwards."""
    before = trees.snapshot(volume)
    with running_agent.client() as client, open_volume(str(volume), client, read_only=True) as opened:
        assert opened.read_only
        assert trees.snapshot(volume) == before
    assert trees.snapshot(volume) == before


def test_crash_is_remembered_until_the_next_mount(volume: Path, running_agent: RunningAgent) -> None:
    """When the body raises, the volume is not clean for whoever opens it next, and clean after that."""
    with running_agent.client() as client:
        with pytest.raises(ZeroDivisionError), open_volume(str(volume), client):
            raise ZeroDivisionError
        since = stored(volume).in_use_since
        assert since is not None
        with open_volume(str(volume), client, read_only=True) as opened:
            assert not opened.was_clean
        assert stored(volume).in_use_since == since
        with open_volume(str(volume), client) as opened:
            assert not opened.was_clean
        with open_volume(str(volume), client) as opened:
            assert opened.was_clean


def test_recovery_cut_short_is_done_again(
    short_directory: Path, running_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until recovery is through, a volume is in use since the mount that crashed, new bucket key or not."""
    volume = short_directory / "ciphertext"
    with running_agent.client() as client:
        key = client.call(CREATE_KEY, CreateKeyRequest()).key_metadata
        make_volume(str(volume), client, VolumePlan(key_id=key.key_id))
        with pytest.raises(ZeroDivisionError), open_volume(str(volume), client):
            raise ZeroDivisionError
        crashed = stored(volume)
        rotate(client, key.key_id)
        with monkeypatch.context() as patched:
            patched.setattr(kmsfs.recovery, "recover", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                open_volume(str(volume), client).__enter__()
        interrupted = stored(volume)
        assert interrupted.in_use_since == crashed.in_use_since
        assert len(interrupted.bucket_keys) == len(crashed.bucket_keys) + 1
        with open_volume(str(volume), client) as opened:
            assert not opened.was_clean
        assert stored(volume) == replace(interrupted, in_use_since=None)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_nobody_else_can_call_it_unclean(volume: Path, running_agent: RunningAgent) -> None:
    """That repairs are allowed is said under the MAC: the storage cannot say it."""
    path = volume / ".kmsfs-volume" / "volume.yaml"
    text = path.read_text().replace("in_use_since: null", "in_use_since: '2026-01-31T23:59:59Z'")
    path.write_text(text)
    with running_agent.client() as client, pytest.raises(CorruptVolumeError, match="changed by someone"):
        open_volume(str(volume), client).__enter__()


def _cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def _downgrade(raw: bytes) -> bytes:
    return raw.replace(b"names: siv", b"names: plain")


def _later_format(raw: bytes) -> bytes:
    return raw.replace(b"format: 1", b"format: 2")


def _flip_mac(raw: bytes) -> bytes:
    return raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:]


def _oversize(raw: bytes) -> bytes:
    return b"#" * (1 << 20) + raw


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_cut, CorruptVolumeError),
        (_downgrade, CorruptVolumeError),
        (_later_format, VolumeError),
        (_flip_mac, CorruptVolumeError),
        (_oversize, CorruptVolumeError),
        (lambda _: b"", CorruptVolumeError),
    ],
)
def test_changed_description(
    volume: Path, running_agent: RunningAgent, change: object, error: type[Exception]
) -> None:
    """A description that is damaged, changed or of a later format opens nothing and is left as it is."""
    path = volume / ".kmsfs-volume" / "volume.yaml"
    assert callable(change)
    path.write_bytes(change(path.read_bytes()))
    before = trees.snapshot(volume)
    with running_agent.client() as client, pytest.raises(error):
        open_volume(str(volume), client).__enter__()
    assert trees.snapshot(volume) == before


def test_missing_description(volume: Path, running_agent: RunningAgent) -> None:
    """A volume without its description is damaged, and it is said how to mend it."""
    (volume / ".kmsfs-volume" / "volume.yaml").unlink()
    with running_agent.client() as client, pytest.raises(CorruptVolumeError, match="from a copy"):
        open_volume(str(volume), client).__enter__()


def test_description_of_another_volume(
    volume: Path, short_directory: Path, running_agent: RunningAgent
) -> None:
    """The volume key ciphertext of another volume, under the same KMS key, is refused."""
    other = short_directory / "other"
    with running_agent.client() as client:
        make_volume(str(other), client, VolumePlan())
    own, foreign = (path / ".kmsfs-volume" / "volume.yaml" for path in (volume, other))
    blob = [line for line in foreign.read_text().splitlines() if line.startswith("volume_key_blob")]
    lines = [blob[0] if line.startswith("volume_key_blob") else line for line in own.read_text().splitlines()]
    own.write_text("\n".join(lines) + "\n")
    with running_agent.client() as client, pytest.raises(CorruptVolumeError, match="volume key"):
        open_volume(str(volume), client).__enter__()


@pytest.mark.parametrize("name", ["", "none", "file"])
def test_no_volume(short_directory: Path, running_agent: RunningAgent, name: str) -> None:
    """A path that holds no volume is an error that names it."""
    (short_directory / "file").touch()
    path = short_directory / name
    with running_agent.client() as client, pytest.raises(NotAVolumeError, match=str(path)):
        open_volume(str(path), client).__enter__()
