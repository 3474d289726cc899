"""Owns how things look on the terminal that are more than a plain line: colours, tables, what is drawn anew.

Knows nothing of how they were found out. What it draws with takes long to load: plain lines are `show`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kmsfs.cli.show import printable

if TYPE_CHECKING:
    from kmsfs.cli.exits import Explanation

_NAME_WIDTH: Final = 19


def show_error(explanation: "Explanation") -> None:
    """Print what is wrong, and what to do next, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    message = "\n".join(printable(line) for line in explanation.message.splitlines())
    console.print(Text.assemble(("kmsfs: ", "bold red"), message))
    if explanation.next_step:
        console.print(Text(explanation.next_step))


@contextmanager
def live(describe: Callable[[], str]) -> Iterator[bool]:
    """Do as `progressing`, by the judgement of what draws on whether standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    with Live(get_renderable=lambda: Text(describe()), console=console, transient=True):
        yield True


def show_pairs(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values below a title on standard output, one line each however long."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(printable(title), style="bold"))
    for name, value in pairs:
        console.print(Text.assemble((f"  {name:<{_NAME_WIDTH}}", "dim"), printable(value)))
