"""Owns pagination: cutting a sorted listing into pages, and markers that hold for one listing only.

A marker is the position of the last item sent, bound to the listing by a digest; it is opaque, not secret:
all it can do is to begin a page elsewhere in a listing that the caller may read anyway.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, TypeVar

from agent.api.errors import InvalidMarkerException

_DIGEST_SIZE: Final = 16

Item = TypeVar("Item")


def page(
    items: Sequence[Item], position: Callable[[Item], str], limit: int, marker: str | None, listing: str
) -> tuple[Sequence[Item], str | None]:
    """Return one page, and the marker of the next page; None on the last one.

    Args:
        items: the whole listing, sorted by `position`.
        position: gives the unique string by which an item is sorted.
        limit: the most items on a page.
        marker: where the page before ended; None for the first page.
        listing: names the operation and its filters; a marker holds for the listing that it came from.

    Raises:
        InvalidMarkerException: the marker is not one of this listing.
    """
    start = 0 if marker is None else bisect_right(items, _decode(marker, listing), key=position)
    end = start + limit
    chosen = items[start:end]
    return chosen, _encode(position(chosen[-1]), listing) if end < len(items) else None


def _encode(position: str, listing: str) -> str:
    return urlsafe_b64encode(_digest(position, listing) + position.encode()).decode().rstrip("=")


def _decode(marker: str, listing: str) -> str:
    try:
        raw = urlsafe_b64decode(marker + "=" * (-len(marker) % 4))
        position = raw[_DIGEST_SIZE:].decode()
    except (binascii.Error, ValueError):
        raise InvalidMarkerException from None
    if raw[:_DIGEST_SIZE] != _digest(position, listing):
        raise InvalidMarkerException
    return position


def _digest(position: str, listing: str) -> bytes:
    return sha256(f"{listing}\0{position}".encode()).digest()[:_DIGEST_SIZE]
