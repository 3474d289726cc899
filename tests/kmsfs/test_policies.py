"""Default encryption per directory: what is made where follows which policy, on real mounts."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from encrypting import agent_does, description, key_of, new_key, policy, policy_of
from kmsfs.cli.codes import ExitCode

if TYPE_CHECKING:
    from agents import RunningAgent
    from backgrounds import Place


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
