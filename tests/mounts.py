"""A kmsfs volume on a real mount, for tests: made, mounted, killed and taken down by the real program.

The filesystem process runs in the foreground as a child of the test, so that a test can end it in any way and
nothing outlives the test. Knows the command line of kmsfs and nothing of its inside.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 60
"""How long a test waits for something that takes well under a second."""


def program(name: str) -> str:
    """Return one of this project's programs, as installed beside the running interpreter."""
    return str(Path(sys.executable).with_name(name))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition()` holds.

    Raises:
        TimeoutError: it does not in good time; the message says `what` was waited for.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


def is_told(ready: socket.socket) -> bool:
    """Say whether the program has sent the word that it is ready: sd_notify(3).

    The mount is there earlier, but the program still looks at it itself, and so it cannot be unmounted yet.
    """
    try:
        return ready.recv(4096).startswith(b"READY=1")
    except BlockingIOError:
        return False


class MountFailedError(Exception):
    """`kmsfs mount` ended without a mount; the message is what it printed."""

    def __init__(self, exit_code: int, output: str) -> None:
        super().__init__(f"exit code {exit_code}: {output}")
        self.exit_code = exit_code
        self.output = output


class Volume:
    """One volume: `backing` holds ciphertext, `path` is where it is mounted."""

    def __init__(
        self,
        directory: Path,
        agent_url: str,
        mount_options: Sequence[str] = (),
        key_options: Sequence[str] = (),
    ) -> None:
        self.backing = directory / "backing"
        self.path = directory / "mount"
        self.log_path = directory / "mount.log"
        self.agent_url = agent_url
        self.mount_options = list(mount_options)
        self.key_options = list(key_options)
        self.process: subprocess.Popen[bytes] | None = None
        self.backing.mkdir()
        self.path.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the commands: the caller's, with this test's agent in it."""
        return {**os.environ, "KMS_AGENT_URL": self.agent_url}

    def kmsfs(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a kmsfs command to its end and return what it printed; the caller judges the exit code."""
        return subprocess.run(
            [program("kmsfs"), *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=PATIENCE_SECONDS,
        )

    def make(self, *options: str) -> None:
        """Run `kmsfs init` on the backing directory."""
        result = self.kmsfs("init", self.backing, *options, *self.key_options)
        assert result.returncode == 0, result.stderr

    def mount(self) -> None:
        """Mount in the foreground and wait until the mount answers.

        Raises:
            MountFailedError: the program ended instead.
        """
        assert self.process is None
        options = [word for option in self.mount_options for word in ("-o", option)]
        command = ["setpriv", "--pdeathsig", "TERM", program("kmsfs"), "mount", "-f", *options]
        command += [*self.key_options, str(self.backing), str(self.path)]
        address = self.log_path.with_name("notify")
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self.log_path.open("wb") as log:
            ready.bind(str(address))
            ready.settimeout(0)
            process = subprocess.Popen(
                command,
                env=self.environment | {"NOTIFY_SOCKET": str(address)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            self.process = process
            wait_until(lambda: process.poll() is not None or is_told(ready), "the mount")
        if process.poll() is not None:
            self.process = None
            raise MountFailedError(process.returncode, self.log_path.read_text())

    def unmount(self) -> None:
        """Unmount, and wait until the filesystem process has ended cleanly."""
        process = self.process
        assert process is not None
        subprocess.run(["fusermount3", "-u", str(self.path)], check=True, timeout=PATIENCE_SECONDS)
        assert process.wait(PATIENCE_SECONDS) == 0, self.log_path.read_text()
        self.process = None

    def remount(self) -> None:
        """Unmount and mount again: nothing is remembered but what is on the backing directory."""
        self.unmount()
        self.mount()

    def kill(self) -> None:
        """End the filesystem process with SIGKILL, as a crash would, and detach the dead mount."""
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
        self._detach()

    def close(self) -> None:
        """Take everything down, whatever state it is in."""
        process, self.process = self.process, None
        self._detach()
        if process is not None:
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _detach(self) -> None:
        """Unmount even a dead or busy mount; the filesystem process then ends by itself."""
        subprocess.run(["fusermount3", "-uz", str(self.path)], check=False, capture_output=True)


@contextmanager
def volume(
    directory: Path,
    agent_url: str,
    *,
    init_options: Sequence[str] = (),
    mount_options: Sequence[str] = (),
    key_options: Sequence[str] = (),
) -> Iterator[Volume]:
    """Make and mount a volume below `directory`, and take it down afterwards."""
    made = Volume(directory, agent_url, mount_options, key_options)
    try:
        made.make(*init_options)
        made.mount()
        yield made
    finally:
        made.close()
