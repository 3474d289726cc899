"""The Unix socket an agent listens on: made with its final mode, never taken from a living agent.

Owns the socket file, its directory and its lock. Knows nothing of what is said on it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BACKLOG = 1024


class ListenError(Exception):
    """The socket cannot be had; the message says why and what to do next."""


@contextmanager
def listening(path: Path, mode: int) -> Iterator[socket.socket]:
    """Listen on a Unix socket, and remove it at the end.

    A lock file beside the socket is held meanwhile, so that of two agents starting at once one gives
    way; a socket left behind by a killed agent is replaced. Changes the umask for a moment: call it
    before there are threads.

    Args:
        path: The socket; at most 107 bytes (sockaddr_un). Its directory is made when absent.
        mode: Permission bits of the socket; the directory is searchable by others if the socket is.

    Raises:
        ListenError: Somebody else listens there, or the place cannot be used.
    """
    with _reported(path):
        _make_directory(path.parent, 0o755 if mode & 0o077 else 0o700)
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with _reported(path):
            listener = _bind(path, mode, lock)
        with listener:
            made = path.lstat()
            try:
                yield listener
            finally:
                _remove(path, made)
    finally:
        os.close(lock)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ListenError(f"cannot listen on {path}: {error.strerror}; choose another socket") from error


def _bind(path: Path, mode: int, lock: int) -> socket.socket:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ListenError(f"another agent serves {path}; see: kms-agent status") from None
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _umask(0o777 & ~mode):
            listener.bind(str(path))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket nobody answers on; anything else there is not ours to remove."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(f"{path} is there and is no socket; move it away or choose another socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, with a full backlog
    raise ListenError(f"something that is not this agent answers on {path}; stop it or choose another socket")


def _make_directory(directory: Path, mode: int) -> None:
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _umask(0):
        directory.mkdir(mode=mode, exist_ok=True)


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _remove(path: Path, made: os.stat_result) -> None:
    """Remove the socket file, unless somebody put another one in its place."""
    try:
        found = path.lstat()
        if (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino):
            path.unlink()
    except FileNotFoundError:
        pass
