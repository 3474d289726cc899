"""Going into the background."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_SECONDS = 30

SCRIPT = """
import os, sys
from kmsfs.daemonize import StartFailedError, become_daemon
try:
    start = become_daemon()
except StartFailedError as error:
    sys.exit(error.exit_code)
if start is None:
    print("parent returns", flush=True)
    sys.exit(0)
print("child speaks", file=sys.stderr, flush=True)
"""

SERVES = """
start.ready()
print("nobody hears this", flush=True)
with open(sys.argv[1], "w") as told:
    print(os.getcwd(), os.getsid(0) == os.getpid(), file=told)
    print(*(os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)), file=told)
os.read(int(sys.argv[2]), 1)
"""


def test_parent_returns_when_the_child_is_ready(tmp_path: Path) -> None:
    """The parent succeeds once the child is ready; the child has left its terminal, session and directory."""
    told = tmp_path / "told"
    read_fd, write_fd = os.pipe()
    try:
        # Were the child to hold on to the pipes of its output, this would wait for it until the time is up.
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT + SERVES, str(told), str(read_fd)],
            pass_fds=[read_fd],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    finally:
        os.close(write_fd)
        os.close(read_fd)
    assert (result.returncode, result.stdout, result.stderr) == (0, "parent returns\n", "child speaks\n")
    assert told.read_text() == "/ True\n/dev/null /dev/null /dev/null\n"


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", 128 + 9), ("sys.exit(0)", 1)],
)
def test_parent_fails_as_the_child_did(end: str, exit_code: int) -> None:
    """What the child prints before it is ready is seen, and the parent's exit code is the child's."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT + end],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (exit_code, "", "child speaks\n")


def test_interrupting_the_parent_ends_the_child(tmp_path: Path) -> None:
    """Ctrl-C while the mount is still starting takes back the start."""
    told = tmp_path / "told"
    script = (
        SCRIPT + "open(sys.argv[1], 'w').write(str(os.getpid())); print('up', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(told)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        child = os.pidfd_open(int(told.read_text()))
        process.send_signal(signal.SIGINT)
        ended, _, _ = select.select([child], [], [], PATIENCE_SECONDS)
        os.close(child)
        assert ended
        assert process.wait(PATIENCE_SECONDS) != 0
