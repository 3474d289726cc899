"""``kms-agent serve --detach``: a second process that goes on, and the wait until it answers.

The child tells by the datagrams of sd_notify(3) that it is ready; until then, what it writes to its log is
shown here too.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import click

from agent.notify import READY, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_READY_SECONDS = 60
_MAX_WORDS_BYTES = 16 * 1024


def serve_in_background(arguments: Sequence[str], log_path: Path, passphrase: bytes | None) -> int:
    """Start ``kms-agent serve`` in a session of its own and wait until it is ready.

    Args:
        arguments: For the child's ``serve``.
        log_path: Where it writes what it has to say; appended to.
        passphrase: Handed over on its standard input, when there is one.

    Returns:
        0, or the exit status of a child that did not get ready, its words having been printed.
    """
    log_path.parent.mkdir(mode=0o700, exist_ok=True)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        said_before_bytes = os.fstat(log).st_size
        with tempfile.TemporaryDirectory(prefix="kms-agent-") as directory, _receiver(directory) as ready:
            child = subprocess.Popen(  # noqa: S603 - our own program, with arguments of our own
                [sys.executable, "-P", "-m", "agent", "serve", *arguments],
                stdin=subprocess.DEVNULL if passphrase is None else subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, VARIABLE: ready.getsockname()},
                start_new_session=True,
            )
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # it ended already; its words say why
                    child.stdin.write((passphrase or b"") + b"\n")
                    child.stdin.close()
            status = _wait(child, ready)
    finally:
        os.close(log)
    if status != 0:
        with log_path.open("rb") as words:
            words.seek(said_before_bytes)
            click.echo(words.read(_MAX_WORDS_BYTES), err=True, nl=False)
    return status


def _receiver(directory: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    receiver.bind(f"{directory}/ready")
    return receiver


def _wait(child: subprocess.Popen[bytes], ready: socket.socket) -> int:
    """Return 0 once the child is ready, or its exit status; a child that does neither is ended."""
    exited = os.pidfd_open(child.pid)
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while (remaining_seconds := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([ready.fileno(), exited], [], [], remaining_seconds)
            if ready.fileno() in readable and READY in ready.recv(4096).decode(errors="replace").split("\n"):
                child.returncode = 0  # it goes on without us
                return 0
            if exited in readable:
                return child.wait() or 1
    finally:
        os.close(exited)
    child.terminate()
    click.echo(f"kms-agent: not ready within {_READY_SECONDS} s; it was stopped", err=True)
    return child.wait() or 1
