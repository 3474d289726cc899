"""An agent that hangs, is slow, dies at the wrong moment or cannot open its keys: commands say so and end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import trees
from agents import RunningAgent
from backgrounds import PATIENCE_SECONDS, Place
from injecting import traced
from kmsfs.cli.codes import ExitCode
from mounts import wait_until

OF_TRACING = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("strace") is None, reason="traces the agent with strace, as root"
)


def begin(place: Place, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a kmsfs command and do not wait for it."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kmsfs", *map(str, arguments)],
        env=place.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def has_connected(process: subprocess.Popen[str]) -> bool:
    """Say whether a command has opened a socket: before it mounts, that is the agent's."""
    links = Path(f"/proc/{process.pid}/fd")
    try:
        return any(os.readlink(link).startswith("socket:") for link in links.iterdir())
    except FileNotFoundError:
        return False


def test_agent_hangs(own_volume: Place, running_agent: RunningAgent) -> None:
    """Commands give up on an agent that does not answer, having changed nothing; a mount works on."""
    mounted = own_volume.directory / "mounted"
    running = own_volume.directory / "running"
    running.mkdir()
    assert own_volume.kmsfs("init", mounted).returncode == 0
    assert own_volume.kmsfs("mount", mounted, running).returncode == 0
    before = trees.snapshot(own_volume.ciphertext)
    os.kill(running_agent.pid, signal.SIGSTOP)
    try:
        commands = [
            begin(own_volume, "mount", own_volume.ciphertext, own_volume.mountpoint),
            begin(own_volume, "init", own_volume.directory / "new"),
        ]
        for number in range(100):
            (running / f"{number}").write_bytes(b"written meanwhile")
        for command in commands:
            _, said = command.communicate(timeout=PATIENCE_SECONDS)
            assert command.returncode == ExitCode.NO_AGENT, said
            assert "in time" in said
            assert running_agent.url in said
    finally:
        os.kill(running_agent.pid, signal.SIGCONT)
    assert trees.snapshot(own_volume.ciphertext) == before
    assert not list((own_volume.directory / "new").glob("*"))
    assert (running / "99").read_bytes() == b"written meanwhile"
    assert own_volume.kmsfs("umount", running).returncode == 0
    assert own_volume.mount().returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="looks at the descriptors of a process that is not dumpable")
def test_agent_dies_while_mounting(own_volume: Place, running_agent: RunningAgent) -> None:
    """A mount whose agent is killed between question and answer fails, and leaves everything as it was."""
    before = trees.snapshot(own_volume.ciphertext)
    os.kill(running_agent.pid, signal.SIGSTOP)
    command = begin(own_volume, "mount", "-f", own_volume.ciphertext, own_volume.mountpoint)
    try:
        wait_until(lambda: has_connected(command) or command.poll() is not None, "the connection")
    finally:
        running_agent.kill()
    _, said = command.communicate(timeout=PATIENCE_SECONDS)
    assert command.returncode == ExitCode.NO_AGENT, said
    assert running_agent.url in said
    assert trees.snapshot(own_volume.ciphertext) == before
    running_agent.start()
    assert own_volume.mount().returncode == 0


@OF_TRACING
def test_agent_is_slow(own_volume: Place, running_agent: RunningAgent) -> None:
    """An agent that takes its time is waited for."""
    log = own_volume.directory / "log"
    with traced(running_agent.pid, ("sendto", "sendmsg"), log, "delay_enter=300000") as trace:
        mounted = own_volume.mount()
    assert mounted.returncode == 0, mounted.stderr
    assert trace.calls()
    (own_volume.mountpoint / "file").write_bytes(b"content")
    assert own_volume.umount().returncode == 0


def test_agent_cannot_open_its_keys(make_agent: Callable[[], RunningAgent]) -> None:
    """Where the user's own agent does not start for want of its passphrase, its own words are shown."""
    agent = make_agent()
    made = agent.command("init", "--passphrase-file", "-", words="correct horse battery staple\n")
    assert made.returncode == 0, made.stderr
    directory = agent.directory / "place"
    directory.mkdir()
    place = Place(directory, agent.environ)
    result = place.kmsfs("init", place.ciphertext)
    assert result.returncode == ExitCode.NO_AGENT
    assert "passphrase" in result.stderr
    assert not list(directory.rglob("volume.yaml"))
