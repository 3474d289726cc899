"""What stands under a key that cannot be had: it lists, nothing else suffers, it comes back with the key."""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from agent.api.operations import PUT_KEY_POLICY
from agent.api.shapes.policies import PutKeyPolicyRequest
from agent.client import AgentClient
from encrypting import agent_does, key_of, policy, policy_of
from kmsfs.cli.codes import ExitCode
from trees import below

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents import RunningAgent
    from backgrounds import Place


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
    (stored,) = [path for path in below(mounted.ciphertext) if path.lstat().st_ino == inode]
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
    larger = policy(mounted, "set", top, "--chunk-size", "64K", "--customer-key-file", file)
    assert (larger["policy"], larger["mode"], larger["chunk_size_bytes"]) == (2, "customer", 1 << 16)
    (top / "larger").write_bytes(bytes(70_000))
    assert mounted.umount().returncode == 0
    assert mounted.mount("--customer-key-file", str(file)).returncode == 0
    assert (top / "file").read_bytes() == b"content"
    assert (top / "larger").read_bytes() == bytes(70_000)
    assert mounted.umount().returncode == 0
    assert mounted.mount().returncode == 0
    with pytest.raises(OSError, match="key"):
        (top / "file").read_bytes()
