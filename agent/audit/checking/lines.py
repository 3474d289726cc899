"""Owns what a line of the log must be for itself. Pure; shares no code with what writes lines."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

_CHAIN: Final = re.compile(
    rb',"chain":\{"sequence":(?P<sequence>[1-9][0-9]{0,18}),"previous":"(?P<previous>[0-9a-f]{64})"'
    rb'(?P<end>,"hash":"(?P<hash>[0-9a-f]{64})"\}\}\n)\Z'
)
_CHAIN_BYTES: Final = 512


class LineError(Exception):
    """The line is not as it was written; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line whose hash fits it.

    Attributes:
        sequence: its number in the log, from 1.
        previous: hash of the line before, as this one says.
        hash: its own.
        event_time: as recorded.
    """

    sequence: int
    previous: str
    hash: str
    event_time: str | None


def read(content: bytes) -> Line:
    """Return what a line says.

    Raises:
        LineError: it is none, or was edited.
    """
    if not content.endswith(b"\n"):
        raise LineError("is incomplete: it was cut, or a crash left it unfinished")
    found = _CHAIN.search(content, max(len(content) - _CHAIN_BYTES, 0))
    record = _object(content)
    if found is None or record is None:
        raise LineError("is not an audit record")
    digest = hashlib.sha256(content[: found.start("end")]).hexdigest()
    if digest != found["hash"].decode():
        raise LineError("was edited: its hash does not fit its content")
    event_time = record.get("eventTime")
    return Line(
        int(found["sequence"]),
        found["previous"].decode(),
        digest,
        event_time if isinstance(event_time, str) else None,
    )


def _object(content: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
