"""Owns a transfer from one side to the other: walk, directories, hard links, and who does the rest.

Directories and names of inodes that have several are this process's; every other entry is a worker's. A
directory gets its attributes, times among them, when everything below it is done.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kmsfs.errors import KmsfsError
from kmsfs.moving.batches import Batch, Problem, Report, Worker, joined, problem_of
from kmsfs.moving.comparing import compare
from kmsfs.moving.copying import Copier
from kmsfs.moving.crew import Crew
from kmsfs.moving.sides import HERE, Facts, Rights, Side
from kmsfs.moving.tally import Count, Tallies

_BATCH_ENTRIES: Final = 64
_BATCH_BYTES: Final = 4 << 20


class Totals(NamedTuple):
    """How much there is to do."""

    entries: int
    content_bytes: int


@dataclass(slots=True, eq=False)
class _Directory:
    """A directory under way.

    Attributes:
        path: of it.
        facts: of the original.
        above: the one that it is in; None for the top.
        is_new: whether its copy was made just now.
        below: directories in it that are still to be gone into.
        open_ends: how much in it is not done: its own listing, batches, directories, links.
    """

    path: bytes
    facts: Facts
    above: "_Directory | None"
    is_new: bool
    below: list[tuple[bytes, Facts]] = field(default_factory=list)
    open_ends: int = 1


class _Link(NamedTuple):
    """A further name of an inode."""

    directory: _Directory
    name: bytes
    facts: Facts


class Transfer:
    """One transfer; its workers are forked at once, before anybody starts a thread.

    Args:
        source, target: the sides.
        rights: of this process.
        jobs: how many processes work on files.
        by_content: whether only equal content makes a file one that need not be copied.

    Attributes:
        tallies: what was done so far.
        problems: what was not.
        lost: what copies cannot have, and how many.
    """

    def __init__(
        self, source: Side, target: Side, rights: Rights, jobs: int, *, by_content: bool = False
    ) -> None:
        self._source = source
        self._target = target
        self._rights = rights
        self.tallies = Tallies(jobs + 1)
        self._tally = self.tallies.row(jobs)
        self._copier = Copier(source, target, rights, self._tally, by_content=by_content)
        self._crew: Crew[Batch, Report] = Crew(
            [
                Worker(source, target, rights, self.tallies.row(row), by_content=by_content)
                for row in range(jobs)
            ]
        )
        self.problems: list[Problem] = []
        self.lost: Counter[str] = Counter()
        self._checked: Side | None = None
        self._under_way: dict[bytes, _Directory] = {}
        self._first: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        self._links: list[_Link] = []

    def survey(self) -> Totals:
        """Count what there is to do; what cannot be read is left for later to find out."""
        entries = content_bytes = 0
        pending = [b""]
        while pending:
            directory = pending.pop()
            try:
                for name, facts in self._source.entries(directory):
                    if stat.S_ISDIR(facts.mode):
                        pending.append(joined(directory, name))
                    else:
                        entries += 1
                        content_bytes += facts.size if stat.S_ISREG(facts.mode) else 0
            except (KmsfsError, OSError):
                continue
        return Totals(entries, content_bytes)

    def copy(self) -> Iterator[Problem]:
        """Copy everything; yield what was not, as it is found.

        Raises:
            StoppedError: the target is full, or the like; what is copied stays, for another attempt to go on
                from.
        """
        yield from self._run(None)

    def check(self) -> Iterator[Problem]:
        """Read everything back and compare it; yield what differs, as it is found."""
        fresh = self._target.fresh()
        try:
            yield from self._run(fresh)
        finally:
            fresh.close()

    def close(self, *, is_done: bool) -> None:
        """End the workers."""
        if is_done:
            self._crew.dismiss()
        else:
            self._crew.stop()

    def _run(self, checked: Side | None) -> Iterator[Problem]:
        """Go through the source."""
        self._checked = checked
        self._first.clear()
        top = self._source.look(b"", HERE)
        if top is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        yield from self._walk(_Directory(b"", top, None, is_new=False))
        while self._under_way:
            reports = list(self._crew.wait())
            if not reports and not self._links:
                raise AssertionError(f"directories never done: {len(self._under_way)}")
            for report in reports:
                yield from self._take(report)
            if not reports:
                yield from self._further_names()

    def _walk(self, top: _Directory) -> Iterator[Problem]:
        levels = [top]
        yield from self._enter(top)
        while levels:
            level = levels[-1]
            if not level.below:
                levels.pop()
                yield from self._done_one(level)
                continue
            name, facts = level.below.pop()
            path = joined(level.path, name)
            try:
                is_new = self._make(level, name, facts)
            except (KmsfsError, OSError) as error:
                yield self._refused(path, error)
                continue
            inner = _Directory(path, facts, level, is_new)
            level.open_ends += 1
            levels.append(inner)
            yield from self._enter(inner)

    def _make(self, above: _Directory, name: bytes, facts: Facts) -> bool:
        if self._checked is None:
            return self._target.make(above.path, name, facts, b"")
        there = self._checked.look(above.path, name)
        if there is None or not stat.S_ISDIR(there.mode):
            raise NotADirectoryError(errno.ENOTDIR, "is missing" if there is None else "is no directory")
        return False

    def _enter(self, directory: _Directory) -> Iterator[Problem]:
        """Read a directory; give out what is in it, but for the directories."""
        self._under_way[directory.path] = directory
        entries: list[tuple[bytes, Facts]] = []
        content_bytes = 0
        try:
            if self._checked is None and not directory.is_new:
                self._target.prepare(directory.path, self._source)
            for name, facts in self._source.entries(directory.path):
                if stat.S_ISDIR(facts.mode):
                    directory.below.append((name, facts))
                elif facts.link_count > 1 and self._is_further_name(directory, name, facts):
                    directory.open_ends += 1
                else:
                    entries.append((name, facts))
                    content_bytes += facts.size
                if len(entries) >= _BATCH_ENTRIES or content_bytes >= _BATCH_BYTES:
                    yield from self._give(directory, entries)
                    entries, content_bytes = [], 0
        except (KmsfsError, OSError) as error:
            yield self._refused(directory.path, error)
        if entries:
            yield from self._give(directory, entries)

    def _is_further_name(self, directory: _Directory, name: bytes, facts: Facts) -> bool:
        """Say whether another name of the inode was seen before, and note this one."""
        if facts.identity not in self._first:
            self._first[facts.identity] = directory.path, name
            return False
        self._links.append(_Link(directory, name, facts))
        return True

    def _give(self, directory: _Directory, entries: list[tuple[bytes, Facts]]) -> Iterator[Problem]:
        directory.open_ends += 1
        batch = Batch(directory.path, entries, directory.is_new, self._checked is not None)
        for report in self._crew.give(batch):
            yield from self._take(report)

    def _take(self, report: Report) -> Iterator[Problem]:
        self.lost.update(report.lost)
        for problem in report.problems:
            self.problems.append(problem)
            yield problem
        if report.failure is not None:
            raise report.failure
        yield from self._done_one(self._under_way[report.directory])

    def _done_one(self, directory: _Directory) -> Iterator[Problem]:
        """Note that something in a directory is done; with the last thing, the directory is."""
        at: _Directory | None = directory
        while at is not None:
            at.open_ends -= 1
            if at.open_ends:
                return
            del self._under_way[at.path]
            yield from self._dress(at)
            at = at.above

    def _dress(self, directory: _Directory) -> Iterator[Problem]:
        path, facts = directory.path, directory.facts
        try:
            if self._checked is not None:
                for what in compare(
                    self._source, self._checked, path, HERE, facts, self._rights, self._tally
                ):
                    yield self._noted(Problem(path, what, is_damage=False))
                return
            wanted, xattrs = self._rights.kept(facts), self._source.xattrs(path, HERE)
            if (wanted.uid, wanted.gid) != (facts.uid, facts.gid):
                self.lost["owner"] += 1
            self.lost.update(self._target.dress(path, HERE, wanted, xattrs))
            self._tally.add(Count.DIRECTORIES)
        except (KmsfsError, OSError) as error:
            yield self._refused(path, error)

    def _further_names(self) -> Iterator[Problem]:
        """Give inodes the names that are still to come; by now they are there under their first."""
        links, self._links = self._links, []
        for directory, name, facts in links:
            try:
                if self._checked is None:
                    self._link(directory, name, facts)
                else:
                    yield from self._check_link(self._checked, directory, name, facts)
            except (KmsfsError, OSError) as error:
                yield self._refused(joined(directory.path, name), error)
            yield from self._done_one(directory)

    def _link(self, directory: _Directory, name: bytes, facts: Facts) -> None:
        first_directory, first_name = self._first[facts.identity]
        first = self._target.look(first_directory, first_name)
        there = self._target.look(directory.path, name)
        can_link = stat.S_IFMT(facts.mode) != stat.S_IFLNK or first_directory == directory.path
        if first is None or not can_link:
            # Its first name could not be copied; or a symlink, which belongs to its directory.
            if first is None:
                self._first[facts.identity] = directory.path, name
            else:
                self.lost["hard link of a symbolic link"] += 1
            self.lost.update(self._copier.copy(directory.path, name, facts, is_new=False))
            return
        if there is None or there.identity != first.identity:
            if there is not None:
                self._target.remove(directory.path, name)
            self._target.link(first_directory, first_name, directory.path, name)
            self._tally.add(Count.LINKS)
        else:
            self._tally.add(Count.UNCHANGED)
        self._passed(facts)

    def _check_link(
        self, checked: Side, directory: _Directory, name: bytes, facts: Facts
    ) -> Iterator[Problem]:
        path = joined(directory.path, name)
        first, there = checked.look(*self._first[facts.identity]), checked.look(directory.path, name)
        if there is None:
            yield self._noted(Problem(path, "is missing", is_damage=False))
        elif not stat.S_ISLNK(facts.mode) and (first is None or first.identity != there.identity):
            other = os.fsdecode(joined(*self._first[facts.identity]))
            yield self._noted(Problem(path, f"is not the same file as {other}", is_damage=False))
        self._passed(facts)

    def _passed(self, facts: Facts) -> None:
        self._tally.add(Count.ENTRIES)
        self._tally.add(Count.PASSED, facts.size if stat.S_ISREG(facts.mode) else 0)

    def _refused(self, path: bytes, error: Exception) -> Problem:
        return self._noted(problem_of(path, error))

    def _noted(self, problem: Problem) -> Problem:
        self.problems.append(problem)
        return problem
