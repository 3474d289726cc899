"""Proof: the agent takes no more memory for having answered many requests of every sort."""

import base64
import json
import os
import random
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import pytest

import ports
from agent.api.operations import ADMINISTRATION, OPERATIONS
from agent.sigv4.canonical import HttpRequest
from agent.sigv4.signing import Credentials, sign
from agents import RunningAgent
from asking import Answer, Script, ask

REQUESTS = int(os.environ.get("KMSFS_MEMORY_REQUESTS", "30000"))
WARM_REQUESTS: Final = 20_000
MAX_GROWTH_KB: Final = 2048
CONNECTIONS: Final = 16
STEPS_PER_CONNECTION: Final = 20
KEYS: Final = 100
USERS: Final = 100
ACCOUNT: Final = "arn:aws:iam::000000000000"
HEAD: Final = ((b"host", b"localhost"), (b"content-type", b"application/x-amz-json-1.1"))
"""What every request has."""
SIGNING: Final = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
QUOTAS: Final = {"per": "principal", "requests": {"cryptographic_symmetric": {"per_second": 1_000_000}}}
"""So high that nobody meets it, and everybody has a bucket of their own."""


@dataclass(frozen=True)
class Known:
    """What there is to ask about: `root` and `users` are access keys, `users` may nothing."""

    keys: tuple[str, ...]
    signing_keys: tuple[str, ...]
    root: Credentials
    users: tuple[Credentials, ...]


Step = Callable[[random.Random, Known], Script]


@pytest.mark.timeout(600 + REQUESTS / 50)
def test_memory_stays_flat() -> None:
    """After 20,000 requests of many callers, keys and contexts, refused ones too, memory stays as it is."""
    with ports.running({}, quotas=QUOTAS) as agent:
        known = _prepare(agent)
        _ask_about(agent, known, "warm", WARM_REQUESTS)
        warm_kb = _anonymous_kb(agent.pid)
        _ask_about(agent, known, "then", REQUESTS - WARM_REQUESTS)
        grown_kb = _anonymous_kb(agent.pid) - warm_kb
        print(f"{warm_kb} kB of memory after {WARM_REQUESTS} requests, {grown_kb} kB more after {REQUESTS}")  # noqa: T201 - shown with -rP
        assert grown_kb < MAX_GROWTH_KB
        assert "Traceback" not in agent.log_path.read_text()


def _prepare(agent: RunningAgent) -> Known:
    with agent.client() as client:

        def make(operation: str, **members: object) -> Any:  # noqa: ANN401 - whatever JSON it answers
            service = {**OPERATIONS, **ADMINISTRATION}[operation].service
            answer = client.post(operation, json.dumps(members).encode(), service)
            assert answer.status == 200, answer.body
            return json.loads(answer.body)

        def make_access_key(principal: str) -> Credentials:
            made = make("CreateAccessKey", PrincipalArn=f"{ACCOUNT}:{principal}")
            return Credentials(made["AccessKeyId"], made["SecretAccessKey"])

        def make_key(**members: object) -> str:
            return str(make("CreateKey", **members)["KeyMetadata"]["KeyId"])

        return Known(
            keys=tuple(make_key() for _ in range(KEYS)),
            signing_keys=tuple(make_key(**SIGNING) for _ in range(KEYS)),
            root=make_access_key("root"),
            users=tuple(make_access_key(f"user/{number}") for number in range(USERS)),
        )


def _ask_about(agent: RunningAgent, known: Known, seed: str, requests: int) -> None:
    """Ask at least so many times, on both doors."""
    doors: tuple[tuple[str | tuple[str, int], tuple[Step, ...]], ...] = (
        (str(agent.socket_path), LOCAL_STEPS),
        (ports.address(ports.doors(agent)[1]), NETWORK_STEPS),
    )
    for address, steps in doors:
        scripts = _scripts(seed, known, steps)
        ask(address, scripts, CONNECTIONS, requests // len(doors))


def _scripts(seed: str, known: Known, steps: tuple[Step, ...]) -> Iterator[Script]:
    return (_script(random.Random(f"{seed} {number}"), known, steps) for number in count())  # noqa: S311 - no key


def _script(choices: random.Random, known: Known, steps: tuple[Step, ...]) -> Script:
    for _ in range(STEPS_PER_CONNECTION):
        yield from choices.choice(steps)(choices, known)


def _use_a_key(choices: random.Random, known: Known) -> Script:
    """Make a data key in a context that nobody had before, open it, and fail to in another context."""
    context = {"file": choices.randbytes(16).hex()}
    key_id = choices.choice(known.keys)
    made = yield from _asked(
        200, "GenerateDataKey", KeyId=key_id, KeySpec="AES_256", EncryptionContext=context
    )
    blob = made["CiphertextBlob"]
    opened = yield from _asked(200, "Decrypt", CiphertextBlob=blob, EncryptionContext=context)
    assert opened["Plaintext"] == made["Plaintext"]
    refused = yield from _asked(400, "Decrypt", CiphertextBlob=blob)
    assert refused["__type"] == "InvalidCiphertextException"


def _sign(choices: random.Random, known: Known) -> Script:
    message = base64.b64encode(choices.randbytes(40)).decode()
    key_id = choices.choice(known.signing_keys)
    yield from _asked(200, "Sign", KeyId=key_id, Message=message, SigningAlgorithm="ECDSA_SHA_256")


def _change(choices: random.Random, known: Known) -> Script:
    """Give a key a policy that no key had, a grant and an alias, and take the latter two away."""
    key_id, word = choices.choice(known.keys), choices.randbytes(8).hex()
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = json.dumps({"Id": word, "Statement": [statement | {"Sid": word}]})
    yield from _asked(200, "PutKeyPolicy", KeyId=key_id, Policy=policy)
    grantee = f"{ACCOUNT}:user/{word}"
    granted = yield from _asked(
        200, "CreateGrant", KeyId=key_id, GranteePrincipal=grantee, Operations=["Decrypt"]
    )
    yield from _asked(200, "RevokeGrant", KeyId=key_id, GrantId=granted["GrantId"])
    yield from _asked(200, "CreateAlias", AliasName=f"alias/{word}", TargetKeyId=key_id)
    yield from _asked(200, "DescribeKey", KeyId=f"alias/{word}")
    yield from _asked(200, "DeleteAlias", AliasName=f"alias/{word}")


def _look(choices: random.Random, known: Known) -> Script:
    key_id = choices.choice(known.keys)
    page = yield from _asked(200, "ListKeys", Limit=10)
    yield from _asked(200, "ListKeys", Limit=10, Marker=page["NextMarker"])
    yield from _asked(200, "GetKeyPolicy", KeyId=key_id)
    yield from _asked(400, "DescribeKey", KeyId=str(uuid.UUID(bytes=choices.randbytes(16))))
    yield from _asked(400, "DescribeKey", KeyId=f"alias/{choices.randbytes(8).hex()}")


def _ask_nonsense(choices: random.Random, _known: Known) -> Script:
    word = choices.randbytes(8).hex()
    yield from _asked(400, f"Operation{word}")
    yield from _asked(400, "GenerateDataKey", **{word: word})
    yield from _sent(400, _request("Decrypt", b"{" + word.encode()))


def _ask_signed(choices: random.Random, known: Known) -> Script:
    """Ask as one who may, as one who may not, and with secrets that nobody has."""
    members = {
        "KeyId": choices.choice(known.keys),
        "Plaintext": base64.b64encode(choices.randbytes(64)).decode(),
    }
    context = {"user": choices.randbytes(8).hex()}
    request = _request("Encrypt", json.dumps({**members, "EncryptionContext": context}).encode())
    user = choices.choice(known.users)
    yield from _sent(200, request, known.root)
    yield from _sent(400, request, user)
    yield from _sent(400, request, Credentials(user.access_key_id, choices.randbytes(20).hex()))
    yield from _sent(400, request, Credentials(choices.randbytes(10).hex().upper(), "secret"))
    yield from _sent(400, request)


LOCAL_STEPS: Final[tuple[Step, ...]] = (_use_a_key, _use_a_key, _sign, _change, _look, _ask_nonsense)
NETWORK_STEPS: Final[tuple[Step, ...]] = (_ask_signed,)


def _asked(status: int, operation: str, **members: object) -> Generator[bytes, Answer, Any]:
    answer = yield from _sent(status, _request(operation, json.dumps(members).encode()))
    return json.loads(answer.body or b"{}")


def _request(operation: str, body: bytes) -> HttpRequest:
    return HttpRequest(b"POST", b"/", (*HEAD, (b"x-amz-target", f"TrentService.{operation}".encode())), body)


def _sent(
    status: int, request: HttpRequest, signer: Credentials | None = None
) -> Generator[bytes, Answer, Answer]:
    added: tuple[tuple[bytes, bytes], ...] = ()
    if signer is not None:
        added = sign(request, signer, region="local", service="kms", epoch_seconds=time.time())
    headers = (*request.headers, *added, (b"content-length", b"%d" % len(request.body)))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    answer = yield b"POST / HTTP/1.1\r\n%b\r\n%b" % (lines, request.body)
    assert answer.status == status, answer.body
    return answer


def _anonymous_kb(pid: int) -> int:
    """Return how much memory of its own a process has, in units of 1,024 bytes."""
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
