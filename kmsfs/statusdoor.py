"""Owns the door at which a running mount tells its status: a Unix socket that writes one JSON object.

A socket rather than a file that is rewritten now and then: what it tells is of this moment, an idle mount
writes nothing, and no answer means that the process hangs. It lies in the runtime directory of whoever
mounted and is named after the mount's device number, so the kernel's table of mounts leads to it.
"""

import json
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
_TIMEOUT_SECONDS: Final = 3.0
_MAX_BYTES: Final = 64 * 1024
_BACKLOG: Final = 8


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


async def answer(door: socket.socket, report: Callable[[], Mapping[str, object]]) -> None:
    """Answer whoever asks, with what `report` returns at that moment, until cancelled."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(door))

    async def tell(stream: trio.SocketStream) -> None:
        with trio.move_on_after(_TIMEOUT_SECONDS):
            try:
                await stream.send_all(json.dumps(report()).encode())
            except trio.BrokenResourceError:
                return

    await trio.serve_listeners(tell, [listener])


def ask(path: Path) -> dict[str, Any] | None:
    """Return what a mount tells, or None when nobody answers (in time, or to us)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as door:
        door.settimeout(_TIMEOUT_SECONDS)
        parts: list[bytes] = []
        try:
            door.connect(str(path))
            while sum(map(len, parts)) < _MAX_BYTES and (part := door.recv(_MAX_BYTES)):
                parts.append(part)
        except OSError:
            return None
    return parse(b"".join(parts))


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
