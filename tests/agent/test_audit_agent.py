"""A real agent and its audit log: it fails closed and says so, comes back, and its last uses survive it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.api.errors import KMSInternalException
from agent.api.operations import CREATE_KEY, DESCRIBE_KEY, GENERATE_DATA_KEY, GET_KEY_LAST_USAGE
from agent.api.shapes.cryptographic import GenerateDataKeyRequest
from agent.api.shapes.keys import CreateKeyRequest, DescribeKeyRequest
from agent.api.shapes.usage import GetKeyLastUsageRequest
from agent.audit.layout import digest_paths
from agent.cli.exits import Exit

if TYPE_CHECKING:
    from agent.client import AgentClient
    from agents import RunningAgent


def use(client: AgentClient, key_id: str) -> None:
    """Use a key."""
    client.call(GENERATE_DATA_KEY, GenerateDataKeyRequest(key_id=key_id, number_of_bytes=32))


def test_a_log_that_is_gone_for_a_while(running_agent: RunningAgent) -> None:
    """Requests fail, the status says why and so does the agent's log, once; put back, the log goes on."""
    path, away = running_agent.audit_path, running_agent.directory / "away"
    with running_agent.client() as client:
        key_id = client.call(CREATE_KEY, CreateKeyRequest()).key_metadata.key_id
        assert "writing" in running_agent.command("status").stdout
        path.rename(away)
        for _ in range(5):
            with pytest.raises(KMSInternalException, match="is gone"):
                client.call(CREATE_KEY, CreateKeyRequest())
        status = running_agent.command("status")
        assert status.returncode == Exit.AUDIT
        assert "failing: " in status.stdout
        assert json.loads(client.status().body)["audit"].startswith("failing: ")
        assert running_agent.log_path.read_text().count("audit: failing") == 1
        away.rename(path)
        client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=key_id))
        assert running_agent.command("status").returncode == 0
    assert "writing again" in running_agent.log_path.read_text()
    events = running_agent.command("audit", "query", "--json").stdout.splitlines()
    # The first of the five was begun before anybody knew; what it made is on record now.
    assert [json.loads(line)["eventName"] for line in events] == ["CreateKey", "CreateKey", "DescribeKey"]
    verified = running_agent.command("audit", "verify", "--complete")
    assert verified.returncode == 0, verified.stderr


def test_last_uses_survive_the_agent(running_agent: RunningAgent) -> None:
    """After a kill and a clean stop the last use is still the one that was answered last."""
    with running_agent.client() as client:
        key_id = client.call(CREATE_KEY, CreateKeyRequest()).key_metadata.key_id
        for _ in range(3):
            use(client, key_id)
        told = client.call(GET_KEY_LAST_USAGE, GetKeyLastUsageRequest(key_id=key_id))
    assert told.key_last_usage is not None
    assert told.key_last_usage.operation == "GenerateDataKey"
    events = running_agent.command(
        "audit", "query", "--json", "--event", "GenerateDataKey"
    ).stdout.splitlines()
    assert told.key_last_usage.cloud_trail_event_id == json.loads(events[-1])["eventID"]
    for end in (running_agent.kill, running_agent.stop):
        end()
        running_agent.start()
        with running_agent.client() as client:
            assert client.call(GET_KEY_LAST_USAGE, GetKeyLastUsageRequest(key_id=key_id)) == told


def test_the_key_of_digests_is_the_agents_own(running_agent: RunningAgent) -> None:
    """It is the same after a restart, it is told without an agent, and no key of the account is it."""
    before = running_agent.command("audit", "public-key")
    assert before.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    running_agent.stop()
    assert running_agent.command("audit", "public-key").stdout == before.stdout
    running_agent.start()
    assert json.loads(running_agent.command("key", "list", "--json").stdout) == []
    assert len(digest_paths(running_agent.audit_path)) >= 1
    assert running_agent.command("audit", "verify").returncode == 0
