"""Owns the bar that shows how far long work is, how fast it goes and how long it will take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

_PERIOD_SECONDS: Final = 0.1


class _FilesPerSecond(ProgressColumn):
    """How many files are done in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} files/s")


_COLUMNS: Final = {
    "files": (MofNCompleteColumn, _FilesPerSecond),
    "bytes": (DownloadColumn, TransferSpeedColumn),
}


class Bar:
    """A bar on the terminal, or nothing where there is none.

    Args:
        progress: what draws it; None for nothing.
        what: what is going on.
    """

    def __init__(self, progress: Progress | None, what: str) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(what, total=None)
        self._due = 0.0

    def show(self, done: int, total: int) -> None:
        """Show how far it is; cheap enough to call all the time. A total of 0 is not known yet."""
        if self._progress is None or self._task is None or (now := time.monotonic()) < self._due:
            return
        self._due = now + _PERIOD_SECONDS
        self._progress.update(self._task, completed=done, total=total or None)


@contextmanager
def bar(what: str, unit: str) -> Iterator[Bar]:
    """Show a bar on standard error, only on a terminal, until the body ends.

    Args:
        what: what is going on.
        unit: "files" or "bytes".
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Bar(None, what)
        return
    columns = [TextColumn("{task.description}"), BarColumn(), *(make() for make in _COLUMNS[unit])]
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        yield Bar(progress, what)
