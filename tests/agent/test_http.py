"""The HTTP door: requests as they come, requests as they should not come."""

from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from agent.http import Reply, Request
from doors import CHUNKED, GET, LIMITS, post, read_replies, read_reply, read_to_end, serving


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


async def test_requests_that_begin_alike_are_told_apart(short_directory: Path) -> None:
    """A head that came before goes with its own body: whole, in pieces, pipelined, on another connection."""
    async with serving(short_directory) as door:
        for _ in range(2):
            async with await door.connect() as stream:
                for body in (b"one", b"two", b"six"):
                    await stream.send_all(post(body))
                    assert (await read_reply(stream))[1] == b"POST / " + body
                await stream.send_all(post(b"ten")[:-1])
                await trio.testing.wait_all_tasks_blocked()
                await stream.send_all(b"n")
                assert (await read_reply(stream))[1] == b"POST / ten"
                await stream.send_all(post(b"odd") + post(b"end"))
                replies = await read_replies(stream, [b"POST", b"POST"])
                assert [body for _, body, _ in replies] == [b"POST / odd", b"POST / end"]


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
