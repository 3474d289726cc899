"""The agent's socket file."""

import os
import socket
import stat
from pathlib import Path

import pytest

from agent.listener import ListenError, listening


@pytest.mark.parametrize(
    ("mode", "directory_mode"), [(0o600, 0o700), (0o666, 0o755), (0o660, 0o755)], ids=["own", "all", "group"]
)
def test_socket_and_directory_have_their_final_mode(
    short_directory: Path, mode: int, directory_mode: int
) -> None:
    """Whatever the umask, the modes are those asked for; at the end the socket is gone."""
    path = short_directory / "run" / "agent.sock"
    before = os.umask(0o077)
    try:
        with listening(path, mode):
            assert stat.S_IMODE(path.lstat().st_mode) == mode
            assert stat.S_IMODE(path.parent.stat().st_mode) == directory_mode
            assert os.umask(0o077) == 0o077
        assert not path.exists()
    finally:
        os.umask(before)


def test_a_living_agent_keeps_its_socket(short_directory: Path) -> None:
    """A second agent on the same socket gives way, and the first one is not disturbed."""
    path = short_directory / "agent.sock"
    with listening(path, 0o600):
        with pytest.raises(ListenError, match="another agent serves"), listening(path, 0o600):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_socket_left_behind_is_replaced(short_directory: Path) -> None:
    """A socket file that nobody answers on, as after kill -9, is no obstacle."""
    path = short_directory / "agent.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listening(path, 0o600), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_somebody_elses_socket_is_left_alone(short_directory: Path) -> None:
    """A socket that another program answers on is not taken, though it holds no lock of ours."""
    path = short_directory / "agent.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        inode = path.lstat().st_ino
        with pytest.raises(ListenError, match="something that is not this agent"), listening(path, 0o600):
            pass
        assert path.lstat().st_ino == inode


def test_a_file_that_is_no_socket_is_left_alone(short_directory: Path) -> None:
    """A regular file in the socket's place is neither replaced nor removed."""
    path = short_directory / "agent.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="is no socket"), listening(path, 0o600):
        pass
    assert path.read_text() == "precious"


def test_a_successors_socket_is_not_removed(short_directory: Path) -> None:
    """An agent whose socket was replaced under it does not remove the new one."""
    path = short_directory / "agent.sock"
    with listening(path, 0o600):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


def test_an_impossible_place_is_reported(short_directory: Path) -> None:
    """A directory that cannot be made gives an error that names the socket."""
    (short_directory / "file").write_text("")
    path = short_directory / "file" / "agent.sock"
    with pytest.raises(ListenError, match=r"cannot listen on .*agent\.sock"), listening(path, 0o600):
        pass
