"""Owns the door at which a running mount tells its status and takes commands: a Unix socket, both its ends.

A socket rather than a file that is rewritten now and then: what it tells is of this moment, an idle mount
writes nothing, and no answer means that the process hangs. It lies in the runtime directory of whoever
mounted and is named after the mount's device number, so the kernel's table of mounts leads to it. What is
said there, line by line, is `control`'s.
"""

import json
import os
import pwd
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from kmsfs import refusals
from kmsfs.errors import KmsfsError
from kmsfs.jobs import Call, Progress

_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
_TIMEOUT_SECONDS: Final = 3.0
_MAX_BYTES: Final = 64 * 1024
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
_BACKLOG: Final = 8
_MAX_CALLS: Final = 4

Conversation = Generator[bytes | Call | None, None, None]


class NoAnswerError(KmsfsError):
    """Nobody is behind the door of a mount, it is another user's, or the mount ended meanwhile."""


def socket_path(owner_uid: int, device: str, environ: Mapping[str, str]) -> Path:
    """Return where the mount with this device number ("major:minor"), made by this user, is asked.

    Root's are below /run/kmsfs; other users' below their runtime directory or, where the system gives them
    none, their state directory (XDG Base Directory Specification).
    """
    return _directory(owner_uid, environ) / f"{device.replace(':', '-')}.sock"


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Keep a socket at `path`, in the place of one that a mount with the same device number has left.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as door:
        # fchmod before bind(2) gives the name its mode from the first moment (unix(7), Linux).
        os.fchmod(door.fileno(), _MODE)
        door.bind(str(path))
        inode = path.stat().st_ino
        try:
            door.listen(_BACKLOG)
            yield door
        finally:
            # Once we are unmounted, the next mount has our device number and may have its door here.
            with suppress(FileNotFoundError):
                if path.stat().st_ino == inode:
                    path.unlink()


async def answer(door: socket.socket, converse: Callable[[bytes], Conversation]) -> None:
    """Hold a conversation with everybody who comes and says one line, until cancelled.

    When the other side goes away, the conversation is closed where it was.
    """
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(door))
    # Of their own, so that whatever is asked here keeps no program on the mount from a thread.
    threads = trio.CapacityLimiter(_MAX_CALLS)

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            line = b""
            with trio.move_on_after(_TIMEOUT_SECONDS):
                line = await _line(stream)
            if not line:
                return
            with closing(converse(line)) as conversation:
                for step in conversation:
                    await _do(step, stream, threads)

    await trio.serve_listeners(serve, [listener])


async def _line(stream: trio.SocketStream) -> bytes:
    """Return the first line that somebody says; empty where it is none."""
    said = b""
    while b"\n" not in said and len(said) < _MAX_BYTES and (part := await stream.receive_some(_MAX_BYTES)):
        said += part
    return said.partition(b"\n")[0] if b"\n" in said else b""


async def _do(step: bytes | Call | None, stream: trio.SocketStream, threads: trio.CapacityLimiter) -> None:
    if isinstance(step, bytes):
        await stream.send_all(step)
    elif step is not None:
        await trio.to_thread.run_sync(step.work, limiter=threads)
    else:
        await trio.lowlevel.checkpoint()


def ask(path: Path) -> dict[str, Any] | None:
    """Return what a mount tells of itself, or None when nobody answers (in time, or to us)."""
    try:
        with _asking(path, {"ask": "status"}) as door:
            lines = list(_lines(door, _MAX_BYTES))
    except OSError:
        return None
    return parse(lines[0]) if lines else None


def command(path: Path, request: Mapping[str, object]) -> Generator[Progress, None, Mapping[str, object]]:
    """Have a mount do something; yield what it tells of how far it is, return what it ends with.

    Raises:
        NoAnswerError: nobody is behind the door, it is another user's, or the mount ended meanwhile.
        Exception: what the job on the mount raised.
    """
    with ExitStack() as stack:
        try:
            door = stack.enter_context(_asking(path, request))
        except PermissionError:
            raise NoAnswerError("only root and the user who mounted it may command this mount") from None
        except OSError:
            raise NoAnswerError("the mount does not answer") from None
        # Connected and asked: what takes long now is work.
        door.settimeout(None)
        for line in _lines(door, _MAX_ANSWER_BYTES):
            told = parse(line) or {}
            if "progress" in told:
                yield told["progress"]
            elif "error" in told:
                raise refusals.read(told)
            elif told.pop("done", False):
                return told
    raise NoAnswerError("the mount ended before it was done")


@contextmanager
def _asking(path: Path, request: Mapping[str, object]) -> Iterator[socket.socket]:
    """Connect to a door and say one line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as door:
        door.settimeout(_TIMEOUT_SECONDS)
        door.connect(str(path))
        door.sendall(json.dumps(request).encode() + b"\n")
        yield door


def _lines(door: socket.socket, limit: int) -> Iterator[bytes]:
    """Yield the lines that are said, whole ones of at most `limit` bytes."""
    rest = b""
    with suppress(ConnectionError):
        while len(rest) < limit and (part := door.recv(_MAX_BYTES)):
            *whole, rest = (rest + part).split(b"\n")
            yield from whole


def parse(told: bytes) -> dict[str, Any] | None:
    """Return what was told; None when that is not one JSON object, whole."""
    try:
        report = json.loads(told)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def _directory(owner_uid: int, environ: Mapping[str, str]) -> Path:
    if owner_uid == 0:
        return Path("/run/kmsfs")
    # The environment speaks of the asker's own directories only.
    own = environ if owner_uid == os.geteuid() else {}
    for candidate in (own.get("XDG_RUNTIME_DIR", ""), f"/run/user/{owner_uid}"):
        if candidate.startswith("/") and Path(candidate).is_dir():
            return Path(candidate) / "kmsfs"
    return Path(own.get("HOME") or pwd.getpwuid(owner_uid).pw_dir) / ".local/state/kmsfs/run"
