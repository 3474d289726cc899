"""One figure and how it is taken: wall-clock time, and beside it the processor time of the filesystem.

Knows neither what is measured nor which filesystem is below.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20


class Store(Protocol):
    """What can be asked of a slow backing store."""

    def delay(self, milliseconds: float) -> None:
        """Make every operation on the store take that much longer from now on."""

    def slow_next_read(self, milliseconds: float) -> None:
        """Make the next read take that much longer, whoever asks for it."""

    def slow_reads_begun(self) -> int:
        """Return how many reads have been made slow since the store was mounted."""


class MountedVolume(Protocol):
    """What a stage needs of the volume that it runs on."""

    path: Path

    @property
    def store(self) -> Store:
        """The slow store below, where the stage has asked for one."""

    @property
    def scratch(self) -> Path:
        """A directory of the whole run, for what stages prepare once."""

    def remount(self) -> None:
        """Mount again: whatever was cached is gone."""

    def resident_bytes(self) -> int:
        """Return the memory of the filesystem's process, 0 without one."""

    def cpu_seconds(self) -> float:
        """Return the processor time that the filesystem's process has had, 0 without one."""

    def importing(self, source: Path) -> Callable[[], object]:
        """Make ready to bring a tree in, by the filesystem's command or by cp(1); return what does it."""

    def exporting(self, destination: Path) -> Callable[[], object]:
        """Make ready to take everything out, by the filesystem's command or by cp(1)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure.

    Attributes:
        name: which row of the table it belongs to.
        value: in `unit`.
        unit: what it counts.
        more_is_better: as of a rate; otherwise less is.
        is_speed: whether one filesystem's may be divided by another's.
        cpu_us: processor time of the filesystem's process for each operation, in microseconds.
    """

    name: str
    value: float
    unit: str
    more_is_better: bool = False
    is_speed: bool = True
    cpu_us: float = 0


@dataclass(frozen=True, slots=True)
class Meter:
    """Takes figures on one volume."""

    volume: MountedVolume

    def rate(self, name: str, size_bytes: int, action: Callable[[], object]) -> Measurement:
        """Measure megabytes a second; processor time counts for each MiB."""
        seconds, cpu_us = self._time(action, size_bytes / MIB)
        return Measurement(name, size_bytes / seconds / 1e6, "MB/s", more_is_better=True, cpu_us=cpu_us)

    def per_second(self, name: str, count: int, action: Callable[[], object]) -> Measurement:
        """Measure how many operations are done in a second, by however many clients."""
        seconds, cpu_us = self._time(action, count)
        return Measurement(name, count / seconds, "1/s", more_is_better=True, cpu_us=cpu_us)

    def each(self, name: str, count: int, action: Callable[[], object]) -> Measurement:
        """Measure microseconds for each of `count` operations."""
        seconds, cpu_us = self._time(action, count)
        return Measurement(name, seconds / count * 1e6, "µs", cpu_us=cpu_us)

    def whole(self, name: str, count: int, action: Callable[[], object]) -> Measurement:
        """Measure the seconds of a whole; processor time counts for each of its `count` parts."""
        seconds, cpu_us = self._time(action, count)
        return Measurement(name, seconds, "s", cpu_us=cpu_us)

    def command(self, name: str, count: int, command: list[str]) -> Measurement:
        """Measure the seconds of a whole program."""
        return self.whole(name, count, lambda: run(command))

    def _time(self, action: Callable[[], object], count: float) -> tuple[float, float]:
        cpu_before = self.volume.cpu_seconds()
        start = time.perf_counter()
        action()
        seconds = time.perf_counter() - start
        return seconds, (self.volume.cpu_seconds() - cpu_before) / count * 1e6


def run(command: list[str], *, user: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end; return what it printed.

    Raises:
        RuntimeError: it failed; the message has the last line that it wrote to standard error.
    """
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, errors="replace", user=user, group=user,
        extra_groups=None if user is None else [], env=environment, cwd="/",
    )  # fmt: skip
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {result.returncode}"
        raise RuntimeError(f"{Path(command[0]).name}: {reason}")
    return result.stdout
