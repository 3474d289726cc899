"""Looking out for requests: on a pipe, which is readable or not as a mount's device is."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from backgrounds import Place
from kmsfs.fuse.channel import Channel
from kmsfs.fuse.lookout import Lookout

DEVICE = "/dev/cpu_dma_latency"
PATIENCE_SECONDS = 20


@pytest.fixture
def wishing() -> None:
    """A machine on which a mount has wishes, and nobody else has the same one for good."""
    if not os.access(DEVICE, os.R_OK | os.W_OK) or not 1 < (os.cpu_count() or 1) <= 4:
        pytest.skip("only root on two to four processors has wishes")
    if not nobody_wishes():
        pytest.skip("somebody else keeps the processors of this machine awake")


def wished() -> int:
    """Return the least latency that anybody wishes for, in microseconds."""
    with open(DEVICE, "rb", buffering=0) as device:
        (latency,) = struct.unpack("=i", device.read(4))
    return int(latency)


def nobody_wishes() -> bool:
    """Wait until nobody wishes for none; mounts of other tests do, for moments."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wished() == 0:
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def open_files() -> set[str]:
    """Return what this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        # It may be closed by now, or lie too deep for readlink(2).
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


@contextmanager
def looking(*, polls: bool = True) -> Iterator[tuple[Lookout, int, int]]:
    """Give a lookout and the pipe that it looks at, the end for reading first."""
    reading, writing = os.pipe()
    subject = Lookout(Channel(reading), polls=polls)
    try:
        yield subject, reading, writing
    finally:
        subject.close()
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("polls", [True, False])
def test_what_is_there_is_seen(polls: bool) -> None:  # noqa: FBT001 - a table's column
    """A request that is there comes soon, one that is not does not, whether it is looked for or slept for."""
    with looking(polls=polls) as (subject, _, writing):
        assert not subject.comes_soon()
        os.write(writing, b"request")
        assert subject.comes_soon()


def wishes(subject: Lookout) -> bool:
    """Have requests come one after the other until there is a wish."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wished():
        # Under load one may be slept for, and the row begins again.
        assert subject.comes_soon()
        if time.monotonic() > deadline:
            return False
    return True


@pytest.mark.usefixtures("wishing")
def test_a_program_at_work_keeps_processors_awake() -> None:
    """From a row of requests on, until one does not come; then again."""
    with looking() as (subject, reading, writing):
        for _ in range(2):
            os.write(writing, b"request")
            assert nobody_wishes()
            assert wishes(subject)
            os.read(reading, 100)
            assert not subject.comes_soon()
            assert nobody_wishes()


@pytest.mark.usefixtures("wishing")
@pytest.mark.parametrize("end", [Lookout.rest, Lookout.close], ids=["rest", "close"])
def test_the_wish_ends(end: Callable[[Lookout], None]) -> None:
    """When the loop sleeps, and with the mount."""
    with looking() as (subject, _, writing):
        os.write(writing, b"request")
        assert wishes(subject)
        end(subject)
        assert nobody_wishes()


@pytest.mark.usefixtures("wishing")
def test_no_wish_where_many_would_be_kept_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none with more than four processors, nor where nothing is looked for."""
    with looking():
        assert DEVICE in open_files()
    with looking(polls=False):
        assert DEVICE not in open_files()
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    with looking():
        assert DEVICE not in open_files()


@pytest.mark.usefixtures("wishing")
def test_a_program_that_waits_for_the_store(mounted: Place) -> None:
    """It has the wish too, which ends when it has done with the mount, though a sync came last."""
    fd = os.open(mounted.mountpoint / "log", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while wished():
            os.pwrite(fd, b"entry", 0)
            os.fdatasync(fd)
            assert time.monotonic() < deadline
        os.fdatasync(fd)
        assert nobody_wishes()
    finally:
        os.close(fd)
