"""kill -9 of the agent under load: whatever was answered is there afterwards."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from agent.api import codec
from agent.api.enums import GrantOperation
from agent.api.operations import (
    CREATE_ALIAS,
    CREATE_GRANT,
    CREATE_KEY,
    DECRYPT,
    DESCRIBE_KEY,
    DISABLE_KEY,
    ENABLE_KEY,
    GENERATE_DATA_KEY,
    LIST_GRANTS,
    LIST_KEY_ROTATIONS,
    REVOKE_GRANT,
    ROTATE_KEY_ON_DEMAND,
)
from agent.api.shapes.aliases import CreateAliasRequest
from agent.api.shapes.cryptographic import DecryptRequest, GenerateDataKeyRequest
from agent.api.shapes.grants import CreateGrantRequest, ListGrantsRequest, RevokeGrantRequest
from agent.api.shapes.keys import (
    CreateKeyRequest,
    DescribeKeyRequest,
    DisableKeyRequest,
    EnableKeyRequest,
)
from agent.api.shapes.rotation import ListKeyRotationsRequest, RotateKeyOnDemandRequest
from agent.audit.reading import lines
from agent.client import AgentUnavailableError
from rotations import wait_until_rotated

if TYPE_CHECKING:
    from agent.api.operations import Operation, Request, Response
    from agent.client import AgentClient
    from agents import RunningAgent

CALLERS = 6
CONTEXT = {"purpose": "crash"}
GRANTEE = "arn:aws:iam::000000000000:user/grantee"


@dataclass
class Answered:
    """What one caller was told, in the order in which it was told."""

    keys: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    grants: dict[str, list[str]] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    rotations: dict[str, int] = field(default_factory=dict)
    data_keys: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)


class Caller:
    """Creates, names, rotates and uses keys on a connection of its own until the agent is gone."""

    def __init__(self, agent: RunningAgent, name: str, countdown: Countdown) -> None:
        self.answered = Answered()
        self._agent = agent
        self._name = name
        self._countdown = countdown
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the agent's end was noticed."""
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._agent.client() as client:
                while True:
                    self._live(client)
        except AgentUnavailableError:
            return

    def _live(self, client: AgentClient) -> None:
        """Go through the life of one key, writing down each answer."""
        told = self.answered
        key_id = self._call(client, CREATE_KEY, CreateKeyRequest()).key_metadata.key_id
        told.keys.append(key_id)
        alias = f"alias/{self._name}-{len(told.keys)}"
        self._call(client, CREATE_ALIAS, CreateAliasRequest(alias_name=alias, target_key_id=key_id))
        told.aliases[alias] = key_id
        for rotation in range(3):
            for _ in range(4):
                request = GenerateDataKeyRequest(
                    key_id=key_id, number_of_bytes=32, encryption_context=CONTEXT
                )
                data_key = self._call(client, GENERATE_DATA_KEY, request)
                assert data_key.plaintext is not None
                told.data_keys.append((key_id, data_key.ciphertext_blob, data_key.plaintext))
            self._call(client, ROTATE_KEY_ON_DEMAND, RotateKeyOnDemandRequest(key_id=key_id))
            # From here on it will be done, by this life of the agent or the next.
            told.rotations[key_id] = rotation + 1
            wait_until_rotated(client, key_id)
        for _ in range(3):
            told.grants.setdefault(key_id, []).append(self._grant(client, key_id))
        ended = self._grant(client, key_id)
        self._call(client, REVOKE_GRANT, RevokeGrantRequest(key_id=key_id, grant_id=ended))
        told.revoked[ended] = key_id
        other = self._call(client, CREATE_KEY, CreateKeyRequest()).key_metadata.key_id
        told.keys.append(other)
        self._call(client, DISABLE_KEY, DisableKeyRequest(key_id=other))
        told.disabled.append(other)

    def _grant(self, client: AgentClient, key_id: str) -> str:
        request = CreateGrantRequest(
            key_id=key_id, grantee_principal=GRANTEE, operations=(GrantOperation.DECRYPT,)
        )
        return self._call(client, CREATE_GRANT, request).grant_id

    def _call(
        self, client: AgentClient, operation: Operation[Request, Response], request: Request
    ) -> Response:
        answer = client.post(operation.name, codec.encode_request(request))
        assert answer.status == 200, answer.body
        self.answered.request_ids.append(dict(answer.headers)[b"x-amzn-requestid"].decode())
        self._countdown.one()
        return codec.decode_response(operation, answer.body)


class Countdown:
    """Tells when so many answers were given."""

    def __init__(self, answers: int) -> None:
        self._left = answers
        self._lock = threading.Lock()
        self.over = threading.Event()

    def one(self) -> None:
        """Count one answer."""
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self.over.set()


@pytest.mark.parametrize("answers", [1, 7, 50, 400])
def test_what_was_answered_survives_kill_9(running_agent: RunningAgent, answers: int) -> None:
    """After kill -9 at any moment: keys, aliases, rotations, ciphertexts and audit records are all there."""
    told: list[Answered] = []
    for life in range(3):
        countdown = Countdown(answers)
        callers = [Caller(running_agent, f"{life}-{number}", countdown) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        assert countdown.over.wait(60)
        running_agent.kill()
        for caller in callers:
            caller.join()
        told += [caller.answered for caller in callers]
        running_agent.start()
    with running_agent.client() as client:
        for answered in told:
            check(client, answered)
    recorded = {json.loads(line)["requestID"] for line in lines(running_agent.audit_path)}
    assert recorded >= {request_id for answered in told for request_id in answered.request_ids}
    verified = running_agent.command("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def check(client: AgentClient, answered: Answered) -> None:
    """See that everything a caller was told is true."""
    for key_id in answered.keys:
        assert client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=key_id)).key_metadata.key_id == key_id
    for alias, key_id in answered.aliases.items():
        assert client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=alias)).key_metadata.key_id == key_id
    for key_id, count in answered.rotations.items():
        wait_until_rotated(client, key_id)
        rotations = client.call(LIST_KEY_ROTATIONS, ListKeyRotationsRequest(key_id=key_id)).rotations
        # One more may have been made whose answer was lost.
        assert count <= len(rotations) <= count + 1
    for key_id, grants in answered.grants.items():
        # More may have been made whose answers were lost.
        assert set(grants) <= grants_of(client, key_id)
    for grant_id, key_id in answered.revoked.items():
        assert grant_id not in grants_of(client, key_id)
    for key_id in answered.disabled:
        assert (
            client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=key_id)).key_metadata.key_state == "Disabled"
        )
        client.call(ENABLE_KEY, EnableKeyRequest(key_id=key_id))
    for key_id, blob, plaintext in answered.data_keys:
        request = DecryptRequest(key_id=key_id, ciphertext_blob=blob, encryption_context=CONTEXT)
        assert client.call(DECRYPT, request).plaintext == plaintext


def grants_of(client: AgentClient, key_id: str) -> set[str]:
    """Return the ids of a key's grants."""
    return {grant.grant_id for grant in client.call(LIST_GRANTS, ListGrantsRequest(key_id=key_id)).grants}
