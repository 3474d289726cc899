"""Heads of requests that were read before and need not be read again, since clients send the same ones.

What a head says depends on its bytes alone, so h11's reading of it is kept, for heads that say nothing but a
request of a known length on a connection that stays open. Knows no socket and no limit but its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import h11

MAX_HEADS: Final = 64
MAX_HEAD_BYTES: Final = 1024

_END: Final = b"\r\n\r\n"
# The first three change what comes after; of requests with the last, no two have the same head.
_NEVER_KEPT: Final = frozenset({b"connection", b"expect", b"transfer-encoding", b"authorization"})
_VERSION: Final = b"1.1"


@dataclass(frozen=True, slots=True)
class Head:
    """What a head said; ``headers`` have lower-case names."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body_bytes: int


class Heads:
    """The last heads that were read, by their bytes."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Head] = OrderedDict()

    def match(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return what the head says and the body, if the data is one whole request with a known head."""
        size_bytes = _size(data)
        head = self._known.get(data[:size_bytes])
        if head is None or len(data) != size_bytes + head.body_bytes:
            return None
        return head, data[size_bytes:]

    def remember(self, data: bytes, request: h11.Request) -> None:
        """Keep what h11 made of a request that began with this data, if it can be kept."""
        raw = data[: _size(data)]
        headers = tuple(request.headers)
        sizes = [value for name, value in headers if name == b"content-length"]
        if (
            not 0 < len(raw) <= MAX_HEAD_BYTES
            # h11 takes a bare line feed for the end of a line: the blank line might be another one then.
            or raw.count(b"\n") != raw.count(b"\r\n")
            or request.http_version != _VERSION
            or len(sizes) != 1
            or not _NEVER_KEPT.isdisjoint(name for name, _ in headers)
        ):
            return
        self._known[raw] = Head(request.method, request.target, headers, int(sizes[0]))
        if len(self._known) > MAX_HEADS:
            self._known.popitem(last=False)


def _size(data: bytes) -> int:
    """Return the size of the head that the data begins with, or 0 if it is not whole."""
    return data.find(_END) + len(_END) if _END in data else 0
