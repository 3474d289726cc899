"""Moving trees in and out of an `OfflineVolume`, in the test's own process, and what a killed command leaves.

With one job there is no other process; the commands themselves are run where those count.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backgrounds import Place
from kmsfs.moving.batches import Problem
from kmsfs.moving.root import Plan, export_from, import_into
from kmsfs.moving.tally import Count
from kmsfs.moving.transfer import Transfer
from offline import OfflineVolume

PATIENCE_SECONDS = 60


class Moved(NamedTuple):
    """What came of a transfer, and of comparing it afterwards."""

    problems: list[Problem]
    differences: list[Problem]
    counts: dict[str, int]
    lost: dict[str, int]

    @property
    def said(self) -> dict[bytes, str]:
        """What is said of each path that was not copied."""
        return {problem.path: problem.what for problem in self.problems}


def move_in(volume: OfflineVolume, source: Path, path: bytes = b"", *, by_content: bool = False) -> Moved:
    """Import a directory, and compare."""
    with volume.core() as core, import_into(core, path, str(source), Plan(1, by_content)) as transfer:
        return _moved(transfer)


def move_out(
    volume: OfflineVolume, destination: Path, path: bytes = b"", *, by_content: bool = False
) -> Moved:
    """Export a directory, and compare."""
    with (
        volume.core(read_only=True) as core,
        export_from(core, path, str(destination), Plan(1, by_content)) as transfer,
    ):
        return _moved(transfer)


def _moved(transfer: Transfer) -> Moved:
    problems = list(transfer.copy())
    counts = {count.name.lower(): transfer.tallies.total(count) for count in Count}
    return Moved(problems, list(transfer.check()), counts, dict(transfer.lost))


def run_until(
    place: Place, arguments: list[str | Path], condition: Callable[[], bool], number: signal.Signals
) -> int | None:
    """Run a kmsfs command, and send it a signal once `condition()` holds.

    Returns, when all its processes have gone, its exit code, or None if it had ended before.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kmsfs", *arguments],
        cwd=place.directory,
        env=place.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    workers: list[int] = []
    try:
        while process.poll() is None and not condition():
            pass
        if process.poll() is not None:
            assert process.returncode == 0
            return None
        workers = _children(process.pid)
        process.send_signal(number)
        return process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
        for worker in workers:
            assert select.select([worker], [], [], PATIENCE_SECONDS)[0], "a worker outlives its command"
            os.close(worker)


def _children(pid: int) -> list[int]:
    """Return a descriptor for each child of a process."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            found.append(os.pidfd_open(int(child)))
        except ProcessLookupError:
            continue
    return found
