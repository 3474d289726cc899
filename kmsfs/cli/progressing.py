"""Owns whether anybody sees how far work is. Loads what draws it, which takes long, only then."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progressing(describe: Callable[[], str]) -> Iterator[bool]:
    """Show how far work is, on standard error and only on a terminal, until the body ends; yield whether."""
    if not sys.stderr.isatty():
        yield False
        return
    from kmsfs.cli.styled import live  # noqa: PLC0415 - only where somebody sees it, see above

    with live(describe) as is_shown:
        yield is_shown
