"""Owns how things look on the terminal. Knows nothing of how they were found out."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kmsfs.cli.exits import Explanation


def printable(text: object) -> str:
    """Return text of unknown origin without what a terminal would obey."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(text))


def show_error(explanation: Explanation) -> None:
    """Print what is wrong, and what to do next, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    message = "\n".join(printable(line) for line in explanation.message.splitlines())
    console.print(Text.assemble(("kmsfs: ", "bold red"), message))
    if explanation.next_step:
        console.print(Text(explanation.next_step))


def show_line(text: str) -> None:
    """Print one line on standard output."""
    Console(soft_wrap=True, highlight=False).print(Text(printable(text)))


def show_pairs(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values below a title on standard output."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(Text("  " + name), Text(printable(value)))
    console = Console(highlight=False)
    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    console.print(table)
