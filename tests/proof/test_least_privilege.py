"""What `kmsfs policy explain` prints is enough for all that a mount does, and good for one volume alone."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mounts
import ports
from agent.api import operations
from agent.api.shapes.policies import GetKeyPolicyRequest, PutKeyPolicyRequest
from agent.client import AgentClient
from agents import RunningAgent
from kmsfs.cli.codes import ExitCode
from mailer import RULE, as_mailer, command

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")


@pytest.fixture
def agent(make_agent: Callable[[], RunningAgent]) -> RunningAgent:
    """An agent that knows the mailer, who has no identity policy."""
    agent = make_agent()
    ports.start(agent, principals=[RULE])
    return agent


@pytest.fixture
def key(agent: RunningAgent) -> str:
    """The ARN of a KMS key that the mailer may not use."""
    return str(json.loads(command(agent, "key", "create", "--json"))["Arn"])


@pytest.fixture
def volume(agent: RunningAgent, key: str, short_directory: Path) -> Iterator[mounts.Volume]:
    """A volume of root's under that key."""
    made = mounts.Volume(short_directory, agent.url)
    made.make("--key", key)
    yield made
    made.close()


def explained(volume: mounts.Volume, *words: str) -> Any:  # noqa: ANN401 - JSON
    """Return what `kmsfs policy explain` prints for the mailer."""
    result = volume.kmsfs("policy", "explain", volume.backing, "--to", "user/mailer", "--json", *words)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def by_key_policy(agent: RunningAgent, volume: mounts.Volume) -> None:
    """Add the statements to the policy of each key."""
    with AgentClient(agent.url) as client:
        for use in explained(volume)["keys"]:
            was = client.call(operations.GET_KEY_POLICY, GetKeyPolicyRequest(key_id=use["key_arn"]))
            document = json.loads(was.policy or "{}")
            document["Statement"] += use["statements"]
            asked = PutKeyPolicyRequest(key_id=use["key_arn"], policy=json.dumps(document))
            client.call(operations.PUT_KEY_POLICY, asked)


def by_identity_policy(agent: RunningAgent, volume: mounts.Volume) -> None:
    """Attach the policy to the mailer."""
    path = volume.backing.parent / "policy.json"
    path.write_text(json.dumps(explained(volume, "--identity")))
    command(agent, "policy", "put", "user/mailer", "mail", str(path))


def by_grant(agent: RunningAgent, volume: mounts.Volume) -> None:
    """Run the commands that make grants."""
    for use in explained(volume)["keys"]:
        program, *words = shlex.split(use["grant"])
        assert program == "kms-agent"
        command(agent, *words)


def by_grant_of_data_keys(agent: RunningAgent, volume: mounts.Volume) -> None:
    """Run the commands that make grants, without the right to ask how a key is."""
    for use in explained(volume)["keys"]:
        _, *words = shlex.split(use["grant"].replace("--operation DescribeKey ", ""))
        assert "DescribeKey" not in words
        command(agent, *words)


WAYS = (by_key_policy, by_identity_policy, by_grant, by_grant_of_data_keys)


@pytest.mark.parametrize("allow", WAYS, ids=lambda way: way.__name__)
def test_it_is_enough(
    allow: Callable[[RunningAgent, mounts.Volume], None], agent: RunningAgent, key: str, volume: mounts.Volume
) -> None:
    """By nothing but that, the mailer mounts, makes and opens files of each mode, and sees a rotation."""
    with as_mailer(), pytest.raises(mounts.MountFailedError) as caught:
        volume.mount()
    assert caught.value.exit_code == ExitCode.KEY_REFUSED
    allow(agent, volume)
    with as_mailer():
        volume.mount()
        (volume.path / "each").mkdir()
        done = volume.kmsfs("policy", "set", volume.path / "each", "--mode", "direct", "--json")
        assert json.loads(done.stdout)["policy"] == 1, done.stderr
    (volume.path / "letter").write_text("dear reader")
    (volume.path / "each" / "letter").write_text("each of you")
    volume.unmount()
    command(agent, "key", "rotate", key)
    with as_mailer():
        volume.mount()
    assert (volume.path / "letter").read_text() == "dear reader"
    assert (volume.path / "each" / "letter").read_text() == "each of you"
    (volume.path / "answer").write_text("dear writer")
    volume.unmount()
    may_describe = allow is not by_grant_of_data_keys
    status = json.loads(volume.kmsfs("status", volume.backing, "--json").stdout)
    assert len(status[0]["volume"]["bucket_keys"]) == (2 if may_describe else 1)
    assert ("not allowed to ask whether" in volume.log_path.read_text()) is not may_describe


@pytest.mark.parametrize("allow", WAYS[:3], ids=lambda way: way.__name__)
def test_it_is_for_one_volume(
    allow: Callable[[RunningAgent, mounts.Volume], None],
    agent: RunningAgent,
    key: str,
    volume: mounts.Volume,
    short_directory: Path,
) -> None:
    """It opens no other volume under the same key, and makes none."""
    allow(agent, volume)
    (short_directory / "other").mkdir()
    other = mounts.Volume(short_directory / "other", agent.url)
    try:
        with as_mailer():
            result = other.kmsfs("init", other.backing, "--key", key)
        assert result.returncode == ExitCode.KEY_REFUSED
        other.make("--key", key)
        with as_mailer(), pytest.raises(mounts.MountFailedError) as caught:
            other.mount()
        assert caught.value.exit_code == ExitCode.KEY_REFUSED
    finally:
        other.close()
