"""What the commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import rich.box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.api.shapes.base import Shape

# A pipe has no width: what reads it must not find its keys cut to eighty columns.
_PIPE_WIDTH = 1000


def plain(shape: Shape) -> dict[str, Any]:
    """Return a shape with AWS's spelling, as it is on the wire: dates in epoch seconds, blobs in base64."""
    value: dict[str, Any] = msgspec.to_builtins(shape)
    return value


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - this is what the command is for


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings."""
    table = Table(*columns, box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*row)
    _show(table)


def print_fields(fields: Mapping[str, str]) -> None:
    """Print names and values, one pair to a line; empty values are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in fields.items():
        if value:
            table.add_row(name, value)
    _show(table)


def print_line(text: str) -> None:
    """Print one line for people."""
    _console().print(text, soft_wrap=True)


def moment(epoch_seconds: float | None) -> str:
    """Return a date and time in UTC, as people write it; empty for None."""
    if epoch_seconds is None:
        return ""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _show(table: Table) -> None:
    """Print a table without the blanks that pad its last column."""
    console = _console()
    with console.capture() as capture:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _console() -> Console:
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)
