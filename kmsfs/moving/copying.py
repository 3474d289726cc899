"""Owns copying one entry from one side of a transfer to the other, unless it is there already.

Nothing stands under its own name before it is whole, so what has the name, type, size and time of the
original is a copy of it. Knows neither which side is which nor who else copies. Raises what the sides raise.
"""

import errno
import stat
from collections.abc import Iterator, Mapping
from typing import Final

from kmsfs.moving.comparing import same_content
from kmsfs.moving.crew import end_if_told
from kmsfs.moving.sides import PIECE_BYTES, Facts, Reading, Rights, Side
from kmsfs.moving.tally import Count, Tally

_ATTEMPTS: Final = 2
_KINDS: Final = {stat.S_IFLNK: Count.SYMLINKS}


class ChangedError(OSError):
    """A file changed each time that it was read."""

    def __init__(self) -> None:
        super().__init__(errno.EBUSY, "changes while it is read: stop what writes to it, and do this again")


class Copier:
    """Copies entries that are no directories.

    Args:
        source, target: the sides.
        rights: of this process.
        tally: counted up.
        by_content: whether only equal content makes a file one that need not be copied.
    """

    def __init__(
        self, source: Side, target: Side, rights: Rights, tally: Tally, *, by_content: bool = False
    ) -> None:
        self._source = source
        self._target = target
        self._rights = rights
        self._tally = tally
        self._by_content = by_content

    def copy(self, directory: bytes, name: bytes, facts: Facts, *, is_new: bool) -> list[str]:
        """Copy an entry; return what of it cannot be kept.

        Args:
            directory: where it stands on both sides.
            name: of it.
            facts: as they were when the directory was read.
            is_new: whether the directory on the other side is new, with nothing in it.
        """
        there = None if is_new else self._target.look(directory, name)
        if there is not None and stat.S_ISDIR(there.mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory on the other side")
        if stat.S_ISREG(facts.mode):
            lost = self._file(directory, name, there)
        else:
            lost = self._other(directory, name, facts, there)
        self._tally.add(Count.ENTRIES)
        return lost

    def _file(self, directory: bytes, name: bytes, there: Facts | None) -> list[str]:
        for _ in range(_ATTEMPTS):
            reading = self._source.open(directory, name)
            try:
                wanted, xattrs = self._rights.kept(reading.facts), reading.xattrs()
                lost = ["owner"] if wanted.uid != reading.facts.uid or wanted.gid != reading.facts.gid else []
                if there is not None and self._is_there(directory, name, reading, there):
                    self._tally.add(Count.UNCHANGED)
                    self._tally.add(Count.PASSED, wanted.size)
                    return lost + self._redress(directory, name, wanted, there, xattrs)
                copied = self._content(directory, name, reading, wanted, xattrs)
            finally:
                reading.close()
            if copied is not None:
                self._tally.add(Count.FILES)
                self._tally.add(Count.CONTENT, wanted.size)
                return lost + copied
        raise ChangedError

    def _is_there(self, directory: bytes, name: bytes, reading: Reading, there: Facts) -> bool:
        wanted = reading.facts
        if not stat.S_ISREG(there.mode) or there.size != wanted.size:
            return False
        if not self._by_content:
            return there.mtime_ns == wanted.mtime_ns
        copy = self._target.open(directory, name)
        try:
            return same_content(reading, copy)
        finally:
            copy.close()

    def _content(
        self, directory: bytes, name: bytes, reading: Reading, wanted: Facts, xattrs: Mapping[bytes, bytes]
    ) -> list[str] | None:
        """Copy a file; return what cannot be kept, or None if it has changed meanwhile."""
        writing, passed = self._target.new_file(directory, name), 0
        try:
            for offset, length in _pieces(reading):
                end_if_told()
                piece = reading.read(offset, length)
                if len(piece) != length:
                    break
                writing.write(offset, piece)
                self._tally.add(Count.PASSED, length)
                passed += length
            else:
                if reading.is_unchanged():
                    lost = writing.finish(wanted, xattrs)
                    self._tally.add(Count.PASSED, wanted.size - passed)
                    return lost
        except BaseException:
            writing.discard()
            raise
        writing.discard()
        return None

    def _other(self, directory: bytes, name: bytes, facts: Facts, there: Facts | None) -> list[str]:
        source, target = self._source, self._target
        wanted = self._rights.kept(facts)
        lost = ["owner"] if wanted.uid != facts.uid or wanted.gid != facts.gid else []
        is_symlink = stat.S_ISLNK(facts.mode)
        leads_to = source.readlink(directory, name) if is_symlink else b""
        xattrs: Mapping[bytes, bytes] = {} if is_symlink else source.xattrs(directory, name)
        if there is not None:
            same = stat.S_IFMT(there.mode) == stat.S_IFMT(facts.mode) and there.device == facts.device
            if same and (not is_symlink or target.readlink(directory, name) == leads_to):
                self._tally.add(Count.UNCHANGED)
                return lost + self._redress(directory, name, wanted, there, xattrs)
            target.remove(directory, name)
        target.make(directory, name, wanted, leads_to)
        self._tally.add(_KINDS.get(stat.S_IFMT(facts.mode), Count.OTHERS))
        return lost + target.dress(directory, name, wanted, xattrs)

    def _redress(
        self, directory: bytes, name: bytes, wanted: Facts, there: Facts, xattrs: Mapping[bytes, bytes]
    ) -> list[str]:
        """Give what is there the attributes that it has not."""
        same = (there.uid, there.gid, there.mtime_ns) == (wanted.uid, wanted.gid, wanted.mtime_ns)
        if not stat.S_ISLNK(wanted.mode):
            same = same and there.mode == wanted.mode and self._target.xattrs(directory, name) == xattrs
        return [] if same else self._target.dress(directory, name, wanted, xattrs)


def _pieces(reading: Reading) -> Iterator[tuple[int, int]]:
    for start, end in reading.ranges():
        for offset in range(start, end, PIECE_BYTES):
            yield offset, min(PIECE_BYTES, end - offset)
