"""Owns token buckets: how many requests may come how fast. Knows neither requests nor callers.

A bucket holds up to `burst` tokens, gains `per_second`, and gives one to each request.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

MAX_BUCKETS: Final = 4096
"""More are not remembered: then the fullest half is forgotten, and counts as full again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast tokens come, and how many can be saved up; at least 1."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that were there at a moment, in seconds of the caller's clock."""

    tokens: float
    at: float


def refilled(bucket: Bucket, rate: Rate, now: float) -> Bucket:
    """Return a bucket as it is at `now`; a clock that was set back takes no tokens away."""
    gained = max(0.0, now - bucket.at) * rate.per_second
    return Bucket(min(rate.burst, bucket.tokens + gained), now)


def taken(bucket: Bucket, rate: Rate, now: float) -> Bucket | None:
    """Return what is left once a request has had its token; None if there is none for it."""
    full = refilled(bucket, rate, now)
    return Bucket(full.tokens - 1, now) if full.tokens >= 1 else None


class Throttle:
    """Buckets by name; those that nobody asked for yet are full. For one thread."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[Hashable, Bucket] = {}

    def take(self, name: Hashable, rate: Rate, now: float) -> bool:
        """Take a token for a request; return whether there was one."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._forget_half()
            bucket = Bucket(rate.burst, now)
        left = taken(bucket, rate, now)
        if left is None:
            return False
        self._buckets[name] = left
        return True

    def _forget_half(self) -> None:
        fullest = sorted(self._buckets, key=lambda name: -self._buckets[name].tokens)
        for name in fullest[: MAX_BUCKETS // 2]:
            del self._buckets[name]
