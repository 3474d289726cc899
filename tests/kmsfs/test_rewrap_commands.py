"""kmsfs rewrap and reencrypt as people use them: a real agent, volumes mounted and not, keys that go away."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agents import RunningAgent
from backgrounds import Place
from commands import run, succeed
from kmsfs.cli.codes import ExitCode
from rewraps import content_is, disable, keys_of, needed, new_key, told
from rotations import rotate
from trees import Snapshot, make_odd_tree, snapshot


@pytest.fixture
def key(shared_agent: RunningAgent) -> str:
    """A KMS key of this test's own."""
    return new_key(shared_agent)


@pytest.fixture
def filled(place: Place, key: str) -> tuple[Place, Snapshot]:
    """A volume under that key, not mounted, with everything odd in it."""
    place.init("--key", key)
    assert place.mount().returncode == 0
    make_odd_tree(place.mountpoint, 60)
    taken = snapshot(place.mountpoint)
    assert place.umount().returncode == 0
    return place, taken


Where = Callable[[Place], Path]


@pytest.fixture(params=[False, True], ids=["offline", "mounted"])
def where(request: pytest.FixtureRequest) -> Where:
    """Return what brings a volume into the state to be tested, and the path to name then."""

    def reach(place: Place) -> Path:
        if not request.param:
            return place.ciphertext
        assert place.mount().returncode == 0
        return place.mountpoint

    return reach


def unmounted(place: Place) -> None:
    """Unmount, if it is mounted."""
    if place.mountpoint.is_mount():
        assert place.umount().returncode == 0


def test_after_a_rotation(
    filled: tuple[Place, Snapshot], shared_agent: RunningAgent, key: str, where: Where
) -> None:
    """Everything comes under the new material, with and without files; the old bucket key goes in the end."""
    place, content = filled
    (before,) = keys_of(place)
    with shared_agent.client() as client:
        rotate(client, key)
    path = where(place)
    done = told(place, "rewrap", path)
    assert done["rewrapped_keys"] >= 2
    (old, new) = keys_of(place)
    assert old["bucket_key_id"] == before["bucket_key_id"]
    assert old["files"] == before["files"]
    assert new["files"] == 0
    assert old["key_material_id"] == new["key_material_id"] != before["key_material_id"]
    done = told(place, "rewrap", "--files", path)
    assert done["files"]["rewrapped"] == before["files"]
    assert (done["files"]["is_complete"], done["files"]["dropped_keys"]) == (True, 1)
    assert done["left"] == []
    done = told(place, "rewrap", "--files", path)
    assert (done["files"]["rewrapped"], done["files"]["current"]) == (0, before["files"])
    unmounted(place)
    (only,) = keys_of(place)
    assert only == {**new, "files": before["files"]}
    content_is(place, content)


def test_another_kms_key(
    filled: tuple[Place, Snapshot], shared_agent: RunningAgent, key: str, where: Where
) -> None:
    """Once files are under the new key, the old one can be disabled: nothing asks for it."""
    place, content = filled
    another = new_key(shared_agent)
    path = where(place)
    done = told(place, "rewrap", "--key", another, path)
    assert (done["rewrapped_keys"], done["new_keys"], done["files"]) == (2, 1, None)
    assert {row["key_arn"] for row in keys_of(place)} == {another}
    disable(shared_agent, key)
    unmounted(place)
    content_is(place, content)
    path = where(place)
    done = told(place, "rewrap", "--files", path)
    assert done["files"]["dropped_keys"] == 1
    unmounted(place)
    content_is(place, content)
    disable(shared_agent, another)
    assert run(place, "rewrap", place.ciphertext).returncode == ExitCode.KEY_REFUSED


def test_a_key_that_is_refused(
    filled: tuple[Place, Snapshot], shared_agent: RunningAgent, where: Where
) -> None:
    """The command says why, and the volume is as it was."""
    place, content = filled
    another = new_key(shared_agent)
    disable(shared_agent, another)
    before = keys_of(place)
    path = where(place)
    result = run(place, "rewrap", "--key", another, "--files", path)
    assert result.returncode == ExitCode.KEY_REFUSED
    assert b"kms-agent key enable" in result.stderr
    assert keys_of(place) == before
    assert run(place, "rewrap", "--policy", "7", path).returncode == ExitCode.VOLUME
    unmounted(place)
    content_is(place, content)


def test_files_that_programs_have_open(place: Place, shared_agent: RunningAgent, key: str) -> None:
    """Programs go on writing while and after headers change; nothing brings an old header back."""
    place.init("--key", key)
    assert place.mount().returncode == 0
    another = new_key(shared_agent)
    names = [f"{number}" for number in range(20)]
    descriptors = [os.open(place.mountpoint / name, os.O_RDWR | os.O_CREAT) for name in names]
    for descriptor in descriptors:
        os.write(descriptor, b"before " * 1000)
    os.fsync(descriptors[0])
    done = told(place, "rewrap", "--key", another, "--files", place.mountpoint)
    assert done["left"] == []
    assert done["files"]["is_complete"]
    for number, descriptor in enumerate(descriptors):
        os.lseek(descriptor, number % 2 * 7000, os.SEEK_SET)
        os.write(descriptor, b"after " * 1000)
        os.close(descriptor)
    assert len(needed(place, "bucket_key_id")) == 1
    disable(shared_agent, key)
    assert place.umount().returncode == 0
    assert place.mount().returncode == 0
    for number, name in enumerate(names):
        found = (place.mountpoint / name).read_bytes()
        expected = b"before " * 1000 + b"after " * 1000
        assert found == (expected if number % 2 else b"after " * 1000 + expected[6000:7000])


def test_new_data_keys(filled: tuple[Place, Snapshot], where: Where) -> None:
    """Every file that has one name is another one on the store, and the same for everybody else."""
    place, content = filled
    path = where(place)
    done = told(place, "reencrypt", "--recursive", path, code=ExitCode.INCOMPLETE)
    linked = {entry.linked_with for entry in content.values() if entry.link_count > 1}
    assert len(done["left"]) == len(linked)
    assert all("hard links" in left["reason"] for left in done["left"])
    assert done["reencrypted"] == done["total_files"] - len(linked)
    again = told(place, "reencrypt", "--recursive", "--since", done["began"], path, code=ExitCode.INCOMPLETE)
    # What was made in the second that the first run began in is done twice.
    assert again["reencrypted"] + again["recent"] == done["reencrypted"]
    unmounted(place)
    content_is(place, content)


def test_a_path_in_a_volume(place: Place, where: Where) -> None:
    """A file is named on the mount, or after the ciphertext directory; an open one is left."""
    place.init()
    assert place.mount().returncode == 0
    (place.mountpoint / "directory").mkdir()
    for name in ("directory/one", "directory/two", "three"):
        (place.mountpoint / name).write_bytes(name.encode())
    assert place.umount().returncode == 0
    path = where(place)
    assert path in {place.ciphertext, place.mountpoint}
    if path == place.ciphertext:
        named = f"{path}:directory/one"
    else:
        named = f"{path}/directory/one"
        with (path / "directory/one").open("rb"):
            done = told(place, "reencrypt", named, code=ExitCode.INCOMPLETE)
            assert "open" in done["left"][0]["reason"]
            assert done["left"][0]["path"] == "/directory/one"
    done = told(place, "reencrypt", named)
    assert (done["reencrypted"], done["total_files"]) == (1, 1)
    assert told(place, "reencrypt", path)["reencrypted"] == 1
    assert run(place, "reencrypt", f"{named}s").returncode == ExitCode.SYSTEM
    assert b"encrypted anew" in succeed(place, "reencrypt", named)
    assert b"wrapped anew" in succeed(place, "rewrap", "--files", path)
