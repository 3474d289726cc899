"""Owns what a check of the log found. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the agent wrote it.

    Attributes:
        file: the file's name.
        line_number: the line in it, from 1; None if it is the file as a whole.
        reason: what is wrong.
    """

    file: str
    line_number: int | None
    reason: str

    def __str__(self) -> str:
        where = self.file if self.line_number is None else f"{self.file}, line {self.line_number}"
        return f"{where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Run:
    """Records that follow one another, in one file.

    Attributes:
        first: number of the first.
        last: number of the last.
        previous: hash of the record before the first, as that says.
        hash: of the last.
    """

    first: int
    last: int
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        records: how many records are there and as they were written, so far as their hashes tell.
        first_record: number of the first; more than 1 when older files were moved away; None without records.
        last_record: number of the last.
        first_time: time of the first, as recorded.
        last_time: time of the last.
        hash: of the last record.
        digests: how many digests there are that the key signed.
        signed_until: the end of the newest one's period; None without any.
        signed_record: number of the last record that a digest vouches for.
        fingerprint: SHA-256 of the public key; compare it with one that was kept elsewhere.
        trusted: numbers of records, first and last, that the signatures show to be as they were written.
        problems: what is wrong, in the order of the log; empty if the log is whole.
    """

    records: int
    first_record: int | None
    last_record: int | None
    first_time: str | None
    last_time: str | None
    hash: str
    digests: int
    signed_until: str | None
    signed_record: int
    fingerprint: str
    trusted: tuple[tuple[int, int], ...]
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def trusted_ranges(runs: Iterable[Run], signed: dict[int, str]) -> tuple[tuple[int, int], ...]:
    """Return the records that signatures vouch for, as ranges of their numbers.

    A signed hash of one record vouches for it and, since each record has the hash of the one before, for all
    before it without a gap. It says nothing of those after.

    Args:
        runs: the records that are there, in order.
        signed: hashes that digests name, by the number of the record.
    """
    ranges = list[tuple[int, int]]()
    later: Run | None = None
    for run in reversed(list(runs)):
        joined = later is not None and (run.last + 1, run.hash) == (later.first, later.previous)
        if not joined and signed.get(run.last) != run.hash:
            later = None
            continue
        if joined:
            ranges[-1] = (run.first, ranges[-1][1])
        else:
            ranges.append((run.first, run.last))
        later = run
    return tuple(reversed(ranges))
