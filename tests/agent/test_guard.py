"""The setting guard, on a real agent: what is no policy stops it, a good one limits root."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.api.errors import AccessDeniedException
from agent.api.operations import GENERATE_RANDOM, LIST_KEYS
from agent.api.shapes.cryptographic import GenerateRandomRequest
from agent.api.shapes.keys import ListKeysRequest
from agent.cli.exits import Exit
from agents import RunningAgent


def configuration(directory: Path, policy: bytes | None) -> Path:
    """Write a configuration that names a guard, and the guard unless there is to be none."""
    guard, file = directory / "guard.json", directory / "agent.yaml"
    if policy is not None:
        guard.write_bytes(policy)
    file.write_text(f"guard: {guard}\n")
    return file


@pytest.mark.parametrize("policy", [None, b"", b"\xff", b"{}", b" " * 10_241])
def test_a_guard_that_is_none_stops_the_agent(
    make_agent: Callable[[], RunningAgent], policy: bytes | None
) -> None:
    """The agent ends with the exit code of a wrong configuration, and names setting, file and reason."""
    agent = make_agent()
    config = configuration(agent.directory, policy)
    result = agent.command("serve", "--init", "--config", str(config))
    assert result.returncode == Exit.CONFIGURATION
    assert f"guard: {agent.directory / 'guard.json'}" in result.stderr


def test_a_guard_limits_root(make_agent: Callable[[], RunningAgent]) -> None:
    """What it allows is done, everything else refused."""
    agent = make_agent()
    statement = {"Effect": "Allow", "Action": "kms:GenerateRandom", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement}).encode()
    agent.start("--config", str(configuration(agent.directory, policy)))
    with agent.client() as client:
        client.call(GENERATE_RANDOM, GenerateRandomRequest(number_of_bytes=8))
        with pytest.raises(AccessDeniedException, match="no service control policy allows"):
            client.call(LIST_KEYS, ListKeysRequest())
