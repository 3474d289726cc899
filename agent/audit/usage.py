"""Owns the index of each key's last use, as the log tells it, and the checkpoint that shortens reading.

The index follows the log: a use counts once its record is durable, before its answer leaves. The checkpoint
holds the index as it was at one record, and is signed, so that nobody can hide a use by editing it; records
after that one are read again at the next start, and all of them if there is no checkpoint to trust.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from agent.api.enums import KeyLastUsageOperation
from agent.audit import layout, signed
from agent.audit.chain import Link
from agent.audit.reading import Record, is_key_arn, lines_of, parse
from agent.crypto.digestkey import DigestKey, PublicKey
from agent.durable import replace_file
from agent.keys.usage import LastUsage

_TRACKED: Final[Mapping[str, KeyLastUsageOperation]] = {
    operation.value: operation for operation in KeyLastUsageOperation
}
_DELETION: Final = "DeleteKey"
_NOTHING: Final = Link(-1, "")  # the first record, whichever it is, follows a gap


class _Checkpoint(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    usage_version: Literal["1"]
    sequence: int
    hash: str
    tracking_start: float
    keys: dict[str, tuple[str, float, str, str]]


class UsageIndex:
    """When each key was last used.

    Args:
        tracking_start: since when uses are known, seconds since the epoch.
    """

    __slots__ = ("_last", "tracking_start")

    def __init__(self, tracking_start: float) -> None:
        self.tracking_start = tracking_start
        self._last: dict[str, LastUsage] = {}

    def last(self, key_arn: str) -> LastUsage | None:
        """Return the last successful cryptographic operation with a key; None if there was none."""
        return self._last.get(key_arn)

    def note(
        self, event_name: str, arns: Iterable[str], event_time: float, event_id: str, request_id: str
    ) -> None:
        """Take in an event that went well; those that use no key material are ignored.

        Args:
            event_name: the operation.
            arns: the resources concerned.
            event_time: seconds since the epoch; records hold whole ones.
            event_id: the record's.
            request_id: as the caller was told.
        """
        operation = _TRACKED.get(event_name)
        if operation is not None:
            use = LastUsage(operation, float(int(event_time)), event_id, request_id)
            for arn in arns:
                if is_key_arn(arn):
                    self._last[arn] = use
        elif event_name == _DELETION:
            for arn in arns:
                self._last.pop(arn, None)

    def note_record(self, record: Record) -> None:
        """Take in a record that was read back."""
        if record.error_code is None and (record.event_name in _TRACKED or record.event_name == _DELETION):
            arns = [resource.arn for resource in record.resources]
            time = _seconds(record.event_time)
            self.note(record.event_name, arns, time, record.event_id, record.request_id)

    def copy(self) -> "UsageIndex":
        """Return the index as it is now."""
        other = UsageIndex(self.tracking_start)
        other._last = self._last.copy()
        return other

    def checkpoint(self, end: Link, key: DigestKey) -> bytes:
        """Return the index as of the end of the chain, to be kept in a file; slow if there are many keys."""
        keys = {
            arn: (use.operation.value, use.timestamp, use.event_id, use.request_id)
            for arn, use in self._last.items()
        }
        checkpoint = _Checkpoint("1", end.sequence, end.digest, self.tracking_start, keys)
        return signed.seal(msgspec.json.encode(checkpoint), key)

    def restore(self, keys: Mapping[str, tuple[str, float, str, str]]) -> None:
        """Take in what a checkpoint holds: operation, time, event and request by key."""
        for arn, (name, time, event_id, request_id) in keys.items():
            self._last[arn] = LastUsage(KeyLastUsageOperation(name), time, event_id, request_id)


def write_checkpoint(log_path: Path, content: bytes) -> None:
    """Replace the checkpoint.

    Raises:
        OSError: the disk did not take it.
    """
    replace_file(layout.usage_path(log_path), content)


def rebuild(log_path: Path, key: PublicKey, end: Link, now: float) -> UsageIndex:
    """Read the index from the checkpoint and the records after it.

    Records that were moved away since the checkpoint leave a gap; tracking begins after it.

    Args:
        log_path: the log.
        key: what its checkpoint is signed with.
        end: where the log ends.
        now: when tracking begins if there are no records.

    Raises:
        OSError: a file cannot be read.
    """
    checkpoint = _read_checkpoint(layout.usage_path(log_path), key)
    if checkpoint is not None and checkpoint.sequence <= end.sequence:
        index = UsageIndex(checkpoint.tracking_start)
        index.restore(checkpoint.keys)
        if _follow(index, log_path, Link(checkpoint.sequence, checkpoint.hash)):
            return index
    index = UsageIndex(now)
    _follow(index, log_path, _NOTHING)
    return index


def _follow(index: UsageIndex, log_path: Path, known: Link) -> bool:
    """Take in all records after a known one; False if the log has another record in its place."""
    sequence = known.sequence
    for record in _records_since(log_path, sequence):
        place = record.chain
        if place.sequence == known.sequence and place.hash != known.digest:
            return False
        if place.sequence <= known.sequence:
            continue
        if place.sequence != sequence + 1:
            index.tracking_start = _seconds(record.event_time)
        index.note_record(record)
        sequence = place.sequence
    return True


def _records_since(log_path: Path, sequence: int) -> Iterator[Record]:
    """Yield the records from the file that holds that one, or from the oldest that is there."""
    paths = layout.log_paths(log_path)
    first = 0
    for number in range(len(paths) - 1, 0, -1):
        record = next(_records_of(paths[number]), None)
        if record is not None and record.chain.sequence <= sequence:
            first = number
            break
    for path in paths[first:]:
        yield from _records_of(path)


def _records_of(path: Path) -> Iterator[Record]:
    return (record for record in map(parse, lines_of(path)) if record is not None)


def _read_checkpoint(path: Path, key: PublicKey) -> _Checkpoint | None:
    """Return the checkpoint; None if there is none that this agent signed."""
    try:
        return msgspec.json.decode(signed.unseal(path.read_bytes(), key), type=_Checkpoint)
    except (FileNotFoundError, signed.SignatureError, ValueError, RecursionError):
        return None


def _seconds(event_time: str) -> float:
    return datetime.fromisoformat(event_time).timestamp()
