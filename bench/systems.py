"""The filesystems that the benchmark compares: how each is made, mounted and taken down.

A system only says which commands make and mount it; `Volume` runs them, always with the filesystem process in
the foreground, so that it can be measured and surely ended. Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable

MOUNT_SECONDS = 30
PASSPHRASE = "benchmark only"  # noqa: S105 - of volumes that live for seconds


class System(Protocol):
    """One filesystem under test."""

    name: str

    def make(self, backing: Path) -> None:
        """Create an empty volume in the existing, empty directory `backing`."""

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str] | None:
        """Return the command that serves the volume in the foreground, or None where nothing is mounted."""

    def environment(self) -> dict[str, str]:
        """Return what the commands need in their environment beside the caller's own."""

    def version(self) -> str:
        """Return the first line that the program says about itself."""

    @property
    def ready_line(self) -> bytes:
        """What the program prints once the mount may be used; empty if that is as soon as it is there."""


def first_line(command: list[str]) -> str:
    """Return the first line that `command` prints, or an empty string."""
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return lines[0] if lines else ""


@dataclass
class Gocryptfs:
    """The Debian package, with its defaults (AES-GCM by OpenSSL or Go, encrypted names)."""

    scratch: Path
    name: str = "gocryptfs"

    @property
    def passfile(self) -> Path:
        """Where the throw-away passphrase is kept."""
        return self.scratch / "passphrase"

    def make(self, backing: Path) -> None:
        """See `System`."""
        self.passfile.write_text(PASSPHRASE)
        command = [
            "gocryptfs",
            "-q",
            "-init",
            "-scryptn",
            "10",
            "-passfile",
            str(self.passfile),
            str(backing),
        ]
        subprocess.run(command, check=True)

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`."""
        return ["gocryptfs", "-fg", "-passfile", str(self.passfile), str(backing), str(mountpoint)]

    def environment(self) -> dict[str, str]:
        """See `System`."""
        return {}

    def version(self) -> str:
        """See `System`."""
        return first_line(["gocryptfs", "--version"])

    @property
    def ready_line(self) -> bytes:
        """See `System`; it opens its own mount first, and would wait for whoever changes it then."""
        return b"Filesystem mounted and ready."


@dataclass
class Plain:
    """No filesystem at all: the backing directory itself, as the upper bound."""

    name: str = "backing"

    def make(self, backing: Path) -> None:
        """See `System`."""

    def mount_command(self, backing: Path, mountpoint: Path) -> None:
        """See `System`."""

    def environment(self) -> dict[str, str]:
        """See `System`."""
        return {}

    def version(self) -> str:
        """See `System`."""
        return "no encryption, no FUSE"

    @property
    def ready_line(self) -> bytes:
        """See `System`."""
        return b""


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
    agent: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def agent_url(self) -> str:
        """Where the benchmark's agent listens."""
        return f"unix://{self.scratch}/agent/agent.sock"

    def __enter__(self) -> Self:
        """Start the agent and wait until it answers."""
        home = self.scratch / "agent"
        home.mkdir(mode=0o700)
        config = home / "agent.yaml"
        config.write_text(f"state_directory: {home}/state\nsocket: {home}/agent.sock\n")
        program = own_program("kms-agent")
        subprocess.run([program, "init", "--config", str(config)], check=True, stdout=subprocess.DEVNULL)
        self.agent = subprocess.Popen([program, "serve", "--config", str(config)], stdout=subprocess.DEVNULL)
        wait_until(self.agent, (home / "agent.sock").exists)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the agent."""
        if self.agent is not None:
            self.agent.terminate()
            self.agent.wait(MOUNT_SECONDS)

    def make(self, backing: Path) -> None:
        """See `System`."""
        command = [own_program("kmsfs"), "init", str(backing), *self.init_options]
        subprocess.run(
            command, check=True, env={**os.environ, **self.environment()}, stdout=subprocess.DEVNULL
        )

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`."""
        return [own_program("kmsfs"), "mount", "-f", str(backing), str(mountpoint)]

    def environment(self) -> dict[str, str]:
        """See `System`."""
        return {"KMS_AGENT_URL": self.agent_url}

    def version(self) -> str:
        """See `System`."""
        return first_line([own_program("kmsfs"), "--version"])

    @property
    def ready_line(self) -> bytes:
        """See `System`; its log says so, once it has told the kernel how far to read ahead."""
        return b" mounted "


def wait_until(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """Wait until `ready()` is true.

    Raises:
        RuntimeError: `process` ended first, or the time is over.
    """
    deadline = time.monotonic() + MOUNT_SECONDS
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{process.args!r} was not ready after {MOUNT_SECONDS} seconds")
        time.sleep(0.005)


class Volume:
    """A new volume of one system, mounted; a context manager that leaves nothing behind."""

    def __init__(self, system: System, directory: Path) -> None:
        self._system = system
        self._backing = directory / "backing"
        self._mountpoint = directory / "mountpoint"
        self._output = directory / "output"
        self._process: subprocess.Popen[bytes] | None = None
        self.path = self._mountpoint

    def __enter__(self) -> Self:
        """Make the volume and mount it."""
        self._backing.mkdir(parents=True)
        self._mountpoint.mkdir()
        self._system.make(self._backing)
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        """Unmount, and remove both directories."""
        self._unmount()
        shutil.rmtree(self._backing.parent)

    def remount(self) -> None:
        """Mount again, so that neither the kernel nor the filesystem remembers anything."""
        self._unmount()
        self._mount()

    def resident_bytes(self) -> int:
        """Return the resident memory of the filesystem process, or 0 where there is none."""
        if self._process is None:
            return 0
        fields = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def _mount(self) -> None:
        command = self._system.mount_command(self._backing, self._mountpoint)
        if command is None:
            self.path = self._backing
            return
        environment = {**os.environ, **self._system.environment()}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        wait_until(self._process, self._is_ready)

    def _is_ready(self) -> bool:
        return self._system.ready_line in self._output.read_bytes() and self._mountpoint.is_mount()

    def _unmount(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if self._mountpoint.is_mount():
                subprocess.run(["fusermount3", "-u", str(self._mountpoint)], check=True)
            process.wait(MOUNT_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
