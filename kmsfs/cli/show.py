"""Owns how things look on the terminal. Knows nothing of how they were found out."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from kmsfs.cli.exits import Explanation

_NAME_WIDTH: Final = 19


def printable(text: object) -> str:
    """Return text of unknown origin without what a terminal would obey."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(text))


def show_error(explanation: "Explanation") -> None:
    """Print what is wrong, and what to do next, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    message = "\n".join(printable(line) for line in explanation.message.splitlines())
    console.print(Text.assemble(("kmsfs: ", "bold red"), message))
    if explanation.next_step:
        console.print(Text(explanation.next_step))


def show_line(text: str) -> None:
    """Print one line on standard output."""
    Console(soft_wrap=True, highlight=False).print(Text(printable(text)))


def show_name(name: bytes) -> None:
    """Print a line of bytes: as it is to a pipe or file, without what a terminal would obey to a terminal."""
    stream = sys.stdout
    if stream.isatty():
        stream.write(f"{printable(os.fsdecode(name))}\n")
    else:
        stream.buffer.write(name + b"\n")
        stream.flush()


@contextmanager
def progressing(describe: Callable[[], str]) -> Iterator[bool]:
    """Show how far work is, on standard error and only on a terminal, until the body ends; yield whether."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    with Live(get_renderable=lambda: Text(describe()), console=console, transient=True):
        yield True


def show_warning(text: str) -> None:
    """Print one line on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(Text(printable(text)))


def show_pairs(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values below a title on standard output, one line each however long."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(printable(title), style="bold"))
    for name, value in pairs:
        console.print(Text.assemble((f"  {name:<{_NAME_WIDTH}}", "dim"), printable(value)))
