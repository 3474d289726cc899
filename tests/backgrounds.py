"""A kmsfs volume as people use it: mounted in the background, found by its status, unmounted by command.

Knows the command line of kmsfs and nothing of its inside.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agents import RunningAgent

PATIENCE_SECONDS = 60


class Place:
    """A ciphertext directory and a mount point below a directory of a test's own.

    Args:
        directory: empty.
        environ: of the commands; names the agent.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        # Where there is no system log, the log of a mount goes below this.
        self.environ = {"XDG_STATE_HOME": str(directory / "state"), **environ}
        self.ciphertext = directory / "ciphertext"
        self.mountpoint = directory / "mount"
        self.mountpoint.mkdir()
        # What the commands are started by, such as prlimit(1).
        self.starter: list[str] = []
        self._processes: list[int] = []

    def kmsfs(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a kmsfs command to its end."""
        return subprocess.run(
            [*self.starter, sys.executable, "-P", "-m", "kmsfs", *map(str, arguments)],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def init(self, *options: str) -> None:
        """Make the volume."""
        result = self.kmsfs("init", *options, self.ciphertext)
        assert result.returncode == 0, result.stderr

    def mount(self, *options: str, mountpoint: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Mount in the background; whether that went well is the caller's to judge."""
        where = mountpoint or self.mountpoint
        result = self.kmsfs("mount", *options, self.ciphertext, where)
        if result.returncode == 0:
            self._processes.append(os.pidfd_open(self.pid(where)))
        return result

    def umount(self) -> subprocess.CompletedProcess[str]:
        """Unmount; whether that went well is the caller's to judge."""
        return self.kmsfs("umount", self.mountpoint)

    def status(self, path: Path | None = None) -> dict[str, Any]:
        """Return the one object of `kmsfs status --json`."""
        result = self.kmsfs("status", "--json", path or self.mountpoint)
        assert result.returncode == 0, result.stderr
        (found,) = json.loads(result.stdout)
        assert isinstance(found, dict)
        return found

    def pid(self, mountpoint: Path | None = None) -> int:
        """Return the process behind a mount."""
        pid = self.status(mountpoint)["running"]["pid"]
        assert isinstance(pid, int)
        return pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process of the last mount."""
        signal.pidfd_send_signal(self._processes[-1], number)

    def has_ended(self) -> bool:
        """Wait for the process of the last mount to end; tell whether it has, in good time."""
        return bool(select.select([self._processes[-1]], [], [], PATIENCE_SECONDS)[0])

    def discard(self) -> None:
        """End every mount below the directory and every process behind one, whatever state they are in."""
        for line in reversed(_mounts_below(self.directory)):
            subprocess.run(["umount", "-l", "-c", line], check=False, capture_output=True)
        for process in self._processes:
            try:
                signal.pidfd_send_signal(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
            else:
                select.select([process], [], [], PATIENCE_SECONDS)
            os.close(process)


def user_of(agent: RunningAgent) -> dict[str, str]:
    """Return the environment of someone who names this agent, at whose own standard place there is none.

    So nothing starts another agent when a test has stopped this one.
    """
    environ = {name: value for name, value in agent.environ.items() if not name.startswith("XDG_")}
    return environ | {"KMS_AGENT_URL": agent.url}


def _mounts_below(directory: Path) -> list[str]:
    # Other mounts on the machine may be at paths in any bytes.
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as table:
        points = [line.split(" ")[1] for line in table]
    return [point for point in points if point.startswith(f"{directory}/")]
