"""Owns reaching the key management service: which one, starting the user's own, connections."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from agent.api.errors import ServiceError
from agent.api.rows.operation import Operation
from agent.api.shapes.base import Shape
from agent.client import AgentClient, default_agent_url, ensure_running
from kmsfs import aws

# How long one answer may take. Requests that need it wait as long; everything else goes on.
ANSWER_SECONDS: Final = 10

_MAX_IDLE: Final = 4

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)


class AgentSource:
    """The agent, or AWS KMS: opens a connection when one is needed. Threads call at the same time.

    Args:
        agent_url: which; None for the one that the environment or the user's default names.
    """

    def __init__(self, agent_url: str | None) -> None:
        self.url = agent_url or default_agent_url()
        self._aws = aws.AwsKms(self.url, ANSWER_SECONDS) if aws.serves(self.url, os.environ) else None
        self._idle: deque[AgentClient] = deque()
        self._starting = threading.Lock()
        self._is_started = False
        self._is_closed = False

    def call(self, operation: Operation[Request, Response], request: Request) -> Response:
        """Carry out one operation, on a connection of its own while it lasts.

        Raises:
            ServiceError: it is refused.
            AgentError: nobody can be asked; the message says what to do.
        """
        if self._aws is not None:
            return self._aws.call(operation, request)
        self._start()
        client = self._client()
        try:
            response = client.call(operation, request)
        except ServiceError:
            self._keep(client)
            raise
        except BaseException:
            client.close()
            raise
        self._keep(client)
        return response

    def rest(self) -> None:
        """Close what is open and idle; the next call opens another."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def close(self) -> None:
        """Do as `rest`, for good: of calls that are still under way, the last one closes what it has."""
        self._is_closed = True
        self.rest()

    def _start(self) -> None:
        """See once that somebody answers, or start the user's own agent."""
        if not self._is_started:
            with self._starting:
                if not self._is_started:
                    ensure_running(self.url)
                    self._is_started = True

    def _client(self) -> AgentClient:
        try:
            return self._idle.pop()
        except IndexError:
            return AgentClient(self.url, timeout_seconds=ANSWER_SECONDS)

    def _keep(self, client: AgentClient) -> None:
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(client)
        else:
            client.close()
        if self._is_closed:
            self.rest()


@contextmanager
def connected(agent_url: str | None) -> Iterator[AgentSource]:
    """Give the agent at `agent_url`, or the one that the environment or the user's default names.

    Raises:
        AgentError: the address makes no sense; whether somebody answers there, the first call finds out.
    """
    source = AgentSource(agent_url)
    try:
        yield source
    finally:
        source.close()
