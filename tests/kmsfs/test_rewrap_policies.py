"""rewrap where directories have policies of their own: files go to what their directory says."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agents import RunningAgent
from backgrounds import Place
from commands import run, succeed
from kmsfs.cli.codes import ExitCode
from kmsfs.header import HEADER_UNIT
from rewraps import disable, enable, keys_of, needed, new_key, told
from rotations import rotate

FILES = 4
CONTENT = b"content " * 1000


@pytest.fixture
def keys(shared_agent: RunningAgent) -> list[str]:
    """KMS keys of this test's own."""
    return [new_key(shared_agent) for _ in range(3)]


@pytest.fixture
def volume(place: Place, keys: list[str]) -> Place:
    """A volume under the first key, with files in its root and in a directory; not mounted."""
    place.init("--key", keys[0])
    assert place.mount().returncode == 0
    (place.mountpoint / "directory").mkdir()
    write_files(place)
    assert place.umount().returncode == 0
    return place


def write_files(place: Place) -> None:
    """Make files in the root and in the directory, where they are not there yet."""
    for number in range(FILES):
        (place.mountpoint / f"directory/{number}").write_bytes(CONTENT)
        (place.mountpoint / f"{number}").write_bytes(CONTENT)


def reads(place: Place, *options: str) -> None:
    """Mount anew and read every file."""
    assert place.mount(*options).returncode == 0
    for directory in (".", "directory"):
        for number in range(FILES):
            assert (place.mountpoint / directory / f"{number}").read_bytes() == CONTENT
    assert place.umount().returncode == 0


def headers(place: Place) -> list[bytes]:
    """Return the headers of the files in the directory."""
    found = []
    for path in sorted(place.ciphertext.glob("[!.]*/*")):
        if not path.name.startswith(".kmsfs"):
            with path.open("rb") as file:
                found.append(file.read(HEADER_UNIT))
    return found


def under(place: Place, mode: str) -> int:
    """Return how many files are of a mode."""
    return sum(row["files"] for row in keys_of(place) if row["mode"] == mode)


def test_a_call_for_each_file(volume: Place, shared_agent: RunningAgent, keys: list[str]) -> None:
    """Files go from bucket keys to mode direct, to newer material, to another key, and back."""
    place = volume
    succeed(place, "policy", "set", f"{place.ciphertext}:directory", "--key", keys[1], "--mode", "direct")
    assert under(place, "direct") == 0
    done = told(place, "rewrap", "--files", place.ciphertext)
    assert (done["files"]["rewrapped"], done["left"]) == (FILES, [])
    assert under(place, "direct") == FILES
    reads(place)
    # Under current material nothing is written.
    before = headers(place)
    assert told(place, "rewrap", "--files", place.ciphertext)["files"]["rewrapped"] == 0
    assert headers(place) == before
    with shared_agent.client() as client:
        rotate(client, keys[1])
    assert place.mount().returncode == 0
    assert told(place, "rewrap", "--files", place.mountpoint)["files"]["rewrapped"] == FILES
    assert place.umount().returncode == 0
    assert not set(headers(place)) & set(before)
    # Another key for files whose headers hold ciphertexts of this one.
    result = run(place, "rewrap", "--policy", "1", "--key", keys[2], place.ciphertext)
    assert result.returncode == ExitCode.VOLUME
    assert b"kmsfs policy set" in result.stderr.replace(b"\n", b" ")
    assert place.mount().returncode == 0
    succeed(place, "policy", "set", place.mountpoint / "directory", "--key", keys[2])
    assert told(place, "rewrap", "--files", place.mountpoint)["files"]["rewrapped"] == FILES
    assert place.umount().returncode == 0
    assert needed(place, "key_arn") == {keys[0], keys[2]}
    disable(shared_agent, keys[1])
    reads(place)
    # Nothing needs the policy's former key, so it may have another one.
    told(place, "rewrap", "--policy", "1", "--key", keys[2], place.ciphertext)
    succeed(place, "policy", "set", f"{place.ciphertext}:directory", "--key", keys[0], "--mode", "bucket")
    told(place, "rewrap", "--files", place.ciphertext)
    assert (under(place, "direct"), under(place, "bucket")) == (0, 2 * FILES)
    disable(shared_agent, keys[2])
    reads(place)


def test_a_customers_key(volume: Place, shared_agent: RunningAgent, keys: list[str]) -> None:
    """Files go under a customer's key and from it, whenever that key is there."""
    place = volume
    key_file = place.directory / "customer.key"
    key_file.touch(0o600)
    key_file.write_bytes(os.urandom(32))
    given = ("--customer-key-file", str(key_file))
    directory = f"{place.ciphertext}:directory"
    succeed(place, "policy", "set", directory, "--mode", "customer", *given)
    result = run(place, "rewrap", "--files", place.ciphertext)
    assert result.returncode == ExitCode.INCOMPLETE
    assert under(place, "customer") == 0
    done = told(place, "rewrap", "--files", place.ciphertext, *given)
    assert (done["files"]["rewrapped"], done["left"]) == (FILES, [])
    assert under(place, "customer") == FILES
    assert run(place, "rewrap", "--policy", "1", place.ciphertext, *given).returncode == ExitCode.VOLUME
    reads(place, *given)
    with shared_agent.client() as client:
        rotate(client, keys[0])
    assert told(place, "rewrap", "--files", place.ciphertext)["files"]["rewrapped"] == FILES
    assert under(place, "customer") == FILES
    succeed(place, "policy", "set", directory, "--key", keys[0], "--mode", "bucket", *given)
    assert told(place, "rewrap", "--files", place.ciphertext, code=ExitCode.INCOMPLETE)["left"]
    told(place, "rewrap", "--files", place.ciphertext, *given)
    reads(place)


def test_a_policy_whose_key_is_refused(volume: Place, shared_agent: RunningAgent, keys: list[str]) -> None:
    """The others go on; it is said which one has its keys as they were, and which files are left."""
    place = volume
    succeed(place, "policy", "set", f"{place.ciphertext}:directory", "--key", keys[1])
    told(place, "rewrap", "--files", place.ciphertext)
    assert needed(place, "key_arn") == {keys[0], keys[1]}
    disable(shared_agent, keys[1])
    with shared_agent.client() as client:
        rotate(client, keys[0])
    done = told(place, "rewrap", "--files", place.ciphertext, code=ExitCode.INCOMPLETE)
    assert list(done["refused_policies"]) == ["1"]
    assert len(done["left"]) == FILES
    assert all(Path(left["path"]).parent == Path("/directory") for left in done["left"])
    assert done["files"]["rewrapped"] == FILES
    # They are known to need the keys that they name, so the others may still go.
    assert (done["files"]["is_complete"], done["files"]["dropped_keys"]) == (True, 1)
    assert run(place, "rewrap", "--policy", "1", place.ciphertext).returncode == ExitCode.KEY_REFUSED


def test_a_mount_gets_the_keys_that_it_could_not_have(
    volume: Place, shared_agent: RunningAgent, keys: list[str]
) -> None:
    """A key that was refused when the mount began is asked for again; its files open from then on."""
    place = volume
    succeed(place, "policy", "set", f"{place.ciphertext}:directory", "--key", keys[1])
    told(place, "rewrap", "--files", place.ciphertext)
    disable(shared_agent, keys[1])
    assert place.mount().returncode == 0
    with pytest.raises(OSError, match=os.strerror(errno.ENOKEY)):
        (place.mountpoint / "directory/0").read_bytes()
    told(place, "rewrap", place.mountpoint, code=ExitCode.INCOMPLETE)
    enable(shared_agent, keys[1])
    told(place, "rewrap", place.mountpoint)
    assert (place.mountpoint / "directory/0").read_bytes() == CONTENT
    (place.mountpoint / "directory/new").write_bytes(CONTENT)
