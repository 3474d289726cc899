"""Owns how a job with files looks while it runs: its bar, and the files that it leaves as they are."""

from collections.abc import Generator, Mapping
from typing import Any

from kmsfs.cli.progress import bar
from kmsfs.cli.show import show_line

Left = list[dict[str, Any]]


def follow(
    job: Generator[Mapping[str, object], None, Mapping[str, object]], what: str, unit: str, *, quiet: bool
) -> tuple[Mapping[str, Any], Left]:
    """Follow a job to its end; return what it ends with, and what it left as it was.

    Args:
        job: tells "reach", with "done" and "total", and "left", with "path", "stored_path" and "reason".
        what: what is going on.
        unit: of "done" and "total", "files" or "bytes".
        quiet: do not print what is left.
    """
    left: Left = []
    with bar(what, unit) as shown:
        while True:
            try:
                told: Mapping[str, Any] = next(job)
            except StopIteration as end:
                return end.value, left
            if "left" in told:
                left.append(told["left"])
                if not quiet:
                    show_line(f"left as it is: {_name(told['left'])}: {told['left']['reason']}")
            elif "reach" in told:
                shown.show(told["reach"]["done"], told["reach"]["total"])


def _name(left: dict[str, Any]) -> str:
    return str(left["path"] or left["stored_path"])
