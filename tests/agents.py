"""A kms-agent process of a test's own. Knows the command line of kms-agent and its client, nothing inside."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from agent.client import AgentClient, AgentUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 60
COMMAND_SECONDS = 120
_OWN_VARIABLES = ("KMS_AGENT_URL", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "NOTIFY_SOCKET")
_PROGRAM = (sys.executable, "-P", "-m", "agent")


class RunningAgent:
    """A kms-agent process with state, socket and home of its own, to be stopped, killed and started again.

    ``environ`` makes every program started with it a user of this agent: it has none of the developer's
    own XDG directories. ``url`` is what ``kms-agent --agent`` and ``kmsfs --agent`` take.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
        self.environ |= {
            "HOME": str(directory),
            "XDG_STATE_HOME": str(directory / "state"),
            "XDG_RUNTIME_DIR": str(directory),
        }
        self.state_directory = directory / "state" / "kms-agent"
        self.audit_path = self.state_directory / "log" / "audit.jsonl"
        self.socket_path = directory / "kms-agent" / "agent.sock"
        self.url = f"unix://{self.socket_path}"
        self.log_path = directory / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running agent."""
        assert self._process is not None, "the agent is not running"
        return self._process.pid

    def start(self, *arguments: str) -> None:
        """Start the agent, with a new key file the first time, and wait until it is ready."""
        assert self._process is None, "the agent is running"
        address = self.directory / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self.log_path.open("ab") as log:
            ready.bind(str(address))
            ready.settimeout(0.1)
            self._process = subprocess.Popen(
                # Should the tests themselves be killed, the agent goes with them.
                ["setpriv", "--pdeathsig", "KILL", *_PROGRAM, "serve", "--init", *arguments],
                env=self.environ | {"NOTIFY_SOCKET": str(address)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            for _ in range(START_SECONDS * 10):
                try:
                    assert ready.recv(4096) == b"READY=1"
                except TimeoutError:
                    assert self._process.poll() is None, f"the agent ended:\n{self.log_path.read_text()}"
                else:
                    return
        raise AssertionError(f"the agent was not ready in time:\n{self.log_path.read_text()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the agent gracefully; it must succeed at that."""
        assert self.end(number) == 0, self.log_path.read_text()

    def kill(self) -> None:
        """End the agent with SIGKILL, in the middle of whatever it does."""
        self.end(signal.SIGKILL)

    def end_started(self) -> None:
        """End an agent that something else started on this agent's socket, if there is one."""
        with self.client() as client:
            try:
                client.status()
            except AgentUnavailableError:
                return
            pid = client.peer_pid()
        assert pid is not None
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], STOP_SECONDS)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """End whatever is left of it."""
        if self._process is not None:
            self.kill()
        if self.log_path.exists():
            print(self.log_path.read_text())  # noqa: T201 - shown when the test failed

    def client(self, *, timeout_seconds: float = 30) -> AgentClient:
        """Return a client of this agent."""
        return AgentClient(self.url, timeout_seconds=timeout_seconds)

    def command(self, *arguments: str, words: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``kms-agent`` as this agent's user would; ``words`` go to its standard input."""
        return subprocess.run(
            [*_PROGRAM, *arguments],
            env=self.environ,
            input=words,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait, and return the exit status."""
        assert self._process is not None, "the agent is not running"
        self._process.send_signal(number)
        status = self._process.wait(STOP_SECONDS)
        self._process = None
        return status
