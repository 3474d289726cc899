"""Owns what a worker of a transfer is given, what it does with it, and what it gives back.

What fails is a problem of its own entry; only what would meet every other entry too ends the transfer.
"""

import errno
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kmsfs.errors import (
    CorruptFileError,
    CorruptHeaderError,
    CorruptNameError,
    CorruptRecordError,
    KmsfsError,
)
from kmsfs.moving.comparing import compare
from kmsfs.moving.copying import Copier
from kmsfs.moving.crew import end_if_told
from kmsfs.moving.sides import Facts, Rights, Side
from kmsfs.moving.tally import Count, Tally

_CORRUPT: Final = (CorruptFileError, CorruptHeaderError, CorruptNameError, CorruptRecordError)
_FATAL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class StoppedError(OSError):
    """A transfer met what would meet every other entry too: a full store, or the like."""


class Problem(NamedTuple):
    """An entry that was not copied, or is not as its original.

    Attributes:
        path: from the top of both trees.
        what: in a few words.
        is_damage: whether something in the volume does not authenticate.
    """

    path: bytes
    what: str
    is_damage: bool


class Batch(NamedTuple):
    """Some entries of one directory, none of them a directory."""

    directory: bytes
    entries: list[tuple[bytes, Facts]]
    is_new: bool
    is_check: bool


@dataclass(slots=True)
class Report:
    """What came of a batch.

    Attributes:
        directory: the batch's.
        problems: what was not done.
        lost: what copies cannot have, and how many.
        failure: what ends the transfer.
    """

    directory: bytes
    problems: list[Problem] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    failure: StoppedError | None = None


class Worker:
    """Does what a batch says."""

    def __init__(self, source: Side, target: Side, rights: Rights, tally: Tally, *, by_content: bool) -> None:
        self._sides = source, target
        self._fresh: Side | None = None
        self._rights = rights
        self._tally = tally
        self._copier = Copier(source, target, rights, tally, by_content=by_content)

    def __call__(self, batch: Batch) -> Report:
        """Copy or compare the entries of a batch."""
        report = Report(batch.directory)
        for name, facts in batch.entries:
            end_if_told()
            path = joined(batch.directory, name)
            try:
                if batch.is_check:
                    self._check(batch.directory, name, facts, report)
                else:
                    report.lost.update(self._copier.copy(batch.directory, name, facts, is_new=batch.is_new))
            except (KmsfsError, OSError) as error:
                try:
                    report.problems.append(problem_of(path, error))
                except StoppedError as failure:
                    report.failure = failure
                    return report
        return report

    def _check(self, directory: bytes, name: bytes, facts: Facts, report: Report) -> None:
        source, target = self._sides
        if self._fresh is None:
            self._fresh = target.fresh()
        path = joined(directory, name)
        before = self._tally[Count.PASSED]
        for difference in compare(source, self._fresh, directory, name, facts, self._rights, self._tally):
            report.problems.append(Problem(path, difference, is_damage=False))
        self._tally.add(Count.ENTRIES)
        size = facts.size if stat.S_ISREG(facts.mode) else 0
        self._tally.add(Count.PASSED, max(before + size - self._tally[Count.PASSED], 0))


def problem_of(path: bytes, error: Exception) -> Problem:
    """Return what an error says of an entry.

    Raises:
        StoppedError: it would say the same of all others.
    """
    if isinstance(error, OSError) and error.errno in _FATAL:
        raise StoppedError(error.errno, error.strerror, path) from error
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Problem(path, text, is_damage=isinstance(error, _CORRUPT))


def joined(directory: bytes, name: bytes) -> bytes:
    """Return the path of an entry."""
    return directory + b"/" + name if directory else name
