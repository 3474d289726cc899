"""Proof: 64 connections keep an agent busy, kill -9 in the middle, and all that was answered is true."""

import json
import os
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import cycle

import pytest

import ports
from agent.api.operations import DECRYPT, DESCRIBE_KEY, LIST_GRANTS, LIST_KEY_ROTATIONS
from agent.api.shapes.cryptographic import DecryptRequest
from agent.api.shapes.grants import ListGrantsRequest
from agent.api.shapes.keys import DescribeKeyRequest
from agent.api.shapes.rotation import ListKeyRotationsRequest
from agent.audit.reading import lines
from agent.client import AgentClient
from agents import RunningAgent
from loads import CONTEXT, Answered, Caller
from rotations import wait_until_rotated

CONNECTIONS = 64
CHECKERS = 8
LIVES = 5
SECONDS = float(os.environ.get("KMSFS_LOAD_SECONDS", "10"))


@pytest.mark.timeout(600 + 10 * SECONDS)
def test_what_was_answered_under_load_survives_kill_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, grants, rotations, ciphertexts and audit records are all there after five lives under load."""
    told = [Answered() for _ in range(CONNECTIONS)]
    with ports.running({}) as agent:
        credentials = ports.make_key(agent, "root")
        for name, value in credentials.items():
            monkeypatch.setenv(name.upper(), value)
        for life in range(LIVES):
            _live(agent, life, told)
            agent.start("--config", str(agent.directory / "config.yaml"))
        with ThreadPoolExecutor(CHECKERS) as checkers:
            list(checkers.map(lambda answered: _check(agent, answered), told))
        recorded = {json.loads(line)["requestID"] for line in lines(agent.audit_path)}
        verified = agent.command("audit", "verify")
    assert recorded >= {request_id for answered in told for request_id in answered.request_ids}
    assert verified.returncode == 0, verified.stderr
    assert all(answered.keys for answered in told), "a connection was never answered"


def _live(agent: RunningAgent, life: int, told: list[Answered]) -> None:
    """Keep the agent busy for its share of the time, then kill it while everybody is asking."""
    urls = cycle((agent.url, ports.doors(agent)[1]))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        callers = [
            Caller(url, f"{life}-{number}", answered)
            for number, (url, answered) in enumerate(zip(urls, told, strict=False))
        ]
        running = [pool.submit(caller.run_until_gone) for caller in callers]
        # Nobody ends before the agent does, but by a failure.
        failed = wait(running, timeout=SECONDS / LIVES, return_when=FIRST_COMPLETED).done
        agent.kill()
    for caller in (*failed, *running):
        caller.result()


def _check(agent: RunningAgent, answered: Answered) -> None:
    """See that everything one caller was told is true."""
    with agent.client() as client:
        for key_id in answered.keys:
            _check_key(client, answered, key_id)
        for key_id, grant_id in answered.grants:
            found = client.call(LIST_GRANTS, ListGrantsRequest(key_id=key_id, grant_id=grant_id)).grants
            assert [grant.grant_id for grant in found] == [grant_id]
        for made in answered.ciphertexts:
            request = DecryptRequest(
                key_id=made.key_id, ciphertext_blob=made.blob, encryption_context=CONTEXT
            )
            assert client.call(DECRYPT, request).plaintext == made.plaintext


def _check_key(client: AgentClient, answered: Answered, key_id: str) -> None:
    assert client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=key_id)).key_metadata.enabled
    wait_until_rotated(client, key_id)
    rotations = client.call(LIST_KEY_ROTATIONS, ListKeyRotationsRequest(key_id=key_id)).rotations
    if key_id in answered.rotated:
        assert len(rotations) == 1
    else:
        # One may have been made whose answer was lost.
        assert len(rotations) <= (key_id in answered.asked_to_rotate)
