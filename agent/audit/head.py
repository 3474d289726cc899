"""Owns the head file: how far a log has got, kept beside it so that a cut tail is noticed.

One JSON object: `sequence` and `hash` of a record, and `digests`, how many there are. It is written only
after that record and those digests are durable, so it never runs ahead of an untouched log.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.audit.chain import HASH_DIGITS, Link
from agent.audit.errors import AuditUnavailableError
from agent.durable import replace_file

_MAX_HEAD_BYTES: Final = 4096


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sequence: int
    hash: str
    digests: int


@dataclass(frozen=True, slots=True)
class Head:
    """A link, and the number of the newest digest."""

    link: Link
    digests: int


def read_head(path: Path) -> Head | None:
    """Return the head, or None if there is no such file.

    Raises:
        AuditUnavailableError: it is there but makes no sense.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_HEAD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AuditUnavailableError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        wire = msgspec.json.decode(content, type=_Wire)
    except (ValueError, RecursionError) as error:
        raise AuditUnavailableError(f"{path} is damaged; restore it from a backup.") from error
    if wire.sequence < 0 or wire.digests < 0 or len(wire.hash) != HASH_DIGITS:
        raise AuditUnavailableError(f"{path} is damaged; restore it from a backup.")
    return Head(Link(wire.sequence, wire.hash), wire.digests)


def write_head(path: Path, head: Head) -> None:
    """Replace the head file.

    Raises:
        OSError: the disk did not take it.
    """
    wire = _Wire(head.link.sequence, head.link.digest, head.digests)
    replace_file(path, msgspec.json.encode(wire) + b"\n")
