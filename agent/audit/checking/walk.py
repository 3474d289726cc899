"""Owns going through the files of a log line by line, following the chain and what digests say of it.

Shares no code with what writes the log. Goes on after what is wrong, so that what is right can be told.
"""

import hashlib
import time
from collections.abc import Iterator
from typing import BinaryIO, Final

from agent.audit.checking import lines
from agent.audit.checking.digests import SealedFile
from agent.audit.checking.lines import Line, LineError
from agent.audit.checking.report import MAX_PROBLEMS, Problem, Run

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
_SETTLE_SECONDS: Final = 0.2
_STEP_LINES: Final = 4096
_REWRITTEN: Final = "is not the record that a digest signed: the log was rewritten up to here"


class Walk:
    """A walk through the log, file by file in order.

    Args:
        signed: hashes that digests name, by the number of the record.
        known: the number and hash of a record that the head file names.

    Attributes:
        problems: what is wrong.
        runs: records that follow one another.
        records: how many records were good.
        first_time: time of the first good record.
        last: the last good one.
    """

    def __init__(self, signed: dict[int, str], known: tuple[int, str]) -> None:
        self.problems: list[Problem] = []
        self.runs: list[Run] = []
        self.records = 0
        self.first_time: str | None = None
        self.last: Line | None = None
        self._signed = signed
        self._known = known
        self._run_start: Line | None = None

    def file(self, name: str, file: BinaryIO, sealed: SealedFile | None) -> Iterator[int]:
        """Go through one file; yields how many bytes of it are done, now and then.

        Args:
            name: for messages.
            file: open at its start.
            sealed: what a digest says of it.
        """
        before = len(self.problems)
        content_hash, size_bytes = hashlib.sha256(), 0
        for number, content in enumerate(_lines(file), 1):
            content_hash.update(content)
            size_bytes += len(content)
            self._line(name, number, content)
            if number % _STEP_LINES == 0:
                yield size_bytes
        self._end_run()
        if sealed is not None and len(self.problems) == before:
            self._compare(name, sealed, size_bytes, content_hash.hexdigest())
        yield size_bytes

    def report(self, name: str, number: int | None, reason: str) -> None:
        """Take down what is wrong, up to a limit."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(name, number, reason))

    def skip_to(self, sequence: int, digest: str) -> None:
        """Go on after a record that is not here, such as the last of a file that was moved away."""
        self.last = Line(sequence, "", digest, None)

    def _line(self, name: str, number: int, content: bytes) -> None:
        try:
            line = lines.read(content)
        except LineError as error:
            self._end_run()
            self.report(name, number, str(error))
            # What it said is not known, so the next line is taken as it comes.
            self.last = None
            return
        reason = self._misplaced(line)
        if reason is not None:
            self.report(name, number, reason)
        if reason is not None or self.last is None or self._run_start is None:
            self._end_run()
            self._run_start = line
        self.last = line
        self.records += 1
        self.first_time = self.first_time or line.event_time
        if self._signed.get(line.sequence, line.hash) != line.hash:
            self._end_run()
            self.report(
                name, number, "is not the record that a digest signed: the log was rewritten up to here"
            )
        elif line.sequence == self._known[0] and line.hash != self._known[1]:
            self.report(name, number, "is not the record that the head file names")

    def _misplaced(self, line: Line) -> str | None:
        if self.last is None:
            return None
        if line.sequence != self.last.sequence + 1:
            return (
                f"is record {line.sequence} where record {self.last.sequence + 1} should be: "
                "dropped, repeated or reordered"
            )
        if line.previous != self.last.hash:
            return "does not follow the record before it"
        return None

    def _end_run(self) -> None:
        start, last = self._run_start, self.last
        if start is not None and last is not None:
            self.runs.append(Run(start.sequence, last.sequence, start.previous, last.hash))
        self._run_start = None

    def _compare(self, name: str, sealed: SealedFile, size_bytes: int, content_hash: str) -> None:
        reached = 0 if self.last is None else self.last.sequence
        if reached != sealed.last:
            self.report(name, None, f"ends with record {reached}, but was sealed with record {sealed.last}")
        elif (size_bytes, content_hash) != (sealed.size_bytes, sealed.hash):
            self.report(name, None, "is not the file that its digest describes: its SHA-256 is another")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; give an unfinished last one a moment, in case the agent is writing it just now."""
    while line := file.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
            time.sleep(_SETTLE_SECONDS)
            line += file.readline(MAX_LINE_BYTES - len(line))
        yield line
