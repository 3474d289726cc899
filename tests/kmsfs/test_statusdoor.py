"""The door at which a running mount tells its status."""

from __future__ import annotations

import pwd
import socket
from pathlib import Path

import pytest
import trio

from kmsfs import statusdoor


async def test_answers_with_what_is_so_now(short_directory: Path) -> None:
    """Each asker gets the report of that moment."""
    path = short_directory / "run" / "0-57.sock"
    counter = iter(range(10))
    with statusdoor.listening(path) as door:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(statusdoor.answer, door, lambda: {"count": next(counter)})
            assert await trio.to_thread.run_sync(statusdoor.ask, path) == {"count": 0}
            assert await trio.to_thread.run_sync(statusdoor.ask, path) == {"count": 1}
            nursery.cancel_scope.cancel()


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
