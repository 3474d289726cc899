"""Owns looking out for the next request without sleep, and that idle processors are ready meanwhile.

Between two requests a program works for some microseconds. So the next one is looked for again and again for
a while, then waited for during a millisecond; after that it is the event loop's turn. The program sleeps too,
until it has its answer, and waking the idle processor that it is on can take longer than the answer did. So
while requests come one after the other, the kernel is asked to have idle processors ready (PM QoS,
Documentation/power/pm_qos_interface.rst). Sleeping then takes little longer than looking, and leaves the
processor to programs that have something to do. Knows nothing of what a request is.
"""

import os
import struct
import time
from typing import Final

from kmsfs.fuse.channel import Channel

_POLL_MILLISECONDS: Final = 1
# About a quarter of a millisecond: a program that works on the mount sends its next request sooner than that.
_LOOKS: Final = 300
# Where processors are kept ready, sleep costs no more than so many: some ten microseconds.
_SHORT_LOOKS: Final = 15
# Where giving way takes as long as this, others need the processor more than we do.
_BUSY_NANOSECONDS: Final = 100_000
# So many requests in a row, each soon after the one before, are a program at work.
_STREAK: Final = 64
# The request is to all processors: of more than these, too many would be awake for nothing.
_MOST_PROCESSORS: Final = 4
_LATENCY_DEVICE: Final = "/dev/cpu_dma_latency"
_NO_LATENCY: Final = struct.pack("=i", 0)
# PM_QOS_CPU_LATENCY_DEFAULT_VALUE: no wish.
_ANY_LATENCY: Final = struct.pack("=i", 2_000_000_000)


class Lookout:
    """Waits for the requests of one mount.

    Args:
        channel: where they come from.
        polls: look for them; otherwise sleep at once.

    Attributes:
        is_ready: idle processors are kept ready now.
    """

    __slots__ = ("_has_request", "_latency_fd", "_looks", "_streak", "is_ready")

    def __init__(self, channel: Channel, *, polls: bool) -> None:
        self._has_request = channel.has_request
        # With one processor, the program that is waited for could not run meanwhile.
        self._looks = _LOOKS if polls and len(os.sched_getaffinity(0)) > 1 else 0
        self._latency_fd = -1
        if self._looks and (os.cpu_count() or _MOST_PROCESSORS + 1) <= _MOST_PROCESSORS:
            self._latency_fd = _latency_fd()
        self._streak = 0
        self.is_ready = False

    def comes_soon(self) -> bool:
        """Say whether the next request comes within a millisecond or so."""
        seen = self._seen_at_once() if self.is_ready else self._seen()
        if not seen and not self._has_request(_POLL_MILLISECONDS):
            self.rest()
            return False
        self._streak += 1
        if self._streak == _STREAK and self._latency_fd >= 0:
            self.is_ready = self._wish(_NO_LATENCY)
        return True

    def rest(self) -> None:
        """Let other processors sleep as they like."""
        if self.is_ready:
            self._wish(_ANY_LATENCY)
            self.is_ready = False
        self._streak = 0

    def close(self) -> None:
        """Have no wish any more."""
        if self._latency_fd >= 0:
            os.close(self._latency_fd)
            self._latency_fd = -1

    def _seen_at_once(self) -> bool:
        has_request = self._has_request
        return any(has_request(0) for _ in range(_SHORT_LOOKS))

    def _seen(self) -> bool:
        has_request = self._has_request
        before = time.monotonic_ns()
        for _ in range(self._looks):
            os.sched_yield()
            if has_request(0):
                return True
            now = time.monotonic_ns()
            if now - before > _BUSY_NANOSECONDS:
                break
            before = now
        return False

    def _wish(self, latency: bytes) -> bool:
        """Say what latency is wished for; False if nobody takes such wishes any more."""
        try:
            os.write(self._latency_fd, latency)
        except OSError:
            return False
        return True


def _latency_fd() -> int:
    """Open what takes such wishes, which end with the descriptor; -1 where there is none for this user."""
    try:
        return os.open(_LATENCY_DEVICE, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return -1
