"""Owns holding a copy against its original, entry by entry. Knows neither side from the other."""

import stat
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from kmsfs.moving.crew import end_if_told
from kmsfs.moving.sides import PIECE_BYTES, Facts, Reading, Rights, Source
from kmsfs.moving.tally import Count, Tally
from kmsfs.records import XATTR_PREFIX

# What a store may have of its own, or refuse, is not compared; that was said when it was copied.
_COMPARED: Final = (XATTR_PREFIX, b"security.capability")


def compare(
    source: Source,
    target: Source,
    directory: bytes,
    name: bytes,
    facts: Facts,
    rights: Rights,
    tally: Tally,
) -> Iterator[str]:
    """Yield how an entry on one side differs from its original on the other.

    Args:
        source: has the original.
        target: has the copy.
        directory: where both stand.
        name: of both; `.` for the directory itself.
        facts: of the original.
        rights: of this process: owners that it cannot give away are none to expect.
        tally: content that is compared is counted as passed.

    Raises:
        KmsfsError, OSError: one of them cannot be read.
    """
    there = target.look(directory, name)
    if there is None:
        yield "is missing"
        return
    if stat.S_IFMT(there.mode) != stat.S_IFMT(facts.mode):
        yield "is something else"
        return
    if stat.S_ISREG(facts.mode):
        yield from _files(source, target, directory, name, rights, tally)
        return
    yield from _attributes(rights.kept(facts), there)
    if stat.S_ISLNK(facts.mode):
        if source.readlink(directory, name) != target.readlink(directory, name):
            yield "leads elsewhere"
        return
    if there.device != facts.device:
        yield "stands for another device"
    yield from _xattrs(source.xattrs(directory, name), target.xattrs(directory, name))


def same_content(one: Reading, other: Reading, tally: Tally | None = None) -> bool:
    """Say whether two files of one size hold the same; holes in both are not read."""
    for start, end in _merged(one.ranges(), other.ranges()):
        for offset in range(start, end, PIECE_BYTES):
            end_if_told()
            length = min(PIECE_BYTES, end - offset)
            # Whole memory is compared at once as bytes, and one item after the other as views.
            if bytes(one.read(offset, length)) != bytes(other.read(offset, length)):
                return False
            if tally is not None:
                tally.add(Count.PASSED, length)
    return True


def _files(
    source: Source, target: Source, directory: bytes, name: bytes, rights: Rights, tally: Tally
) -> Iterator[str]:
    original = source.open(directory, name)
    try:
        copy = target.open(directory, name)
        try:
            yield from _attributes(rights.kept(original.facts), copy.facts)
            yield from _xattrs(original.xattrs(), copy.xattrs())
            if original.facts.size != copy.facts.size:
                yield f"has {copy.facts.size} bytes, not {original.facts.size}"
            elif not same_content(original, copy, tally):
                yield "has other content"
        finally:
            copy.close()
    finally:
        original.close()


def _attributes(wanted: Facts, there: Facts) -> Iterator[str]:
    if not stat.S_ISLNK(wanted.mode) and there.mode != wanted.mode:
        yield f"has mode {stat.S_IMODE(there.mode):04o}, not {stat.S_IMODE(wanted.mode):04o}"
    if (there.uid, there.gid) != (wanted.uid, wanted.gid):
        yield f"belongs to {there.uid}:{there.gid}, not {wanted.uid}:{wanted.gid}"
    if there.mtime_ns != wanted.mtime_ns:
        yield f"has time {there.mtime_ns}, not {wanted.mtime_ns}"


def _xattrs(wanted: Mapping[bytes, bytes], there: Mapping[bytes, bytes]) -> Iterator[str]:
    for name in sorted(wanted.keys() | there.keys()):
        if name.startswith(_COMPARED) and wanted.get(name) != there.get(name):
            yield f"has another extended attribute {name.decode(errors='replace')}"


def _merged(one: Iterator[tuple[int, int]], other: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the ranges that are in either."""
    start = end = 0
    for low, high in sorted(chain(one, other)):
        if low > end:
            if start < end:
                yield start, end
            start = low
        end = max(end, high)
    if start < end:
        yield start, end
