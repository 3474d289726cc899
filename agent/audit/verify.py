"""Owns the check that an audit log is what the agent wrote. Shares no code with what writes it.

Found, from the log alone: a record edited, dropped, inserted, repeated or reordered; the beginning cut off;
a last line that is incomplete. Found with the head file beside it: records missing at the end, as far back
as the head reaches (it is written at a clean stop, at each start and every 1024 records), and a head or log
that belongs to another chain.

Not found: a tail cut by at most the records since the head was last written, on a machine where the agent
was killed and has not been started since (a running agent notices at its next record, a starting one if the
head is ahead); and a log rewritten to its end by someone who can also rewrite the head file: hashes have no
key. Keep copies of `audit.head` elsewhere to find that.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from agent.audit.errors import AuditVerificationError

_MAX_LINE_BYTES: Final = 4 * 1024 * 1024
_SETTLE_SECONDS: Final = 0.2
_FIRST_PREVIOUS: Final = "0" * 64
_CHAIN: Final = re.compile(
    rb',"chain":\{"sequence":(?P<sequence>[1-9][0-9]{0,18}),"previous":"(?P<previous>[0-9a-f]{64})"'
    rb'(?P<end>,"hash":"(?P<hash>[0-9a-f]{64})"\}\}\n)\Z'
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a log that is whole contains.

    Attributes:
        records: how many records there are.
        first: time of the first, as recorded; None if there is none.
        last: time of the last.
        digest: hash of the last record, 64 hexadecimal digits.
        head_sequence: the record up to which the head file vouches that nothing is missing at the end.
    """

    records: int
    first: str | None
    last: str | None
    digest: str
    head_sequence: int


def verify(path: Path) -> Verification:
    """Check a log from its first to its last record; the agent may be writing to it.

    Raises:
        AuditVerificationError: it is not what the agent wrote; names the first line that is wrong.
        OSError: it cannot be read.
    """
    head_sequence, head_hash = _read_head(path.with_suffix(".head"))
    previous, first, last, count = _FIRST_PREVIOUS, None, None, 0
    with path.open("rb") as file:
        for line in _lines(file):
            count += 1
            previous, event_time = _check(count, line, previous)
            first, last = first or event_time, event_time
            if count == head_sequence and previous != head_hash:
                raise AuditVerificationError(count, "is not the record that the head file names")
    if count < head_sequence:
        raise AuditVerificationError(
            count + 1, f"is missing: the head file vouches for {head_sequence} records, the log has {count}"
        )
    return Verification(count, first, last, previous, head_sequence)


def _check(number: int, line: bytes, previous: str) -> tuple[str, str | None]:
    """Return the hash and the time of a line that follows on `previous`."""
    if not line.endswith(b"\n"):
        raise AuditVerificationError(number, "is incomplete: it was cut, or a crash left it unfinished")
    found = _CHAIN.search(line, max(len(line) - 512, 0))
    record = _object(line)
    if found is None or record is None:
        raise AuditVerificationError(number, "is not an audit record")
    digest = hashlib.sha256(line[: found.start("end")]).hexdigest()
    if digest != found["hash"].decode():
        raise AuditVerificationError(number, "was edited: its hash does not fit its content")
    sequence = int(found["sequence"])
    if sequence != number:
        raise AuditVerificationError(
            number, f"is record {sequence} where record {number} should be: dropped, repeated or reordered"
        )
    if found["previous"].decode() != previous:
        raise AuditVerificationError(number, "does not follow the record before it")
    event_time = record.get("eventTime")
    return digest, event_time if isinstance(event_time, str) else None


def _object(line: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; give an unfinished last one a moment, in case the agent is writing it just now."""
    while line := file.readline(_MAX_LINE_BYTES):
        if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
            time.sleep(_SETTLE_SECONDS)
            line += file.readline(_MAX_LINE_BYTES - len(line))
        yield line


def _read_head(path: Path) -> tuple[int, str]:
    """Return the record that the head file names, and its hash."""
    try:
        head = json.loads(path.read_bytes()[:4096])
        sequence, digest = head["sequence"], head["hash"]
    except FileNotFoundError:
        raise AuditVerificationError(None, f"{path} is missing") from None
    except (ValueError, KeyError, TypeError):
        raise AuditVerificationError(None, f"{path} is damaged") from None
    if not isinstance(sequence, int) or not isinstance(digest, str) or sequence < 0:
        raise AuditVerificationError(None, f"{path} is damaged")
    return sequence, digest
