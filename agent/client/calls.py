"""AgentClient: typed operations over one kept-alive connection, synchronous.

Owns reconnecting and what a failure means. Knows the contract (``agent.api``) and nothing of
how the agent works.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

import h11

from agent.api import codec
from agent.api.rows.operation import KMS_SERVICE
from agent.client.connection import Answer, Connection
from agent.client.credentials import load_signer
from agent.client.endpoint import Endpoint, parse_url
from agent.client.errors import AgentUnavailableError, ProtocolError

if TYPE_CHECKING:
    from types import TracebackType

    from agent.api.rows.operation import Operation, Request, Response

_CONTENT_TYPE = "application/x-amz-json-1.1"
# On a Unix socket nothing is signed, so nothing else names a Region.
_REGION_HEADER = "X-Kms-Region"
# A request whose answer was lost may have been carried out. These have no effect that a second
# one would double, apart from a second audit record.
_REPEATABLE = frozenset(
    {
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateRandom",
        "GetKeyPolicy",
        "GetKeyRotationStatus",
        "ListAliases",
        "ListGrants",
        "ListKeyRotations",
        "ListKeys",
        "ListRetirableGrants",
        "ReEncrypt",
    }
)


class AgentClient:
    """A client of one agent, to be used as a context manager; threads take turns.

    Args:
        url: ``unix:///path``, ``http://host:port`` or ``https://host:port``.
        timeout_seconds: For connecting, and for each call as a whole.
        region: The Region that is meant where no key ARN says so; None for the one that the environment names
            (TCP) or the agent's default.

    Requests over TCP are signed with the access key of the environment, see ``agent.client.credentials``.

    Raises:
        InvalidAgentUrlError: The address is malformed.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 30, region: str | None = None) -> None:
        self._endpoint = parse_url(url)
        self._region = region
        self._timeout_seconds = timeout_seconds
        self._connection: Connection | None = None
        self._signer = load_signer(self._endpoint, {})
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address as it was given."""
        return self._endpoint.url

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._turn:
            self._drop()

    def call(self, operation: Operation[Request, Response], request: Request) -> Response:
        """Ask the agent to carry out one operation.

        Raises:
            ServiceError: The agent refused; the subclass is AWS's exception.
            AgentUnavailableError: Nothing answers, or the connection broke.
            AgentImpersonatedError: The socket is served by a stranger.
            CredentialsError: What the environment names to sign or encrypt with cannot be used.
            ProtocolError: The answer makes no sense.
        """
        answer = self.post(operation.name, codec.encode_request(request), operation.service)
        try:
            if answer.status == 200:  # noqa: PLR2004 - the one success there is in AWS JSON
                return codec.decode_response(operation, answer.body)
            refusal = codec.decode_error(answer.body, answer.status)
        except codec.MalformedResponseError as error:
            raise ProtocolError(
                f"{self.url} answered {operation.name} with something else: {error}"
            ) from None
        raise refusal

    def post(self, operation_name: str, body: bytes, service: str = KMS_SERVICE) -> Answer:
        """Send the JSON of a service's operation and return the answer, good or bad, undecoded."""
        headers = [("X-Amz-Target", f"{service}.{operation_name}"), ("Content-Type", _CONTENT_TYPE)]
        if self._region is not None and self._endpoint.scheme == "unix":
            headers.append((_REGION_HEADER, self._region))
        return self._exchange("POST", "/", tuple(headers), body, repeatable=operation_name in _REPEATABLE)

    def status(self) -> Answer:
        """Ask how the agent is; no key is touched and nothing is audited."""
        return self._exchange("GET", "/status", (), b"", repeatable=True)

    def peer_pid(self) -> int | None:
        """Return the process at the other end of the open connection, when the kernel knows it."""
        return self._connection.peer_pid if self._connection else None

    def _exchange(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, *, repeatable: bool
    ) -> Answer:
        with self._turn:
            connection, is_new = self._connected()
            try:
                return self._signed_exchange(connection, method, target, headers, body)
            except (OSError, h11.ProtocolError, ProtocolError) as error:
                self._drop()
                if is_new or not repeatable or not isinstance(error, ConnectionError):
                    raise self._explained(error) from error
            connection, _ = self._connected()
            try:
                return self._signed_exchange(connection, method, target, headers, body)
            except (OSError, h11.ProtocolError, ProtocolError) as error:
                self._drop()
                raise self._explained(error) from error

    def _signed_exchange(
        self,
        connection: Connection,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
    ) -> Answer:
        signed = (*headers, *self._signer.headers(method, target, headers, body))
        return connection.exchange(method, target, signed, body)

    def _connected(self) -> tuple[Connection, bool]:
        if self._connection is not None and self._connection.is_stale():
            self._drop()
        if self._connection is not None:
            return self._connection, False
        # Read anew for each connection: a file may have got the next session's credentials.
        self._signer = load_signer(self._endpoint, os.environ, self._region)
        try:
            self._connection = Connection(self._endpoint, self._timeout_seconds)
        except OSError as error:
            raise self._explained(error) from error
        return self._connection, True

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, ProtocolError):
            return error
        if isinstance(error, h11.ProtocolError):
            return ProtocolError(f"{self.url} does not speak HTTP as an agent does: {error}")
        return AgentUnavailableError(self.url, _advice(self._endpoint, error))


def _advice(endpoint: Endpoint, error: Exception) -> str:
    """Say what an ``OSError`` means for an agent's user."""
    start = "start it with: kms-agent serve --detach" if endpoint.scheme == "unix" else "check its address"
    if isinstance(error, FileNotFoundError):
        return f"there is no socket; {start}"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens there; {start}"
    if isinstance(error, PermissionError):
        return "you may not open its socket; ask for access, or run your own: KMS_AGENT_URL names another"
    if isinstance(error, TimeoutError):
        return f"it did not answer in time ({error}); see: kms-agent status"
    if isinstance(error, ConnectionError):
        return f"it closed the connection during the request ({error}); see its log, then try again"
    return str(error)
