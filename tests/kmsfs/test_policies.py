"""Default encryption per directory: what is made where follows which policy, on real mounts."""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from agent.api.operations import PUT_KEY_POLICY
from agent.api.shapes.policies import PutKeyPolicyRequest
from agent.client import AgentClient
from kmsfs import volume as volumes
from kmsfs.cli.codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents import RunningAgent
    from backgrounds import Place


@pytest.fixture
def mounted(volume: Place) -> Place:
    """A new volume, mounted."""
    assert volume.mount().returncode == 0
    return volume


@pytest.fixture
def key(shared_agent: RunningAgent) -> str:
    """The ARN of a new KMS key."""
    return new_key(shared_agent)


def new_key(agent: RunningAgent) -> str:
    """Make a KMS key and return its ARN."""
    made = agent_does(agent, "key", "create", "--json")
    return str(json.loads(made)["Arn"])


def agent_does(agent: RunningAgent, *arguments: str) -> str:
    """Run a kms-agent command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "agent", *arguments],
        env=agent.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def policy(place: Place, *arguments: str | Path) -> dict[str, Any]:
    """Run a kmsfs policy command that prints JSON."""
    result = place.kmsfs("policy", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def description(place: Place) -> volumes.VolumeDescription:
    """Return the volume's description as it is on disk now."""
    return volumes.load((place.ciphertext / ".kmsfs-volume" / "volume.yaml").read_bytes()).description


def key_of(path: Path) -> str:
    """Return the KMS key behind a file or directory, as its attribute tells."""
    return os.getxattr(path, "kmsfs.key-id").decode()


def policy_of(path: Path) -> int:
    """Return the policy of a file or directory, as its attribute tells."""
    index = json.loads(os.getxattr(path, "kmsfs.policy"))["policy"]
    assert isinstance(index, int)
    return index


def test_what_is_made_follows_its_directory(mounted: Place, key: str) -> None:
    """New files and directories follow, existing files keep their key, and all of it outlives the mount."""
    top = mounted.mountpoint / "top"
    (top / "below").mkdir(parents=True)
    (top / "old").write_bytes(b"made before")
    own = key_of(mounted.mountpoint)
    done = policy(mounted, "set", top, "--key", key)
    assert (done["policy"], done["key_arn"], done["directories"], done["refused"]) == (1, key, 2, [])
    (top / "new").write_bytes(b"made after")
    (top / "below" / "new").write_bytes(b"made after")
    (top / "later" / "still").mkdir(parents=True)
    (top / "later" / "still" / "new").write_bytes(b"made after")
    (mounted.mountpoint / "outside").write_bytes(b"not concerned")
    expected = {
        "outside": own,
        "top": key,
        "top/old": own,
        "top/new": key,
        "top/below": key,
        "top/below/new": key,
        "top/later/still/new": key,
    }
    assert {name: key_of(mounted.mountpoint / name) for name in expected} == expected
    assert mounted.umount().returncode == 0
    assert [each.key_arn for each in description(mounted).policies] == [own, key]
    assert mounted.mount().returncode == 0
    assert {name: key_of(mounted.mountpoint / name) for name in expected} == expected
    assert (top / "later" / "still" / "new").read_bytes() == b"made after"
    assert (top / "old").read_bytes() == b"made before"


def test_a_policy_of_its_own_is_kept(mounted: Place, shared_agent: RunningAgent, key: str) -> None:
    """A directory with another policy than the one above keeps it; what is below it may follow."""
    other = new_key(shared_agent)
    inner = mounted.mountpoint / "top" / "own" / "inner"
    inner.mkdir(parents=True)
    policy(mounted, "set", mounted.mountpoint / "top" / "own", "--key", other)
    policy(mounted, "set", inner, "--key", key_of(mounted.mountpoint))
    assert policy_of(inner) == 0
    done = policy(mounted, "set", mounted.mountpoint / "top", "--key", key)
    assert done["directories"] == 2
    assert [key_of(path) for path in (inner.parent.parent, inner.parent, inner)] == [key, other, key]


def test_the_same_policy_is_used_again(mounted: Place, shared_agent: RunningAgent, key: str) -> None:
    """Key, mode and chunk size make a policy; by whatever name the key is called."""
    alias = f"alias/{mounted.directory.name}"
    agent_does(shared_agent, "alias", "create", alias, key)
    for name in "abcde":
        (mounted.mountpoint / name).mkdir()
    asked = {
        "a": ("--key", key),
        "b": ("--key", alias),
        "c": ("--key", key.rpartition("/")[2]),
        "d": ("--key", alias, "--chunk-size", "64K"),
        "e": ("--chunk-size", "4K"),
    }
    found = [
        policy(mounted, "set", mounted.mountpoint / name, *words)["policy"] for name, words in asked.items()
    ]
    assert found == [1, 1, 1, 2, 0]
    assert len(description(mounted).policies) == 3


def test_without_a_mount(volume: Place, key: str) -> None:
    """By its ciphertext directory and a plain path, mounted or not, a directory is given the same."""
    assert volume.mount().returncode == 0
    (volume.mountpoint / "a" / "b").mkdir(parents=True)
    assert volume.umount().returncode == 0
    target = f"{volume.ciphertext}:a"
    assert policy(volume, "set", target, "--key", key)["directories"] == 2
    assert policy(volume, "show", f"{target}/b")["key_arn"] == key
    assert volume.mount().returncode == 0
    (volume.mountpoint / "a" / "b" / "file").write_bytes(b"content")
    shown = policy(volume, "show", volume.mountpoint / "a" / "b" / "file")
    assert shown == policy(volume, "show", f"{target}/b/file")
    assert (shown["type"], shown["policy"], shown["key_arn"]) == ("file", 1, key)
    assert shown["encryption_context"] == {
        "kmsfs:volume": description(volume).volume_id.hex(),
        "kmsfs:policy": "1",
    }
    assert policy(volume, "set", target, "--mode", "direct")["policy"] == 2
    assert policy(volume, "show", volume.mountpoint / "a")["mode"] == "direct"


def test_where_policies_change(mounted: Place, key: str) -> None:
    """The list has every policy, and on request the directories whose policy is not that of the one above."""
    (mounted.mountpoint / "caf\xe9" / "below").mkdir(parents=True)
    os.mkdir(os.fsencode(mounted.mountpoint) + b"/\xff")
    policy(mounted, "set", mounted.mountpoint / "caf\xe9", "--key", key)
    policy(mounted, "set", os.fsdecode(os.fsencode(mounted.mountpoint) + b"/\xff"), "--mode", "direct")
    found = policy(mounted, "list", mounted.mountpoint, "--directories")
    assert [(each["policy"], each["mode"]) for each in found["policies"]] == [
        (0, "bucket"),
        (1, "bucket"),
        (2, "direct"),
    ]
    assert {each["directory"]: each["policy"] for each in found["directories"] if "policy" in each} == {
        "/": 0,
        "/caf\xe9": 1,
        "/\udcff": 2,
    }
    assert mounted.kmsfs("policy", "list", mounted.ciphertext).returncode == 0


def test_what_the_attributes_tell(mounted: Place, key: str) -> None:
    """They answer for files and directories, are not listed, cannot be set, and are nowhere else."""
    top = mounted.mountpoint / "top"
    top.mkdir()
    (top / "file").write_bytes(b"")
    policy(mounted, "set", top, "--key", key, "--mode", "direct", "--chunk-size", "1M")
    (top / "direct").write_bytes(b"x")
    os.symlink("file", top / "link")
    assert json.loads(os.getxattr(top, "kmsfs.policy")) == {
        "policy": 1,
        "mode": "direct",
        "chunk_size_bytes": 1 << 20,
    }
    context = json.loads(os.getxattr(top / "direct", "kmsfs.encryption-context"))
    assert context.keys() == {"kmsfs:volume", "kmsfs:policy", "kmsfs:file"}
    assert context["kmsfs:policy"] == "1"
    for path in (top, top / "direct"):
        assert os.listxattr(path) == []
        for refused in (
            lambda at: os.setxattr(at, "kmsfs.policy", b"1"),
            lambda at: os.removexattr(at, "kmsfs.policy"),
        ):
            with pytest.raises(PermissionError):
                refused(path)
        with pytest.raises(OSError, match="not supported"):
            os.getxattr(path, "kmsfs.else")
    with pytest.raises(OSError, match="No data"):
        os.getxattr(top / "link", "kmsfs.policy", follow_symlinks=False)


CHUNK_SIZES = ("4K", "64K", "1M")
SIZES = (0, 1, 4095, 4096, 65_536, 65_537, 3_000_000)


def test_chunk_sizes_side_by_side(mounted: Place) -> None:
    """Where files have chunks of several sizes, each file's own tells how long it is, also once it moved."""
    for chunk_size in CHUNK_SIZES:
        top = mounted.mountpoint / chunk_size
        top.mkdir()
        (top / "before").write_bytes(bytes(5000))
        policy(mounted, "set", top, "--chunk-size", chunk_size)
        for size in SIZES:
            (top / str(size)).write_bytes(os.urandom(size))
            assert (top / str(size)).stat().st_size == size
    os.rename(mounted.mountpoint / "1M" / "65537", mounted.mountpoint / "4K" / "moved")
    for _ in range(2):
        for chunk_size in CHUNK_SIZES:
            top = mounted.mountpoint / chunk_size
            found = {entry.name: entry.stat().st_size for entry in os.scandir(top)}
            for size in SIZES:
                if (chunk_size, size) != ("1M", 65_537):
                    assert found[str(size)] == size == len((top / str(size)).read_bytes())
            assert found["before"] == 5000
        moved = mounted.mountpoint / "4K" / "moved"
        assert moved.stat().st_size == len(moved.read_bytes()) == 65_537
        assert mounted.umount().returncode == 0
        assert mounted.mount().returncode == 0
    result = mounted.kmsfs("policy", "show", mounted.mountpoint / "4K" / "moved")
    assert "1048576 bytes" in result.stdout
    assert mounted.umount().returncode == 0
    assert mounted.kmsfs("verify", "--deep", mounted.ciphertext).returncode == 0
    assert mounted.kmsfs("cat", mounted.ciphertext, "1M/3000000").returncode == 0


def test_a_key_that_is_gone(mounted: Place, shared_agent: RunningAgent, key: str) -> None:
    """A subtree whose key is disabled lists; opening and creating give ENOKEY; the rest works."""
    top = mounted.mountpoint / "top"
    top.mkdir()
    policy(mounted, "set", top, "--key", key)
    (top / "file").write_bytes(b"content")
    (mounted.mountpoint / "other").write_bytes(b"other")
    assert mounted.umount().returncode == 0
    agent_does(shared_agent, "key", "disable", key)
    result = mounted.mount("--log-file", str(mounted.directory / "log"))
    assert result.returncode == 0, result.stderr
    assert os.listdir(top) == ["file"]
    assert (top / "file").stat().st_size == 7
    assert key_of(top / "file") == key
    for attempt in ((top / "file").read_bytes, (top / "new").touch):
        with pytest.raises(OSError, match="key") as refused:
            attempt()
        assert refused.value.errno == errno.ENOKEY
    assert os.listdir(top) == ["file"]
    (top / "directory").mkdir()
    os.rename(top / "directory", mounted.mountpoint / "moved")
    assert (mounted.mountpoint / "other").read_bytes() == b"other"
    told = mounted.status()["running"]["policies"]
    assert [each["unavailable"] is None for each in told] == [True, False]
    assert "disabled" in told[1]["unavailable"]
    assert f"kms-agent key enable {key}" in told[1]["unavailable"]
    assert "disabled" in mounted.kmsfs("status", mounted.mountpoint).stdout
    assert (mounted.directory / "log").read_text().count("policy 1") == 1
    refused_set = mounted.kmsfs("policy", "set", mounted.mountpoint, "--key", key)
    assert (refused_set.returncode, "disabled" in refused_set.stderr) == (ExitCode.KEY_REFUSED, True)
    assert policy_of(mounted.mountpoint) == 0
    agent_does(shared_agent, "key", "enable", key)
    assert policy(mounted, "set", mounted.mountpoint, "--key", key)["policy"] == 1
    assert (top / "file").read_bytes() == b"content"
    (top / "new").write_bytes(b"again")
    assert mounted.status()["running"]["policies"][1]["unavailable"] is None
    assert mounted.umount().returncode == 0
    assert mounted.mount().returncode == 0
    assert (top / "new").read_bytes() == b"again"


def delete_key(agent: RunningAgent, key: str) -> None:
    """Schedule a key's deletion."""
    agent_does(agent, "key", "schedule-deletion", key, "--days", "7")


def deny_key(agent: RunningAgent, key: str) -> None:
    """Forbid everybody to use a key."""
    account = key.split(":")[4]
    everybody = {"Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Resource": "*"}
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "kms:*", **everybody},
            {"Effect": "Deny", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], **everybody},
        ],
    }
    with AgentClient(agent.url) as client:
        client.call(PUT_KEY_POLICY, PutKeyPolicyRequest(key_id=key, policy=json.dumps(document)))


@pytest.mark.parametrize(
    ("take_away", "reason"),
    [(delete_key, "pending deletion"), (deny_key, "not authorized")],
    ids=["gone", "denied"],
)
@pytest.mark.parametrize("mode", ["bucket", "direct"])
def test_a_key_that_may_not_be_used(
    mounted: Place,
    shared_agent: RunningAgent,
    key: str,
    take_away: Callable[[RunningAgent, str], None],
    reason: str,
    mode: str,
) -> None:
    """Whatever the reason, it is told, and costs the files under the key alone."""
    top = mounted.mountpoint / "top"
    top.mkdir()
    policy(mounted, "set", top, "--key", key, "--mode", mode)
    (top / "file").write_bytes(b"content")
    assert mounted.umount().returncode == 0
    take_away(shared_agent, key)
    assert mounted.mount().returncode == 0
    assert os.listdir(top) == ["file"]
    with pytest.raises(OSError, match="key") as refused:
        (top / "file").read_bytes()
    assert refused.value.errno == errno.ENOKEY
    assert key_of(top / "file") == key
    told = mounted.status()["running"]["policies"][1]
    assert reason in told["unavailable"]
    (mounted.mountpoint / "other").write_bytes(b"other")
    (top / "file").unlink()


def test_a_crash_without_the_key(mounted: Place, shared_agent: RunningAgent, key: str) -> None:
    """What a crash left under a key that is gone is put in order by the first mount that has it again."""
    top = mounted.mountpoint / "top"
    top.mkdir()
    policy(mounted, "set", top, "--key", key)
    (top / "file").write_bytes(bytes(5000))
    inode = (top / "file").stat().st_ino
    mounted.signal(signal.SIGKILL)
    assert mounted.has_ended()
    (stored,) = [path for path in mounted.ciphertext.rglob("*") if path.lstat().st_ino == inode]
    os.truncate(stored, stored.stat().st_size - 1)
    agent_does(shared_agent, "key", "disable", key)
    for _ in range(2):
        assert mounted.mount().returncode == 0
        assert os.listdir(top) == ["file"]
        assert mounted.umount().returncode == 0
        assert mounted.status(mounted.ciphertext)["volume"]["condition"] == "not unmounted cleanly"
    agent_does(shared_agent, "key", "enable", key)
    assert mounted.mount().returncode == 0
    assert (top / "file").read_bytes() == bytes(4096)
    assert mounted.status()["running"]["counters"]["repaired_files"] == 1
    assert mounted.umount().returncode == 0
    assert mounted.status(mounted.ciphertext)["volume"]["condition"] == "clean"


def test_a_customers_key(mounted: Place) -> None:
    """A subtree under a key of one's own opens only where that is given at mounting."""
    top = mounted.mountpoint / "top"
    top.mkdir()
    file = mounted.directory / "key"
    file.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    file.chmod(0o600)
    done = policy(mounted, "set", top, "--mode", "customer", "--customer-key-file", file)
    assert (done["policy"], done["mode"], done["key_arn"]) == (1, "customer", None)
    (top / "file").write_bytes(b"content")
    with pytest.raises(OSError, match="No data"):
        os.getxattr(top / "file", "kmsfs.key-id")
    again = policy(mounted, "set", mounted.mountpoint, "--mode", "customer", "--customer-key-file", file)
    assert again["policy"] == 1
    assert mounted.umount().returncode == 0
    assert mounted.mount("--customer-key-file", str(file)).returncode == 0
    assert (top / "file").read_bytes() == b"content"
    assert mounted.umount().returncode == 0
    assert mounted.mount().returncode == 0
    with pytest.raises(OSError, match="key"):
        (top / "file").read_bytes()


REFUSED = {
    "no such directory": (("nowhere", "--mode", "direct"), ExitCode.SYSTEM, "nowhere"),
    "a file": (("file", "--mode", "direct"), ExitCode.SYSTEM, "Not a directory"),
    "nothing to set": ((".",), ExitCode.USAGE, "Say what is to change"),
    "no such key": ((".", "--key", "alias/nothing"), ExitCode.KEY_REFUSED, "alias/nothing"),
    "no customer's key": ((".", "--mode", "customer"), ExitCode.VOLUME, "--customer-key-file"),
    "a KMS key for a customer's": ((".", "--mode", "customer", "--key", "k"), ExitCode.VOLUME, "--key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, mounted: Place) -> None:
    """What cannot be done is refused with the reason, and nothing has changed."""
    (mounted.mountpoint / "file").touch()
    (path, *words), code, reason = REFUSED[case]
    result = mounted.kmsfs("policy", "set", mounted.mountpoint / path, *words)
    assert (result.returncode, reason in result.stderr) == (code, True), result.stderr
    assert len(description(mounted).policies) == 1
    assert policy_of(mounted.mountpoint) == 0


def test_not_on_a_read_only_mount(volume: Place) -> None:
    """A mount that changes nothing on disk says so, and shows what there is."""
    assert volume.mount("-o", "ro").returncode == 0
    result = volume.kmsfs("policy", "set", volume.mountpoint, "--mode", "direct")
    assert (result.returncode, "read-only" in result.stderr) == (ExitCode.VOLUME, True)
    assert policy(volume, "show", volume.mountpoint)["policy"] == 0


def test_many_at_once(mounted: Place, shared_agent: RunningAgent) -> None:
    """Policies set at the same time are all there at the end, each directory's own, and none twice."""
    keys = [new_key(shared_agent) for _ in range(3)]
    tops = [mounted.mountpoint / str(number) for number in range(6)]
    for top in tops:
        (top / "below").mkdir(parents=True)

    def set_one(number: int) -> int:
        found = policy(mounted, "set", tops[number], "--key", keys[number % 3])["policy"]
        assert isinstance(found, int)
        return found

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(set_one, range(6)))
    assert found[:3] == found[3:]
    assert set(found) == {1, 2, 3}
    for number, top in enumerate(tops):
        (top / "below" / "file").write_bytes(b"content")
        assert key_of(top / "below" / "file") == keys[number % 3]
    assert mounted.umount().returncode == 0
    assert {each.key_arn for each in description(mounted).policies[1:]} == set(keys)
    assert len(description(mounted).bucket_keys) == 4
    assert mounted.mount().returncode == 0
    assert [(top / "below" / "file").read_bytes() for top in tops] == [b"content"] * 6
