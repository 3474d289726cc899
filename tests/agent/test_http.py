"""The HTTP door by itself: real sockets, no service behind it."""

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import msgspec
import pytest
import trio
import trio.testing

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


async def test_answers_carry_the_length_the_date_and_what_the_handle_said(short_directory: Path) -> None:
    """A reply has the status, headers and body of the handle, and the headers HTTP wants."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(post(b"hello", b"Connection: close\r\n"))
        head, _, body = (await read_to_end(stream)).partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert lines[0].startswith(b"http/1.1 200")
        assert {line.split(b":")[0] for line in lines[1:]} == {
            b"server",
            b"date",
            b"content-length",
            b"content-type",
            b"connection",
        }
        assert body == b"POST / hello"


async def test_a_connection_serves_many_requests(short_directory: Path) -> None:
    """Keep-alive: one connection, one request after another."""
    async with serving(short_directory) as door, await door.connect() as stream:
        for number in range(20):
            await stream.send_all(post(b"%d" % number))
            assert await read_reply(stream) == (200, b"POST / %d" % number, False)


async def test_pipelined_requests_are_answered_in_order(short_directory: Path) -> None:
    """Requests sent at once are answered one by one, the last one too when it comes in two pieces."""
    async with serving(short_directory) as door, await door.connect() as stream:
        everything = post(b"one") + GET + post(b"three") + post(b"four")
        await stream.send_all(everything[:-2])
        assert await read_replies(stream, [b"POST", b"GET", b"POST"]) == [
            (200, b"POST / one", False),
            (200, b"GET /x ", False),
            (200, b"POST / three", False),
        ]
        await stream.send_all(everything[-2:])
        assert await read_reply(stream) == (200, b"POST / four", False)


@pytest.mark.parametrize("extra", [b"", b"Expect: 100-continue\r\n"])
async def test_a_request_may_come_byte_by_byte(short_directory: Path, extra: bytes) -> None:
    """How the bytes are cut into packets changes nothing."""
    async with serving(short_directory) as door, await door.connect() as stream:
        for byte in post(b"hello", extra):
            await stream.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        data = b""
        while not data.endswith(b"POST / hello"):
            data += await stream.receive_some()
        assert data.startswith(b"HTTP/1.1 100" if extra else b"HTTP/1.1 200")


async def test_a_chunked_body_is_joined(short_directory: Path) -> None:
    """A body in chunks arrives as one."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert await read_reply(stream) == (200, b"POST / abcde", False)


async def test_head_has_no_body(short_directory: Path) -> None:
    """HEAD is answered with the length but without the body, and the connection stays usable."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(b"HEAD /y HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert await read_replies(stream, [b"HEAD", b"GET"]) == [(200, b"", False), (200, b"GET /x ", False)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, id="not-http"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no-host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two-hosts"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, id="http-2"),
        pytest.param(b"GET / HTTP/1.1\r\n folded: b\r\nHost: a\r\n\r\n", 400, id="folded-first"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, id="negative-length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            id="two-lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, id="unknown-encoding"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, id="nul-in-header"),
        pytest.param(CHUNKED + b"xyz\r\n", 400, id="bad-chunk"),
        pytest.param(post(b"x" * 4097), 413, id="body-too-large"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            413,
            id="announced-too-large",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 5,
            413,
            id="chunks-too-large",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1020 + b"\r\n\r\n", 431, id="header-too-large"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000, 431, id="header-without-end"),
        pytest.param(b"GET /" + b"x" * 9000, 431, id="target-without-end"),
    ],
)
async def test_a_wrong_request_is_refused_and_the_connection_closed(
    short_directory: Path, sent: bytes, status: int
) -> None:
    """What is malformed or too large gets a status, a reason and the end; others are served on."""
    async with (
        serving(short_directory) as door,
        await door.connect() as stream,
        await door.connect() as other,
    ):
        await stream.send_all(sent)
        reply = await read_reply(stream)
        assert reply[0] == status
        assert reply[1]
        assert reply[2]
        assert await stream.receive_some() == b""
        await other.send_all(GET)
        assert (await read_reply(other))[0] == 200


async def test_a_body_of_exactly_the_limit_is_accepted(short_directory: Path) -> None:
    """The limit itself is allowed."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(post(b"x" * 4096))
        assert (await read_reply(stream))[0] == 200


async def test_a_refused_sender_gets_to_read_why(short_directory: Path) -> None:
    """A client that sends its whole oversized body before reading still sees the refusal, not a reset."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(post(b"x" * 1_000_000))
        assert (await read_reply(stream))[0] == 413


async def test_an_idle_connection_is_closed(
    short_directory: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A connection without a request ends after the idle time, without a word."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(GET)
        await read_reply(stream)
        start = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - start == pytest.approx(60)
    assert autojump_clock.current_time() > 0


@pytest.mark.parametrize("start", [b"PO", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxx"])
async def test_a_slow_request_is_refused(
    short_directory: Path, autojump_clock: trio.testing.MockClock, start: bytes
) -> None:
    """A request that trickles in is cut off after the request time, however steadily it comes."""
    async with serving(short_directory) as door, await door.connect() as stream:
        await stream.send_all(start)
        began = trio.current_time()
        with trio.move_on_after(9.5):
            while True:
                await stream.send_all(b"x")
                await trio.sleep(1)
        status, _, closes = await read_reply(stream)
        assert (status, closes) == (408, True)
        assert trio.current_time() - began == pytest.approx(10)
    assert autojump_clock.current_time() > 0


async def test_a_client_that_does_not_read_is_dropped(
    short_directory: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """An answer nobody takes does not hold the connection for ever."""

    async def large(_request: Request) -> Reply:
        await trio.lowlevel.checkpoint()
        return Reply(200, (), b"x" * 10_000_000)

    async with serving(short_directory, large) as door, await door.connect() as stream:
        await stream.send_all(GET)
        await trio.sleep(11)
        assert len(await read_to_end(stream)) < 10_000_000
    assert autojump_clock.current_time() > 0


async def test_a_client_that_leaves_early_harms_nobody(short_directory: Path) -> None:
    """Connections cut at any point of a request leave the server serving."""
    whole = post(b"hello")
    async with serving(short_directory) as door:
        for length in range(len(whole) + 1):
            async with await door.connect() as stream:
                await stream.send_all(whole[:length] or b"P")
        async with await door.connect() as stream:
            await stream.send_all(GET)
            assert (await read_reply(stream))[0] == 200


async def test_the_longest_idle_connection_makes_room(short_directory: Path) -> None:
    """At the limit a newcomer is served and the connection that was idle longest is closed."""
    async with serving(short_directory) as door:
        streams = []
        for _ in range(4):
            streams.append(await door.connect())
            await streams[-1].send_all(GET)
            await read_reply(streams[-1])
        await streams[0].send_all(GET)
        await read_reply(streams[0])
        newcomer = await door.connect()
        await newcomer.send_all(GET)
        assert (await read_reply(newcomer))[0] == 200
        assert await streams[1].receive_some() == b""
        await streams[0].send_all(GET)
        assert (await read_reply(streams[0]))[0] == 200
        for stream in [*streams, newcomer]:
            await stream.aclose()


async def test_stopping_finishes_what_runs_and_closes_what_is_idle(short_directory: Path) -> None:
    """A graceful stop answers the running request, says that the connection ends, and takes no new one."""
    running, finish = trio.Event(), trio.Event()

    async def wait(_request: Request) -> Reply:
        running.set()
        await finish.wait()
        return Reply(200, (), b"done")

    async with (
        serving(short_directory, wait) as door,
        await door.connect() as busy,
        await door.connect() as idle,
    ):
        await busy.send_all(GET)
        await running.wait()
        door.stop.set()
        assert await idle.receive_some() == b""
        with pytest.raises(OSError, match="refused"):
            await door.connect()
        finish.set()
        assert await read_reply(busy) == (200, b"done", True)
        assert await busy.receive_some() == b""


async def test_stopping_does_not_wait_for_ever(
    short_directory: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A request that does not end is given up after the stop time."""

    async def never(_request: Request) -> Reply:
        await trio.sleep_forever()
        raise AssertionError

    start = trio.current_time()
    async with serving(short_directory, never) as door:
        stream = await door.connect()
        await stream.send_all(GET)
        await trio.testing.wait_all_tasks_blocked()
        door.stop.set()
        assert await stream.receive_some() == b""
        await stream.aclose()
    assert trio.current_time() - start == pytest.approx(5)
    assert autojump_clock.current_time() > 0


async def test_an_error_of_our_own_ends_one_connection_only(
    short_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a handle is logged, ends its connection and nothing else."""

    async def broken(request: Request) -> Reply:
        if request.target == b"/x":
            raise RuntimeError("a bug")
        return await echo(request)

    async with serving(short_directory, broken) as door:
        async with await door.connect() as stream:
            await stream.send_all(GET)
            assert await stream.receive_some() == b""
        async with await door.connect() as stream:
            await stream.send_all(post(b""))
            assert (await read_reply(stream))[0] == 200
    assert [(record.name, record.levelno) for record in caplog.records] == [("agent.http", logging.ERROR)]


def test_secrets_stay_out_of_representations() -> None:
    """Neither bodies nor headers appear when a request or reply is printed."""
    request = Request(b"POST", b"/", ((b"authorization", b"secret"),), b"secret")
    assert "secret" not in repr(request) + repr(Reply(200, (), b"secret"))


def test_limits_are_what_the_configuration_calls_limits() -> None:
    """The server takes its limits from the configuration's own type, so that each one is settable."""
    assert set(msgspec.structs.asdict(LIMITS)) == {
        "connections",
        "header_bytes",
        "body_bytes",
        "idle_seconds",
        "request_seconds",
        "stop_seconds",
    }
