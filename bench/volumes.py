"""A volume of one system: made, mounted, taken down, with nothing left behind whatever happens.

The filesystem's process stays in the foreground, so that it can be measured and surely ended; one that hangs
is killed when its time is over, which fails the stage that waits for it. Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from measuring import run
from slowstore import SlowStore
from systems import START_SECONDS, System, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from measuring import Store

UNMOUNT_TRIES = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where volumes are made.

    Attributes:
        directory: is made for each volume, and removed with it.
        scratch: a directory of the whole run.
        limit_seconds: how long a volume may be in use.
    """

    directory: Path
    scratch: Path
    limit_seconds: float


class Volume:
    """A new volume of one system, mounted; a context manager that leaves nothing behind.

    Args:
        system: the filesystem.
        place: where.
        slow: whether its backing directory lies on a slow store.
    """

    def __init__(self, system: System, place: Place, *, slow: bool = False) -> None:
        self._system = system
        self._place = place
        self._slow = slow
        self._backing = place.directory / "backing"
        self._mountpoint = place.directory / "mountpoint"
        self._output = place.directory / "output"
        self._process: subprocess.Popen[bytes] | None = None
        self._store: SlowStore | None = None
        self._stack = ExitStack()
        self.path = self._mountpoint
        self.scratch = place.scratch
        self.ran_out_of_time = False

    @property
    def store(self) -> Store:
        """See `MountedVolume`."""
        if self._store is None:
            raise AssertionError("the stage did not ask for a slow store")
        return self._store

    def __enter__(self) -> Self:
        """Make the volume and mount it."""
        with self._stack as stack:
            stack.callback(shutil.rmtree, self._place.directory)
            self._backing.mkdir(parents=True)
            self._mountpoint.mkdir()
            if self._slow:
                held = self._place.directory / "held"
                held.mkdir()
                self._store = stack.enter_context(SlowStore(held, self._backing))
            stack.callback(self._unmount)
            self._system.make(self._backing)
            self._mount()
            timer = threading.Timer(self._place.limit_seconds, self._give_up)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Unmount, and remove everything."""
        try:
            self._stack.close()
        except RuntimeError:
            # Whoever interrupts a stage leaves a file open, which keeps it from being unmounted otherwise.
            if kind is not KeyboardInterrupt:
                raise

    def remount(self) -> None:
        """See `MountedVolume`."""
        self._unmount()
        self._mount()

    def resident_bytes(self) -> int:
        """See `MountedVolume`."""
        if self._process is None:
            return 0
        fields = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """See `MountedVolume`."""
        if self._process is None:
            return 0
        # The clock of another process, as clock_getcpuclockid(3) numbers it; /proc counts in hundredths.
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def importing(self, source: Path) -> Callable[[], object]:
        """See `MountedVolume`."""
        command = self._system.import_command(source, self._backing)
        return self._transfer(command, ["cp", "-a", f"{source}/.", str(self.path)])

    def exporting(self, destination: Path) -> Callable[[], object]:
        """See `MountedVolume`."""
        command = self._system.export_command(self._backing, destination)
        return self._transfer(command, ["cp", "-a", f"{self.path}/.", str(destination)])

    def _transfer(self, command: list[str] | None, by_copying: list[str]) -> Callable[[], object]:
        if command is None:
            return lambda: run(by_copying)
        self._unmount()
        return lambda: run(command, environment={**os.environ, **self._system.environment()})

    def _mount(self) -> None:
        command = self._system.mount_command(self._backing, self._mountpoint)
        if command is None:
            self.path = self._backing
            return
        environment = {**os.environ, **self._system.environment()}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the benchmark, which then unmounts in order
            )
        if self._process.stdin is not None:
            with self._process.stdin as typed:
                typed.write(self._system.typed)
        try:
            wait_until(self._process, self._is_ready)
        except RuntimeError as error:
            lines = self._output.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"{error}: {lines[-1]}" if lines else str(error)) from None

    def _is_ready(self) -> bool:
        return self._system.ready_line in self._output.read_bytes() and self._mountpoint.is_mount()

    def _give_up(self) -> None:
        self.ran_out_of_time = True
        if self._process is not None:
            self._process.kill()

    def _unmount(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            unmount(self._mountpoint)
            process.wait(START_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            subprocess.run(
                ["fusermount3", "-u", "-z", "-q", str(self._mountpoint)], check=False, capture_output=True
            )


def unmount(mountpoint: Path) -> None:
    """Unmount, after waiting a little for whoever is still there.

    Raises:
        RuntimeError: somebody stays.
    """
    for attempt in range(UNMOUNT_TRIES):
        if not _is_mounted(mountpoint):
            return
        result = subprocess.run(
            ["fusermount3", "-u", str(mountpoint)], check=False, capture_output=True, text=True
        )
        if result.returncode == 0:
            return
        if attempt == UNMOUNT_TRIES - 1:
            raise RuntimeError(result.stderr.strip())
        time.sleep(0.1)


def _is_mounted(mountpoint: Path) -> bool:
    """Ask the kernel's table, since a mount whose process has gone answers nothing."""
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return any(line.split(" ")[4] == str(mountpoint) for line in table.splitlines())
