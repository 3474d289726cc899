"""Many connections at once from one thread: scripts of requests, with as little work on this side as can be.

A script is a generator that yields whole HTTP requests and is sent each answer. Knows nothing of the agent.
"""

import json
import selectors
import socket
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

ANSWER_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded."""
        found: dict[str, Any] = json.loads(self.body)
        return found


Script = Generator[bytes, Answer, None]


@dataclass(slots=True)
class _Conversation:
    connection: socket.socket
    script: Script
    received: bytearray = field(default_factory=bytearray)


def ask(address: str | tuple[str, int], scripts: Iterator[Script], connections: int, requests: int) -> None:
    """Play scripts, each on a connection of its own and so many at a time.

    Args:
        address: The path of a Unix socket, or host and port.
        scripts: What to ask, without end.
        connections: How many at a time.
        requests: After how many no other script is begun.
    """
    answered = 0
    with selectors.DefaultSelector() as selector:
        try:
            while answered < requests:
                while len(selector.get_map()) < connections:
                    _open(selector, address, next(scripts))
                answered += _serve(selector)
            while selector.get_map():
                _serve(selector)
        finally:
            for key in list(selector.get_map().values()):
                key.data.connection.close()


def _open(selector: selectors.BaseSelector, address: str | tuple[str, int], script: Script) -> None:
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connection.settimeout(ANSWER_SECONDS)
    selector.register(connection, selectors.EVENT_READ, _Conversation(connection, script))
    connection.connect(address)
    connection.sendall(next(script))


def _serve(selector: selectors.BaseSelector) -> int:
    """Take what came, ask what follows, and return how many answers are complete."""
    answered = 0
    ready = selector.select(ANSWER_SECONDS)
    assert ready, "no answer came"
    for key, _ in ready:
        conversation: _Conversation = key.data
        data = conversation.connection.recv(65536)
        assert data, f"the connection ended after {bytes(conversation.received)!r}"
        conversation.received += data
        answer = _complete(conversation.received)
        if answer is not None:
            answered += 1
            conversation.received.clear()
            try:
                conversation.connection.sendall(conversation.script.send(answer))
            except StopIteration:
                selector.unregister(conversation.connection)
                conversation.connection.close()
    return answered


def _complete(received: bytearray) -> Answer | None:
    head, found, body = bytes(received).partition(b"\r\n\r\n")
    if not found:
        return None
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    if len(body) < int(rest.partition(b"\r\n")[0]):
        return None
    return Answer(int(head.split(b" ", 2)[1]), body)
