"""What becomes of a volume when the real agent disables, enables, rotates or is to delete its key."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import mounts
import trees
from programs import run


@dataclass(frozen=True)
class Key:
    """A key in the agent, managed through its command line."""

    agent_url: str
    arn: str

    def do(self, verb: str, *rest: str | Path) -> None:
        """Run `kms-agent key VERB` on it."""
        command = (mounts.program("kms-agent"), "key", verb, self.arn, *map(str, rest))
        run(*command, environment={"KMS_AGENT_URL": self.agent_url})


@pytest.fixture
def key(agent_url: str) -> Key:
    """Return a new customer key."""
    created = run(
        mounts.program("kms-agent"), "key", "create", "--json", environment={"KMS_AGENT_URL": agent_url}
    )
    return Key(agent_url, json.loads(created)["Arn"])


@pytest.fixture
def keyed(place: Path, agent_url: str, key: Key) -> Iterator[mounts.Volume]:
    """Yield a mounted volume under that key, with one file in it."""
    with mounts.volume(place, agent_url, init_options=["--key", key.arn]) as volume:
        (volume.path / "old").write_bytes(b"from before")
        yield volume


def bucket_key_materials(volume: mounts.Volume) -> list[str]:
    """Return under which key material each bucket key of the volume was made."""
    description = yaml.safe_load((volume.backing / ".kmsfs-volume" / "volume.yaml").read_text())
    return [entry["key_material_id"] for entry in description["bucket_keys"]]


def refused_mount(volume: mounts.Volume) -> str:
    """Try to mount in the background, as people do; return what it printed when it refused."""
    before = trees.snapshot(volume.backing)
    result = volume.kmsfs("mount", volume.backing, volume.path)
    assert result.returncode != 0
    assert not volume.path.is_mount()
    assert trees.differences(trees.snapshot(volume.backing), before) == [], (
        "a refused mount changed the volume"
    )
    return result.stderr


def test_disabled_key(keyed: mounts.Volume, key: Key) -> None:
    """A running mount works on; the next is refused with the agent's reason until the key is enabled."""
    key.do("disable")
    assert (keyed.path / "old").read_bytes() == b"from before"
    (keyed.path / "new").write_bytes(b"made while disabled")
    keyed.unmount()
    assert f"{key.arn} is disabled" in refused_mount(keyed)
    key.do("enable")
    keyed.mount()
    assert (keyed.path / "old").read_bytes() == b"from before"
    assert (keyed.path / "new").read_bytes() == b"made while disabled"


def test_rotated_key(keyed: mounts.Volume, key: Key) -> None:
    """The mount after a rotation makes one bucket key under the new material; files of both keys read."""
    assert len(bucket_key_materials(keyed)) == 1
    key.do("rotate")
    (keyed.path / "between").write_bytes(b"rotated, not yet mounted again")
    assert len(bucket_key_materials(keyed)) == 1
    keyed.remount()
    (keyed.path / "new").write_bytes(b"under the new material")
    materials = bucket_key_materials(keyed)
    assert len(materials) == len(set(materials)) == 2
    keyed.remount()
    assert bucket_key_materials(keyed) == materials
    assert {path.name: path.read_bytes() for path in keyed.path.iterdir()} == {
        "old": b"from before",
        "between": b"rotated, not yet mounted again",
        "new": b"under the new material",
    }


def test_key_scheduled_for_deletion(keyed: mounts.Volume, key: Key) -> None:
    """A mount is refused with the agent's reason; the deletion cancelled and the key enabled, it mounts."""
    key.do("schedule-deletion")
    keyed.unmount()
    assert f"{key.arn} is pending deletion" in refused_mount(keyed)
    key.do("cancel-deletion")
    assert f"{key.arn} is disabled" in refused_mount(keyed)
    key.do("enable")
    keyed.mount()
    assert (keyed.path / "old").read_bytes() == b"from before"


def test_imported_key(place: Path, agent_url: str) -> None:
    """A volume mounts for as long as its owner leaves the material with the agent, across a rotation."""
    created = run(
        *(mounts.program("kms-agent"), "key", "create", "--origin", "external", "--json"),
        environment={"KMS_AGENT_URL": agent_url},
    )
    key = Key(agent_url, json.loads(created)["Arn"])
    first, second = place / "first", place / "second"
    for file in (first, second):
        file.write_bytes(os.urandom(32))
    key.do("import", first)
    with mounts.volume(place, agent_url, init_options=["--key", key.arn]) as volume:
        (volume.path / "old").write_bytes(b"from before")
        key.do("import", second, "--new")
        key.do("rotate")
        volume.remount()
        (volume.path / "new").write_bytes(b"under the second")
        assert len(set(bucket_key_materials(volume))) == 2
        volume.unmount()
        key.do("delete-material")
        assert f"{key.arn} is pending import" in refused_mount(volume)
        key.do("import", second)
        volume.mount()
        assert (volume.path / "old").read_bytes() == b"from before"
        assert (volume.path / "new").read_bytes() == b"under the second"


def test_absent_agent(keyed: mounts.Volume, place: Path) -> None:
    """Without an agent a mount is refused, naming the address that did not answer, and nothing changes."""
    keyed.unmount()
    answering, keyed.agent_url = keyed.agent_url, f"unix://{place}/nobody.sock"
    assert f"{place}/nobody.sock" in refused_mount(keyed)
    keyed.agent_url = answering
    keyed.mount()
    assert (keyed.path / "old").read_bytes() == b"from before"


def test_init_without_an_agent(place: Path) -> None:
    """Without an agent `kmsfs init` is refused and leaves the directory empty."""
    directory = place / "empty"
    directory.mkdir()
    result = subprocess.run(
        [mounts.program("kmsfs"), "init", str(directory)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "KMS_AGENT_URL": f"unix://{place}/nobody.sock"},
    )
    assert result.returncode != 0
    assert f"{place}/nobody.sock" in result.stderr
    assert list(directory.iterdir()) == []
