"""Sequences of changes to one file: what was synced before, and what then goes wrong half way.

Each change is done to a file and to a byte array beside it, which is what the file is to be.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from kmsfs.file import File

CHUNK = 4096

Operation = Callable[[File, bytearray], None]


def write(start: int, length: int) -> Operation:
    """Return an operation that writes."""
    content = os.urandom(length)

    def operate(file: File, model: bytearray) -> None:
        file.write(start, content)
        model.extend(bytes(max(start - len(model), 0)))
        model[start : start + length] = content

    return operate


def resize(size: int) -> Operation:
    """Return an operation that truncates or extends."""

    def operate(file: File, model: bytearray) -> None:
        file.truncate(size)
        model[:] = model[:size].ljust(size, b"\0")

    return operate


# what stood there and was synced, then what the crash comes in
SEQUENCES: dict[str, tuple[list[Operation], list[Operation]]] = {
    "first write": ([], [write(0, 100)]),
    "first write of several chunks": ([], [write(0, 3 * CHUNK + 5)]),
    "append within a chunk": ([write(0, 100)], [write(100, 50), write(150, 50)]),
    "append over chunks": ([write(0, 100)], [write(100, 2 * CHUNK), write(2 * CHUNK + 100, CHUNK)]),
    "append to a later chunk": ([write(0, 2 * CHUNK + 100)], [write(2 * CHUNK + 100, 2 * CHUNK)]),
    "append at an edge": ([write(0, 2 * CHUNK)], [write(2 * CHUNK, 10), write(2 * CHUNK + 10, 10)]),
    "overwrite": ([write(0, 4 * CHUNK)], [write(CHUNK + 5, CHUNK)]),
    "overwrite and grow": ([write(0, 3 * CHUNK + 7)], [write(CHUNK + 5, 4 * CHUNK)]),
    "overwrite from the start and grow": ([write(0, CHUNK + 7)], [write(0, 3 * CHUNK + 9)]),
    "cut inside a chunk": ([write(0, 4 * CHUNK)], [resize(2 * CHUNK + 100)]),
    "cut at an edge": ([write(0, 4 * CHUNK + 9)], [resize(2 * CHUNK)]),
    "cut the last chunk": ([write(0, 4 * CHUNK + 99)], [resize(4 * CHUNK + 9)]),
    "cut to nothing": ([write(0, 2 * CHUNK + 5)], [resize(0)]),
    "cut and append": ([write(0, 3 * CHUNK)], [resize(CHUNK + 10), write(CHUNK + 10, CHUNK)]),
    "extend": ([write(0, 100)], [resize(3 * CHUNK + 5)]),
    "extend from an edge": ([write(0, CHUNK)], [resize(3 * CHUNK + 5)]),
    "write beyond the end": ([write(0, 100)], [write(3 * CHUNK + 5, 100)]),
    "write into a hole": ([write(4 * CHUNK, 9)], [write(CHUNK + 5, 2 * CHUNK)]),
    "cut in a hole": ([write(8 * CHUNK, 9)], [resize(3 * CHUNK + 7)]),
    "extend a hole": (
        [write(8 * CHUNK, 9), resize(3 * CHUNK + 7)],
        [resize(3 * CHUNK + 99), resize(7 * CHUNK)],
    ),
    "cut, extend, write": (
        [write(0, 2 * CHUNK + 5)],
        [resize(9), resize(CHUNK + 9), write(CHUNK, 3 * CHUNK)],
    ),
}
