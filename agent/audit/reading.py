"""Owns reading records back: which files there are, and what of a record others ask for.

Streams, one line at a time. Verifies nothing: that is `agent.audit.checking`, which shares no code with this.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from agent.audit.chain import MAX_LINE_BYTES
from agent.audit.layout import sealed_paths


class Identity(msgspec.Struct, frozen=True, rename="camel"):
    """A record's `userIdentity`."""

    type: str = ""
    arn: str = ""
    invoked_by: str = ""

    @property
    def name(self) -> str:
        """The caller's ARN, or what stands for one that has none."""
        return self.arn or self.invoked_by or self.type


class Resource(msgspec.Struct, frozen=True):
    """One of a record's `resources`."""

    arn: str = msgspec.field(name="ARN")


class Chain(msgspec.Struct, frozen=True):
    """A record's place in the log."""

    sequence: int
    hash: str


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """What questions are asked about; the other members of a record are skipped."""

    event_name: str
    event_time: str
    chain: Chain
    request_id: str = msgspec.field(default="", name="requestID")
    event_id: str = msgspec.field(default="", name="eventID")
    source_ip_address: str = msgspec.field(default="", name="sourceIPAddress")
    error_code: str | None = None
    user_identity: Identity = Identity()
    resources: tuple[Resource, ...] = ()

    @property
    def key_arns(self) -> tuple[str, ...]:
        """The keys concerned, aliases left out."""
        return tuple(resource.arn for resource in self.resources if is_key_arn(resource.arn))


def is_key_arn(arn: str) -> bool:
    """Tell whether an ARN in a record is a key's rather than an alias's."""
    return ":key/" in arn


def parse(line: bytes) -> Record | None:
    """Return the record in a line; None if it is none."""
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None


def lines(log_path: Path) -> Iterator[bytes]:
    """Yield all whole lines of a log that are still there, the oldest first; the agent may be writing to it.

    Raises:
        OSError: a file cannot be read.
    """
    read = set[Path]()
    while True:
        for path in sealed_paths(log_path):
            if path not in read:
                read.add(path)
                yield from lines_of(path)
        with _opened(log_path) as file:
            # Opened first, looked around afterwards: otherwise a file might be sealed in between and missed.
            if read.issuperset(sealed_paths(log_path)):
                yield from _whole_lines(file)
                return


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of one file; none if it is not there.

    Raises:
        OSError: it cannot be read.
    """
    with _opened(path) as file:
        yield from _whole_lines(file)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return BytesIO()


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
        yield line


_DECODER: Final = msgspec.json.Decoder(Record)
