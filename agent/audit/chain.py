"""Owns how records are chained into lines. Pure; knows nothing of files or of what records say.

A line is the record's JSON object with one more member at its end:

    {…record…,"chain":{"sequence":N,"previous":"HEX","hash":"HEX"}}

`sequence` counts from 1. `hash` is the SHA-256 of all bytes of the line before `,"hash":`, and `previous`
is the hash of the line before, 64 zeros in the first. So every byte is covered as it stands and nothing has
to be canonical. The chain has no key: it shows that a log was changed, not that whoever rewrites all of it
to the end is forging.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
HASH_DIGITS: Final = 64

_HASH_AT: Final = b',"hash":"'
_END: Final = b'"}}\n'
TAIL_BYTES: Final = len(_HASH_AT) + HASH_DIGITS + len(_END)


class BrokenChainError(Exception):
    """A line is not the next one of its chain."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: how many records there are up to here, and the hash of the last."""

    sequence: int
    digest: str


GENESIS: Final = Link(0, "0" * HASH_DIGITS)


def extend(link: Link, record: bytes) -> tuple[bytes, Link]:
    """Return the line that adds a record, with its newline, and the link after it.

    Args:
        link: the end of the chain so far.
        record: a JSON object with at least one member, on one line.
    """
    covered = b'%b,"chain":{"sequence":%d,"previous":"%b"' % (
        record[:-1],
        link.sequence + 1,
        link.digest.encode(),
    )
    digest = hashlib.sha256(covered).hexdigest()
    return b"".join((covered, _HASH_AT, digest.encode(), _END)), Link(link.sequence + 1, digest)


def digest_of(line: bytes) -> str:
    """Return the hash of a line that was read back.

    Raises:
        BrokenChainError: the line was changed.
    """
    covered, tail = line[:-TAIL_BYTES], line[-TAIL_BYTES:]
    digest = hashlib.sha256(covered).hexdigest()
    if tail != b"".join((_HASH_AT, digest.encode(), _END)):
        raise BrokenChainError
    return digest


def follow(link: Link, line: bytes) -> Link:
    """Return the link after a line that was read back.

    Raises:
        BrokenChainError: the line was changed, or is not the one that follows `link`.
    """
    chained = b',"chain":{"sequence":%d,"previous":"%b"' % (link.sequence + 1, link.digest.encode())
    digest = digest_of(line)
    if not line[:-TAIL_BYTES].endswith(chained):
        raise BrokenChainError
    return Link(link.sequence + 1, digest)
