"""The HTTP door by itself, for tests: a server on a real socket with no service behind it."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import trio

from agent.config import Limits
from agent.http import Reply, Request, Server

LIMITS = Limits(
    connections=4,
    header_bytes=1024,
    body_bytes=4096,
    idle_seconds=60,
    request_seconds=10,
    stop_seconds=5,
)
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, extra: bytes = b"") -> bytes:
    """Return a whole POST request."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n" % (len(body), extra) + body


async def echo(request: Request) -> Reply:
    """Answer with what was asked."""
    await trio.lowlevel.checkpoint()
    return Reply(
        200, ((b"content-type", b"text/plain"),), request.method + b" " + request.target + b" " + request.body
    )


class Door:
    """A running server; ``stop`` is its stop event."""

    def __init__(self, path: Path, stop: trio.Event) -> None:
        self.path = path
        self.stop = stop

    async def connect(self) -> trio.SocketStream:
        """Open a connection."""
        return await trio.open_unix_socket(self.path)


Handle = Callable[[Request], Awaitable[Reply]]


@asynccontextmanager
async def serving(directory: Path, handle: Handle = echo, limits: Limits = LIMITS) -> AsyncIterator[Door]:
    """Run a server; leaving stops it gracefully and waits."""

    async def open_session(_stream: trio.SocketStream) -> Handle:
        await trio.lowlevel.checkpoint()
        return handle

    path = directory / "http.sock"
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listening.bind(str(path))
    listening.listen(16)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(open_session, limits).serve, trio.SocketListener(listening), stop)
        try:
            yield Door(path, stop)
        finally:
            stop.set()


async def read_replies(stream: trio.SocketStream, methods: list[bytes]) -> list[tuple[int, bytes, bool]]:
    """Read one reply per request method as (status, body, whether the connection closes)."""
    buffer = b""
    replies = []
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        if buffer:
            client.receive_data(buffer)
        status, body, closes = 0, b"", False
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Response):
                status = event.status_code
                closes = (b"connection", b"close") in list(event.headers)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        buffer = client.trailing_data[0]
        replies.append((status, body, closes))
    return replies


async def read_reply(stream: trio.SocketStream, method: bytes = b"POST") -> tuple[int, bytes, bool]:
    """Read one reply."""
    return (await read_replies(stream, [method]))[0]


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """Read until the peer has closed."""
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data
