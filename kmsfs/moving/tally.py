"""Owns what a transfer counts: numbers in memory that all its processes share. Knows no files."""

import mmap
from enum import IntEnum
from typing import Final

_CELL_BYTES: Final = 8


class Count(IntEnum):
    """What is counted.

    PASSED is what is done with of all content, in bytes, whether it was copied or was there; CONTENT only
    what was copied. Files and others that were there and have not changed are UNCHANGED.
    """

    DIRECTORIES = 0
    FILES = 1
    SYMLINKS = 2
    OTHERS = 3
    LINKS = 4
    UNCHANGED = 5
    CONTENT = 6
    ENTRIES = 7
    PASSED = 8


class Tally:
    """One process's row of numbers.

    Args:
        cells: one for each `Count`.
    """

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells

    def __getitem__(self, what: Count) -> int:
        return self._cells[what]

    def add(self, what: Count, number: int = 1) -> None:
        """Count up."""
        self._cells[what] += number


class Tallies:
    """All rows, in memory that processes forked later share.

    Args:
        rows: how many.
    """

    def __init__(self, rows: int) -> None:
        self._memory = mmap.mmap(-1, rows * len(Count) * _CELL_BYTES)
        self._cells = memoryview(self._memory).cast("Q")

    def row(self, index: int) -> Tally:
        """Return one process's."""
        return Tally(self._cells[index * len(Count) : (index + 1) * len(Count)])

    def total(self, what: Count) -> int:
        """Return the sum of all rows."""
        return sum(self._cells[what :: len(Count)])

    def clear(self) -> None:
        """Begin again; nobody may be counting."""
        self._cells[:] = memoryview(bytes(self._cells.nbytes)).cast("Q")
