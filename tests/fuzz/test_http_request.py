"""Invariant: whatever a client sends, the agent answers in time, never by a 500, and logs no traceback.

Through the whole of a real agent: bytes that are hardly HTTP, any body for any operation, and requests that
look like those of the API, with members that mean something to it, so that they get far.
"""

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

import ports
from agent.api.operations import ADMINISTRATION, OPERATIONS, Operation
from agents import RunningAgent
from fuzzing import examples

ANSWER_SECONDS: Final = 60
ALL: Final = tuple({**OPERATIONS, **ADMINISTRATION}.values())
SLOW: Final = frozenset({"RSA_3072", "RSA_4096"})
PIECES: Final = (
    b"POST / HTTP/1.1\r\n",
    b"GET /status HTTP/1.1\r\n",
    b"POST /x?X-Amz-Algorithm=1 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01",
    b"Host: a\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Type: application/x-amz-json-1.1\r\n",
    b"X-Amz-Target: TrentService.ListKeys\r\n",
    b"X-Amz-Target: TrentService.\xff\r\n",
    b"X-Amz-Target: KmsAgent.Explain\r\n",
    b"X-Kms-Region: nowhere\r\n",
    b"X-Amz-Source-Arn: arn:aws:s3:::a\r\n",
    b"Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/local/kms/aws4_request, ",
    b"SignedHeaders=host, Signature=0\r\n",
    b"X-Amz-Date: 20260101T000000Z\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"{}",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"A" * 20_000,
)
LINES: Final = st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=12).map(b"".join)
BYTES: Final = st.binary(max_size=300) | LINES
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
BODIES: Final = st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode())


PLAIN: Final[dict[type[inspect.Type], st.SearchStrategy[Any]]] = {
    inspect.IntType: st.integers(-1, 400),
    inspect.FloatType: st.floats(0, 4e9),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    """An agent on both doors; its log has no traceback in the end."""
    with ports.running({}, limits={"request_seconds": 5}) as agent:
        yield agent
        log = agent.log_path.read_text()
    assert "Traceback" not in log
    assert "error of our own" not in log


@pytest.fixture(scope="module")
def words(agent: RunningAgent) -> list[str]:
    """Texts that mean something to this agent."""
    with agent.client() as client:

        def make(name: str, **members: object) -> Any:  # noqa: ANN401 - whatever JSON it answers
            answer = client.post(name, json.dumps(members).encode())
            assert answer.status == 200, answer.body
            return json.loads(answer.body or b"{}")

        made = make("CreateKey", MultiRegion=True)["KeyMetadata"]
        external = make("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        signing = make("CreateKey", KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        mac = make("CreateKey", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
        key_id = made["KeyId"]
        blob = make("Encrypt", KeyId=key_id, Plaintext=b64encode(b"x").decode())["CiphertextBlob"]
        user = "arn:aws:iam::000000000000:user/user"
        granted = make("CreateGrant", KeyId=key_id, GranteePrincipal=user, Operations=["Decrypt"])
        make("CreateAlias", AliasName="alias/a", TargetKeyId=key_id)
        policy = make("GetKeyPolicy", KeyId=key_id)["Policy"]
        token = make(
            "GetParametersForImport",
            KeyId=external,
            WrappingAlgorithm="RSAES_OAEP_SHA_256",
            WrappingKeySpec="RSA_2048",
        )["ImportToken"]
    return [
        *(key_id, made["Arn"], external, signing, mac, "alias/a", "alias/aws/ebs", "alias/b", user),
        *(blob, granted["GrantId"], granted["GrantToken"], policy, token, "local", "default", "kms:Decrypt"),
        *("", "a", "arn:aws:kms:local:000000000000:key/", "000000000000", "AAAA", "é\0\ud800"),
    ]


@pytest.fixture(scope="module")
def network(agent: RunningAgent) -> tuple[str, int]:
    """Where the agent's port is."""
    return ports.address(ports.doors(agent)[1])


@examples(300)
@given(BYTES)
def test_any_bytes(agent: RunningAgent, sent: bytes) -> None:
    """Bytes on the Unix socket, and then the end."""
    _send(agent, socket.AF_UNIX, str(agent.socket_path), sent)


@examples(300)
@given(BYTES)
def test_any_bytes_on_tcp(agent: RunningAgent, network: tuple[str, int], sent: bytes) -> None:
    """Bytes on a TCP port, and then the end."""
    _send(agent, socket.AF_INET, network, sent)


@examples(300)
@given(st.sampled_from(ALL), BODIES)
def test_any_body(agent: RunningAgent, operation: Operation[Any, Any], body: bytes) -> None:
    """Any operation, any body."""
    with agent.client(timeout_seconds=ANSWER_SECONDS) as client:
        assert client.post(operation.name, body, operation.service).status in (200, 400)


@examples(500)
@given(st.data())
def test_requests_that_look_right(agent: RunningAgent, words: list[str], data: st.DataObject) -> None:
    """Any operation, with members of the right types that often name what is there."""
    operation: Operation[Any, Any] = data.draw(st.sampled_from(ALL))
    request = data.draw(_values(inspect.type_info(operation.request), words))
    with agent.client(timeout_seconds=ANSWER_SECONDS) as client:
        answer = client.post(operation.name, json.dumps(request).encode(), operation.service)
    assert answer.status in (200, 400, 404, 409, 410), (answer.status, answer.body)


def _values(kind: inspect.Type, words: list[str]) -> st.SearchStrategy[Any]:
    """Return values of a type, most of which keep its constraints."""
    match kind:
        case inspect.UnionType(types=types):
            found = st.one_of(*(_values(option, words) for option in types))
        case inspect.Metadata(type=inner):
            found = _values(inner, words)
        case inspect.StructType(fields=fields):
            found = _structures(fields, words)
        case inspect.VarTupleType(item_type=item):
            found = st.lists(_values(item, words), max_size=3)
        case inspect.DictType():
            found = st.dictionaries(st.sampled_from(words), st.sampled_from(words), max_size=3)
        case inspect.EnumType(cls=cls):
            found = st.sampled_from([member.value for member in cls if member.value not in SLOW])
        case inspect.BytesType():
            found = st.binary(max_size=70).map(lambda raw: b64encode(raw).decode()) | st.sampled_from(words)
        case _:
            found = PLAIN.get(type(kind), st.sampled_from(words))
    return found


def _structures(fields: tuple[inspect.Field, ...], words: list[str]) -> st.SearchStrategy[Any]:
    needed = {field.encode_name: _values(field.type, words) for field in fields if field.required}
    optional = {field.encode_name: _values(field.type, words) for field in fields if not field.required}
    return st.fixed_dictionaries(needed, optional=optional)


def _send(agent: RunningAgent, family: int, address: str | tuple[str, int], sent: bytes) -> None:
    """Send bytes and the end of file; see that what comes back is answers, none of them a 500."""
    received = b""
    with socket.socket(family) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(address)
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                received += data
        except ConnectionError:
            pass  # refused before all was read
    assert not received or received.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in received
    assert b"Traceback" not in received
    with agent.client() as client:
        assert client.status().status == 200
