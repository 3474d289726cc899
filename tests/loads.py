"""Callers that keep an agent busy and write down what it answers. Knows the client, and nothing inside."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent.api import codec
from agent.api.enums import GrantOperation
from agent.api.operations import (
    CREATE_GRANT,
    CREATE_KEY,
    DECRYPT,
    ENCRYPT,
    GENERATE_DATA_KEY,
    ROTATE_KEY_ON_DEMAND,
    Operation,
    Request,
    Response,
)
from agent.api.shapes.cryptographic import DecryptRequest, EncryptRequest, GenerateDataKeyRequest
from agent.api.shapes.grants import CreateGrantRequest
from agent.api.shapes.keys import CreateKeyRequest
from agent.api.shapes.rotation import RotateKeyOnDemandRequest
from agent.client import AgentClient, AgentUnavailableError

CONTEXT: Final = {"purpose": "load"}
GRANTEE: Final = "arn:aws:iam::000000000000:user/grantee"
REQUEST_ID: Final = b"x-amzn-requestid"


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """What an agent made of a plaintext."""

    key_id: str
    blob: bytes
    plaintext: bytes


@dataclass(slots=True)
class Answered:
    """What one caller was told; `asked_to_rotate` has also the keys whose answer never came."""

    keys: list[str] = field(default_factory=list)
    grants: list[tuple[str, str]] = field(default_factory=list)
    asked_to_rotate: set[str] = field(default_factory=set)
    rotated: set[str] = field(default_factory=set)
    ciphertexts: list[Ciphertext] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)


class Caller:
    """One connection that makes, grants, rotates and uses keys, in an order that its seed decides.

    Args:
        url: the agent's address.
        seed: says what comes after what.
        told: what it was told so far, to go on from.
    """

    def __init__(self, url: str, seed: str, told: Answered) -> None:
        self._url = url
        self._random = random.Random(seed)  # noqa: S311 - decides what is asked, no key
        self._told = told

    def run_until_gone(self) -> None:
        """Ask one thing after the other until the agent is gone; anything but an answer is a failure."""
        steps: dict[Callable[[AgentClient], None], int] = {
            self._create_key: 3,
            self._create_grant: 4,
            self._rotate: 2,
            self._encrypt: 10,
            self._decrypt: 10,
            self._generate: 10,
        }
        try:
            with AgentClient(self._url, region="local") as client:
                if not self._told.keys:
                    self._create_key(client)
                while True:
                    self._random.choices(list(steps), list(steps.values()))[0](client)
        except AgentUnavailableError:
            return

    def _create_key(self, client: AgentClient) -> None:
        self._told.keys.append(self._call(client, CREATE_KEY, CreateKeyRequest()).key_metadata.key_id)

    def _create_grant(self, client: AgentClient) -> None:
        key_id = self._random.choice(self._told.keys)
        request = CreateGrantRequest(
            key_id=key_id, grantee_principal=GRANTEE, operations=(GrantOperation.DECRYPT,)
        )
        self._told.grants.append((key_id, self._call(client, CREATE_GRANT, request).grant_id))

    def _rotate(self, client: AgentClient) -> None:
        waiting = [key_id for key_id in self._told.keys if key_id not in self._told.asked_to_rotate]
        if waiting:
            key_id = self._random.choice(waiting)
            self._told.asked_to_rotate.add(key_id)
            self._call(client, ROTATE_KEY_ON_DEMAND, RotateKeyOnDemandRequest(key_id=key_id))
            self._told.rotated.add(key_id)

    def _encrypt(self, client: AgentClient) -> None:
        key_id = self._random.choice(self._told.keys)
        plaintext = self._random.randbytes(self._random.randint(1, 4096))
        request = EncryptRequest(key_id=key_id, plaintext=plaintext, encryption_context=CONTEXT)
        blob = self._call(client, ENCRYPT, request).ciphertext_blob
        self._told.ciphertexts.append(Ciphertext(key_id, blob, plaintext))

    def _decrypt(self, client: AgentClient) -> None:
        if self._told.ciphertexts:
            made = self._random.choice(self._told.ciphertexts)
            request = DecryptRequest(ciphertext_blob=made.blob, encryption_context=CONTEXT)
            assert self._call(client, DECRYPT, request).plaintext == made.plaintext

    def _generate(self, client: AgentClient) -> None:
        key_id = self._random.choice(self._told.keys)
        request = GenerateDataKeyRequest(key_id=key_id, number_of_bytes=32, encryption_context=CONTEXT)
        made = self._call(client, GENERATE_DATA_KEY, request)
        assert made.plaintext is not None
        self._told.ciphertexts.append(Ciphertext(key_id, made.ciphertext_blob, made.plaintext))

    def _call(
        self, client: AgentClient, operation: Operation[Request, Response], request: Request
    ) -> Response:
        answer = client.post(operation.name, codec.encode_request(request))
        assert answer.status == 200, answer.body
        self._told.request_ids.append(dict(answer.headers)[REQUEST_ID].decode())
        return codec.decode_response(operation, answer.body)
