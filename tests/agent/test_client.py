"""The client: addresses, a scripted peer for what no agent does, a real agent for the rest."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.api.errors import NotFoundException
from agent.api.operations import CREATE_KEY, DESCRIBE_KEY
from agent.api.shapes.keys import CreateKeyRequest, DescribeKeyRequest
from agent.client import (
    AgentClient,
    AgentImpersonatedError,
    AgentUnavailableError,
    InvalidAgentUrlError,
    ProtocolError,
    default_agent_url,
)
from agent.client.connection import Answer
from agent.client.endpoint import Endpoint, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


DESCRIBED = b'{"KeyMetadata":{"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab"}}'
DESCRIBE = DescribeKeyRequest(key_id="alias/x")
CREATE = CreateKeyRequest()


def response(body: bytes, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    """Return an HTTP answer."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), extra) + body


class Peer:
    """A server that accepts one connection after another and gives each request its scripted answer.

    An empty answer closes the connection, as does the end of its script. ``closed`` counts the ends.
    """

    def __init__(self, directory: Path, script: Sequence[Sequence[bytes]]) -> None:
        self.path = directory / "peer.sock"
        self.url = f"unix://{self.path}"
        self.seen: list[bytes] = []
        self.closed = threading.Semaphore(0)
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def end(self) -> None:
        """Stop accepting; the client must have ended by now."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        for answers in self._script:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._converse(connection, answers)
            self.closed.release()

    def _converse(self, connection: socket.socket, answers: Sequence[bytes]) -> None:
        for answer in answers:
            request = connection.recv(65536)
            if not request:
                return
            self.seen.append(request)
            if not answer:
                return
            # A client that has read enough may be gone already.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(answer)


@contextmanager
def peer(directory: Path, script: Sequence[Sequence[bytes]]) -> Iterator[Peer]:
    """Run a scripted peer."""
    running = Peer(directory, script)
    try:
        yield running
    finally:
        running.end()


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("unix:///run/a.sock", Endpoint("unix:///run/a.sock", "unix", path="/run/a.sock")),
        (
            "http://127.0.0.1:4599",
            Endpoint(
                "http://127.0.0.1:4599", "http", host="127.0.0.1", port=4599, authority="127.0.0.1:4599"
            ),
        ),
        ("https://kms.test/", Endpoint("https://kms.test/", "https", "", "kms.test", 443, "kms.test")),
        ("http://[::1]:80", Endpoint("http://[::1]:80", "http", "", "::1", 80, "[::1]:80")),
    ],
)
def test_addresses_are_parsed(url: str, endpoint: Endpoint) -> None:
    """The three kinds of address are understood."""
    assert parse_url(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agent.sock",
        "/run/agent.sock",
        "unix://relative.sock",
        "unix://host/path",
        "unix:///p?q",
        "ftp://host",
        "http://",
        "http://host/path",
        "http://user@host",
        "http://host:99999",
        "http://host:port",
        "https://host#f",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """What is no agent address is refused before anything is tried."""
    with pytest.raises(InvalidAgentUrlError):
        AgentClient(url)


def test_the_environment_names_the_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """KMS_AGENT_URL comes first, then the user's standard socket."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("KMS_AGENT_URL", raising=False)
    assert default_agent_url() == f"unix://{tmp_path}/kms-agent/agent.sock"
    monkeypatch.setenv("KMS_AGENT_URL", "unix:///else/where")
    assert default_agent_url() == "unix:///else/where"


def test_a_call_is_aws_json(short_directory: Path) -> None:
    """What goes over the wire is a POST as AWS specifies it, and the answer becomes a typed value."""
    with peer(short_directory, [[response(DESCRIBED)]]) as script:
        with AgentClient(script.url) as client:
            assert client.call(DESCRIBE_KEY, DESCRIBE).key_metadata.key_id.startswith("1234abcd")
        head, _, body = script.seen[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0] == b"POST / HTTP/1.1"
        assert {line.lower() for line in head.split(b"\r\n")[1:]} == {
            b"host: localhost",
            b"content-length: 19",
            b"x-amz-target: trentservice.describekey",
            b"content-type: application/x-amz-json-1.1",
        }
        assert body == b'{"KeyId":"alias/x"}'


def test_a_refusal_is_raised_as_aws_names_it(short_directory: Path) -> None:
    """An error answer becomes the exception of that name, with its message."""
    body = b'{"__type":"NotFoundException","message":"Alias x is not found."}'
    with (
        peer(short_directory, [[response(body, b"400 Bad Request")]]) as script,
        AgentClient(script.url) as client,
        pytest.raises(NotFoundException, match=r"^Alias x is not found\.$"),
    ):
        client.call(DESCRIBE_KEY, DESCRIBE)


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\n",
        response(b"<html>"),
        response(b"{}"),
        response(b"[]"),
        response(b"<html>", b"502 Bad Gateway"),
        response(b"{}", b"500 Internal Server Error"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 8_400_000,
    ],
    ids=["smtp", "html", "empty-object", "list", "gateway", "no-type", "endless"],
)
def test_nonsense_is_a_protocol_error(short_directory: Path, answer: bytes) -> None:
    """Whatever a peer says that is no agent's answer gives one documented error."""
    with (
        peer(short_directory, [[answer]]) as script,
        AgentClient(script.url, timeout_seconds=10) as client,
        pytest.raises(ProtocolError, match=r"peer\.sock"),
    ):
        client.call(DESCRIBE_KEY, DESCRIBE)


def test_one_connection_serves_many_calls(short_directory: Path) -> None:
    """Calls share a connection as long as the peer keeps it."""
    with peer(short_directory, [[response(DESCRIBED)] * 3]) as script, AgentClient(script.url) as client:
        for _ in range(3):
            client.call(DESCRIBE_KEY, DESCRIBE)
        assert len(script.seen) == 3


@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""], ids=["announced", "silent"])
def test_a_closed_connection_is_opened_again(short_directory: Path, last: bytes) -> None:
    """A connection that the peer ended between calls costs nobody anything, not even a CreateKey."""
    first = response(DESCRIBED, extra=last)
    with (
        peer(short_directory, [[first], [response(DESCRIBED)]]) as script,
        AgentClient(script.url) as client,
    ):
        client.call(DESCRIBE_KEY, DESCRIBE)
        assert script.closed.acquire(timeout=10)
        client.call(CREATE_KEY, CREATE)
        assert len(script.seen) == 2


def test_a_lost_answer_is_asked_for_again_only_if_that_is_harmless(short_directory: Path) -> None:
    """When a kept connection breaks during a call, DescribeKey is repeated and CreateKey is not."""
    script = [[response(DESCRIBED), b""], [response(DESCRIBED), b""]]
    with peer(short_directory, script) as script, AgentClient(script.url) as client:
        client.call(DESCRIBE_KEY, DESCRIBE)
        client.call(DESCRIBE_KEY, DESCRIBE)
        assert len(script.seen) == 3
        with pytest.raises(AgentUnavailableError, match="closed the connection during the request"):
            client.call(CREATE_KEY, CREATE)
        assert len(script.seen) == 4


def test_silence_ends_with_the_timeout(short_directory: Path) -> None:
    """A peer that accepts and says nothing is given up on after the timeout."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_directory / "mute.sock"))
        listener.listen()
        with (
            AgentClient(f"unix://{short_directory}/mute.sock", timeout_seconds=0.2) as client,
            pytest.raises(AgentUnavailableError, match="did not answer in time"),
        ):
            client.call(DESCRIBE_KEY, DESCRIBE)


def test_nobody_there_is_said_with_the_way_out(short_directory: Path) -> None:
    """No socket, a dead socket and a closed port each say what to do."""
    dead = short_directory / "dead.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(dead))
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        cases = {
            f"unix://{short_directory}/none.sock": "there is no socket; start it with: kms-agent serve",
            f"unix://{dead}": "nobody listens there; start it with: kms-agent serve",
            f"http://127.0.0.1:{port.getsockname()[1]}": "nobody listens there; check its address",
        }
        for url, words in cases.items():
            with AgentClient(url) as client, pytest.raises(AgentUnavailableError, match=words) as error:
                client.call(DESCRIBE_KEY, DESCRIBE)
            assert error.value.url == url


IMPOSTOR = """
import os, socket, sys
os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_a_strangers_socket_is_not_asked(short_directory: Path) -> None:
    """A socket served by another user, not root, gets no request."""
    directory = short_directory / "open"
    directory.mkdir()
    directory.chmod(0o777)
    short_directory.chmod(0o755)
    path = directory / "agent.sock"
    with subprocess.Popen(
        [sys.executable, "-c", IMPOSTOR, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as impostor:
        try:
            assert impostor.stdout is not None
            assert impostor.stdout.readline() == "ready\n"
            with AgentClient(f"unix://{path}") as client, pytest.raises(AgentImpersonatedError) as error:
                client.call(CREATE_KEY, CREATE)
            assert error.value.peer_uid == 65534
        finally:
            impostor.kill()


def test_answers_do_not_show_their_body() -> None:
    """An answer may hold a plaintext key: printing it shows its size only."""
    assert repr(Answer(200, (), b"secret")) == "Answer(status=200, body=<6 bytes>)"


FIRST_CALLS = """
import os, sys, threading
from agent.api import codec
from agent.api.operations import OPERATIONS

sys.setswitchinterval(1e-6)
BODY = b'{"KeyMetadata":{"KeyId":"1","MultiRegionConfiguration":{"PrimaryKey":{"Region":"eu-west-1"}}}}'


def decode(start):
    start.wait()
    for name in ("CreateKey", "DescribeKey"):
        codec.decode_response(OPERATIONS[name], BODY)


for _ in range(50):
    child = os.fork()
    if child == 0:
        start = threading.Barrier(6)
        threads = [threading.Thread(target=decode, args=(start,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_first_calls_of_several_threads_at_once_are_safe() -> None:
    """Threads that decode the first answers of a process together do not crash it."""
    subprocess.run([sys.executable, "-P", "-c", FIRST_CALLS], check=True)
