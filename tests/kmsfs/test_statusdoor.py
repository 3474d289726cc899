"""The door at which a running mount tells its status."""

from __future__ import annotations

import errno
import json
import pwd
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from agent.client import AgentUnavailableError
from kmsfs import refusals, statusdoor
from kmsfs.cli.exits import explain
from kmsfs.errors import CorruptFileError, CorruptVolumeError, KeyUnavailableError
from kmsfs.jobs import Call, Progress


def counting(line: bytes) -> statusdoor.Conversation:
    """Answer as a mount does: some lines, a call in another thread, a turn of others, an ending."""
    request = json.loads(line)
    threads: list[int] = []
    yield b'{"progress": {"half": true}}\n'
    yield Call(lambda: threads.append(threading.get_ident()))
    yield None
    assert threads != [threading.get_ident()]
    if request["ask"] == "nonsense":
        yield json.dumps(refusals.spell(KeyUnavailableError("no such key"))).encode() + b"\n"
    else:
        yield json.dumps({"done": True, "asked": request["ask"]}).encode() + b"\n"


@asynccontextmanager
async def answering(path: Path, converse: Callable[[bytes], statusdoor.Conversation]) -> AsyncIterator[None]:
    """Have somebody behind a door."""
    with statusdoor.listening(path) as door:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(statusdoor.answer, door, converse)
            yield
            nursery.cancel_scope.cancel()


async def test_answers_with_what_is_so_now(short_directory: Path) -> None:
    """Each asker gets the report of that moment."""
    path = short_directory / "run" / "0-57.sock"
    counter = iter(range(10))

    def converse(line: bytes) -> statusdoor.Conversation:
        assert json.loads(line) == {"ask": "status"}
        yield json.dumps({"count": next(counter)}).encode() + b"\n"

    async with answering(path, converse):
        assert await trio.to_thread.run_sync(statusdoor.ask, path) == {"count": 0}
        assert await trio.to_thread.run_sync(statusdoor.ask, path) == {"count": 1}


def commanded(path: Path, ask: str) -> tuple[list[Progress], Mapping[str, object]]:
    """Have a mount do something; return what it told meanwhile and in the end."""
    told = []
    doing = statusdoor.command(path, {"ask": ask})
    while True:
        try:
            told.append(next(doing))
        except StopIteration as end:
            return told, end.value


async def test_commands_tell_how_far_they_are(short_directory: Path) -> None:
    """What a job tells comes before what it ends with, and an error arrives as the one that was raised."""
    path = short_directory / "0-57.sock"
    async with answering(path, counting):
        done = await trio.to_thread.run_sync(commanded, path, "something")
        assert done == ([{"half": True}], {"asked": "something"})
        with pytest.raises(KeyUnavailableError, match="no such key"):
            await trio.to_thread.run_sync(commanded, path, "nonsense")


async def test_who_goes_away_ends_the_conversation(short_directory: Path) -> None:
    """A job whose asker has gone is closed where it stands, and the next asker is served."""
    path = short_directory / "0-57.sock"
    closed = trio.Event()

    def converse(line: bytes) -> statusdoor.Conversation:
        try:
            while b"on and on" in line:
                yield b"x" * 100_000 + b"\n"
            yield b'{"done": true}\n'
        finally:
            closed.set()

    def go_away() -> None:
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(path))
            asker.sendall(b'{"ask": "on and on"}\n')
            assert asker.recv(1)

    async with answering(path, converse):
        await trio.to_thread.run_sync(go_away)
        await closed.wait()
        assert await trio.to_thread.run_sync(commanded, path, "end") == ([], {})


SAID = {"nothing": b"", "no line": b'{"ask": "status"}', "more than a line may have": b"x" * 70_000}


@pytest.mark.parametrize("said", SAID)
async def test_who_says_no_line_is_not_answered(said: str, short_directory: Path) -> None:
    """Whoever hangs up before a line has ended, or says too long a one, is let go."""
    path = short_directory / "0-57.sock"

    def converse(line: bytes) -> statusdoor.Conversation:
        raise AssertionError(line)

    def talk() -> bytes:
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(path))
            asker.sendall(SAID[said])
            asker.shutdown(socket.SHUT_WR)
            try:
                return asker.recv(1)
            except ConnectionResetError:
                return b""

    async with answering(path, converse):
        assert await trio.to_thread.run_sync(talk) == b""


def test_no_mount_behind_the_door(short_directory: Path) -> None:
    """A command at a door that is not there, or that nobody answers, says so."""
    path = short_directory / "0-57.sock"
    with pytest.raises(statusdoor.NoAnswerError, match="does not answer"):
        commanded(path, "something")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(statusdoor.NoAnswerError, match="does not answer"):
        commanded(path, "something")


async def test_a_job_may_be_refused_by_the_system(short_directory: Path) -> None:
    """What the store refuses to the mount is not taken for the door being closed to us, nor for its end."""
    path = short_directory / "0-57.sock"

    def converse(line: bytes) -> statusdoor.Conversation:
        yield json.dumps(refusals.spell(PermissionError(errno.EACCES, line.decode()))).encode() + b"\n"

    async with answering(path, converse):
        with pytest.raises(PermissionError, match="something"):
            await trio.to_thread.run_sync(commanded, path, "something")

    def hang_up(line: bytes) -> statusdoor.Conversation:
        yield b'{"progress": {"of": ' + line + b"}}\n"

    async with answering(path, hang_up):
        with pytest.raises(statusdoor.NoAnswerError, match="ended before"):
            await trio.to_thread.run_sync(commanded, path, "something")


ERRORS = (
    KeyUnavailableError("why"),
    CorruptVolumeError("why"),
    CorruptFileError(5, None, "truncated"),
    AgentUnavailableError("unix:///nowhere", "nobody there"),
    OSError(errno.ENOENT, "No such file", b"/a\xff"),
    OSError("without a number"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_arrive_as_what_they_are(error: Exception) -> None:
    """The exit code and the message of a command are those that it would have without a mount."""
    arrived = refusals.read(json.loads(json.dumps(refusals.spell(error))))
    expected, found = explain(error), explain(arrived)
    assert found == expected or str(arrived) == "without a number"


def test_unforeseen_errors_are_bugs() -> None:
    """What nobody foresaw on the mount is no user's error here either."""
    assert explain(refusals.read({"error": "ZeroDivisionError"})) is None


def test_only_its_owner_may_ask(short_directory: Path) -> None:
    """The socket and its directory are closed to others from the first moment."""
    path = short_directory / "run" / "0-57.sock"
    with statusdoor.listening(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_left_socket_is_replaced(short_directory: Path) -> None:
    """A socket that a killed mount has left is no obstacle, and asking it gives nothing."""
    path = short_directory / "0-57.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert statusdoor.ask(path) is None
    with statusdoor.listening(path), socket.socket(socket.AF_UNIX) as asker:
        asker.connect(str(path))
    assert not path.exists()


def test_the_next_ones_socket_stays(short_directory: Path) -> None:
    """A mount that is ending leaves alone what the next mount with its device number has put there."""
    path = short_directory / "0-57.sock"
    with statusdoor.listening(path):
        following = statusdoor.listening(path)
        following.__enter__()
    assert path.is_socket()
    following.__exit__(None, None, None)
    assert not path.exists()


@pytest.mark.parametrize("said", [b"", b"nonsense", b"[1]", b'{"cut": ', b"\xff"])
def test_nonsense_is_no_answer(said: bytes) -> None:
    """Something else that listens there is taken for silence."""
    assert statusdoor.parse(said) is None


def test_nobody_there(tmp_path: Path) -> None:
    """No socket is silence too."""
    assert statusdoor.ask(tmp_path / "none.sock") is None


def test_where_roots_lies() -> None:
    """Root's doors have one fixed place, so that every session of root finds them."""
    assert statusdoor.socket_path(0, "0:57", {"XDG_RUNTIME_DIR": "/run/user/0"}) == Path(
        "/run/kmsfs/0-57.sock"
    )


def test_where_a_users_lies() -> None:
    """Without a runtime directory from the system, a user's doors lie below the home directory."""
    path = statusdoor.socket_path(65534, "0:57", {"XDG_RUNTIME_DIR": "relative"})
    assert path == Path(pwd.getpwuid(65534).pw_dir) / ".local/state/kmsfs/run/0-57.sock"
