"""Owns how plain lines look on the terminal. Knows nothing of how they were found out."""

import os
import sys
from typing import TextIO


def printable(text: object) -> str:
    """Return text of unknown origin without what a terminal would obey."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(text))


def show_line(text: str) -> None:
    """Print one line on standard output."""
    _show(sys.stdout, text)


def show_warning(text: str) -> None:
    """Print one line on standard error."""
    _show(sys.stderr, text)


def show_name(name: bytes) -> None:
    """Print a line of bytes: as it is to a pipe or file, without what a terminal would obey to a terminal."""
    stream = sys.stdout
    if stream.isatty():
        stream.write(f"{printable(os.fsdecode(name))}\n")
    else:
        stream.buffer.write(name + b"\n")
        stream.flush()


def _show(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{printable(text)}\n")
        stream.flush()
    except BrokenPipeError:
        # Nobody reads on. That is no error of what is under way, and no success of it either; and the
        # interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(1) from None
