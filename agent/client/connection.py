"""One connection to an agent: dial, check who serves it, exchange a request for an answer.

Knows HTTP and sockets, and no KMS word. Errors are ``OSError`` and h11's: ``AgentClient``
says what they mean.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import h11

from agent.client.errors import AgentImpersonatedError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from agent.client.endpoint import Endpoint

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
_RECEIVE_BYTES = 64 * 1024
_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the body may hold a plaintext key and so stays out of the repr."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, body=<{len(self.body)} bytes>)"


class Connection:
    """A kept-alive connection.

    Args:
        endpoint: Where to connect.
        timeout_seconds: For dialling, and for each whole exchange.

    Raises:
        OSError: Nothing answers.
        AgentImpersonatedError: A Unix socket is served by someone who must not see our requests.
    """

    def __init__(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._http = h11.Connection(h11.CLIENT)
        self.peer_pid: int | None = None
        self._socket = self._dial()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; harmless when closed already."""
        self._socket.close()

    def is_stale(self) -> bool:
        """Tell whether the agent has closed an idle connection (or broken the protocol on it)."""
        if self._http.our_state is not h11.IDLE:
            return True
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | select.POLLRDHUP)
        return bool(poller.poll(0))

    def exchange(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send a request and read its whole answer.

        Raises:
            OSError: The connection broke or the answer took too long.
            h11.RemoteProtocolError: The answer is not HTTP.
            ProtocolError: The answer is larger than any real one.
        """
        deadline = time.monotonic() + self._timeout_seconds
        request = h11.Request(
            method=method,
            target=target,
            headers=[("Host", self._endpoint.authority), ("Content-Length", str(len(body))), *headers],
        )
        parts = (
            self._http.send(request),
            self._http.send(h11.Data(body)),
            self._http.send(h11.EndOfMessage()),
        )
        self._wait_until(deadline)
        self._socket.sendall(b"".join(part for part in parts if part))
        answer = self._read_answer(deadline)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    def _read_answer(self, deadline: float) -> Answer:
        response: h11.Response | None = None
        something_came = False
        chunks: list[bytes] = []
        size_bytes = 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._wait_until(deadline)
                data = self._socket.recv(_RECEIVE_BYTES)
                if not data and not something_came:
                    raise ConnectionResetError("no answer came")
                something_came = True
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                size_bytes += len(event.data)
                if size_bytes > MAX_RESPONSE_BYTES:
                    raise ProtocolError(
                        f"{self._endpoint.url} sent an answer of more than {MAX_RESPONSE_BYTES} bytes"
                    )
                chunks.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None
                return Answer(response.status_code, tuple(response.headers), b"".join(chunks))

    def _wait_until(self, deadline: float) -> None:
        remaining_seconds = deadline - time.monotonic()
        if remaining_seconds <= 0:
            raise TimeoutError(f"no complete answer within {self._timeout_seconds:g} s")
        self._socket.settimeout(remaining_seconds)

    def _dial(self) -> socket.socket:
        endpoint = self._endpoint
        if endpoint.scheme == "unix":
            return self._dial_unix()
        connection = socket.create_connection((endpoint.host, endpoint.port), self._timeout_seconds)
        if endpoint.scheme == "http":
            return connection
        # Most agents are on a Unix socket, and whoever asks one waits for what is loaded first.
        from agent.client.tls import client_context  # noqa: PLC0415 - see above

        try:
            context = client_context(os.environ)
            return context.wrap_socket(connection, server_hostname=endpoint.host)
        except BaseException:
            connection.close()
            raise

    def _dial_unix(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._timeout_seconds)
            connection.connect(self._endpoint.path)
            # unix(7): for the side that connected, these are the credentials of whoever called listen(2).
            pid, uid, _gid = _UCRED.unpack(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            )
            if uid not in (0, os.geteuid()):
                raise AgentImpersonatedError(self._endpoint.url, uid)  # noqa: TRY301 - the socket is closed below
        except BaseException:
            connection.close()
            raise
        self.peer_pid = pid
        return connection
