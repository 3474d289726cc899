"""The HTTP door: idle and slow clients, crowds, the graceful stop, and errors of our own."""

import logging
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.http import Reply, Request
from doors import GET, echo, post, read_reply, read_to_end, serving


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
