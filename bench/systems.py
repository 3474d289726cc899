"""What a filesystem under test is to the benchmark, this project's own, and none at all.

A system only says which commands make and mount it; `volumes` runs them. Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from measuring import run

if TYPE_CHECKING:
    from collections.abc import Callable

START_SECONDS = 60


class System(Protocol):
    """One filesystem under test."""

    name: str

    def make(self, backing: Path) -> None:
        """Create an empty volume in the existing, empty directory `backing`."""

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str] | None:
        """Return the command that serves the volume in the foreground, or None where nothing is mounted.

        Run by root, it lets other users in.
        """

    def import_command(self, source: Path, backing: Path) -> list[str] | None:
        """Return the command that brings a tree into a volume that is not mounted; None if there is none."""

    def export_command(self, backing: Path, destination: Path) -> list[str] | None:
        """Return the command that takes a volume's files out into a directory; None if there is none."""

    def environment(self) -> dict[str, str]:
        """Return what the commands need in their environment beside the caller's own."""

    def version(self) -> str:
        """Return the line that the program says about itself."""

    @property
    def typed(self) -> bytes:
        """What the mounting command reads from standard input."""

    @property
    def ready_line(self) -> bytes:
        """What the program prints once the mount may be used; empty if that is as soon as it is there."""


@dataclass
class WithoutCommands:
    """What a filesystem has that does nothing but mount."""

    def import_command(self, source: Path, backing: Path) -> list[str] | None:  # noqa: ARG002 - the protocol's
        """See `System`."""
        return None

    def export_command(self, backing: Path, destination: Path) -> list[str] | None:  # noqa: ARG002 - the protocol's
        """See `System`."""
        return None

    def environment(self) -> dict[str, str]:
        """See `System`."""
        return {}

    @property
    def typed(self) -> bytes:
        """See `System`."""
        return b""

    @property
    def ready_line(self) -> bytes:
        """See `System`."""
        return b""


@dataclass
class Native(WithoutCommands):
    """No filesystem at all: the backing directory itself, as the upper bound."""

    name: str = "native"

    def make(self, backing: Path) -> None:
        """See `System`."""

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str] | None:  # noqa: ARG002 - the protocol's
        """See `System`."""
        return None

    def version(self) -> str:
        """See `System`."""
        return "the backing directory itself, no encryption, no FUSE"


def own_program(name: str) -> str:
    """Return the path of one of this project's programs: beside the running interpreter, else on PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


@dataclass
class Kmsfs:
    """This project's filesystem under an agent of its own, which lives as long as the benchmark."""

    scratch: Path
    init_options: tuple[str, ...] = ()
    name: str = "kmsfs"
    typed: bytes = b""
    agent: subprocess.Popen[bytes] | None = field(default=None, init=False)
    commands: str = field(default="", init=False)

    @property
    def agent_url(self) -> str:
        """Where the benchmark's agent listens."""
        return f"unix://{self.scratch}/agent/agent.sock"

    def __enter__(self) -> Self:
        """Start the agent and wait until it answers."""
        self.commands = run([own_program("kmsfs"), "--help"])
        home = self.scratch / "agent"
        home.mkdir(mode=0o700)
        config = home / "agent.yaml"
        config.write_text(f"state_directory: {home}/state\nsocket: {home}/agent.sock\n")
        program = own_program("kms-agent")
        run([program, "init", "--config", str(config)])
        with (home / "log").open("wb") as log:
            self.agent = subprocess.Popen(
                [program, "serve", "--config", str(config)], stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until(self.agent, (home / "agent.sock").exists)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the agent."""
        if self.agent is not None:
            self.agent.terminate()
            self.agent.wait(START_SECONDS)

    def make(self, backing: Path) -> None:
        """See `System`."""
        command = [own_program("kmsfs"), "init", str(backing), *self.init_options]
        run(command, environment={**os.environ, **self.environment()})

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`; root's mounts let others in by themselves."""
        return [own_program("kmsfs"), "mount", "-f", str(backing), str(mountpoint)]

    def import_command(self, source: Path, backing: Path) -> list[str] | None:
        """See `System`."""
        if " import " not in self.commands:
            return None
        return [own_program("kmsfs"), "import", str(source), str(backing)]

    def export_command(self, backing: Path, destination: Path) -> list[str] | None:
        """See `System`."""
        if " export " not in self.commands:
            return None
        return [own_program("kmsfs"), "export", str(backing), str(destination)]

    def environment(self) -> dict[str, str]:
        """See `System`."""
        return {"KMS_AGENT_URL": self.agent_url}

    def version(self) -> str:
        """See `System`."""
        return run([own_program("kmsfs"), "--version"]).strip()

    @property
    def ready_line(self) -> bytes:
        """See `System`; its log says so, once it has told the kernel how far to read ahead."""
        return b" mounted "


def wait_until(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """Wait until `ready()` is true.

    Raises:
        RuntimeError: `process` ended first, or the time is over.
    """
    deadline = time.monotonic() + START_SECONDS
    name = Path(str(process.args[0] if isinstance(process.args, list) else process.args)).name
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with exit code {process.returncode} instead of mounting")
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{name} was not ready after {START_SECONDS} seconds")
        time.sleep(0.005)
