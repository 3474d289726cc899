"""The headers of files being opened are read where nobody else has to wait for the store."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import RunningAgent
from backgrounds import Place, user_of
from kmsfs.errors import WaitNeededError
from kmsfs.peeking import Peeking

SLOW_SERVER = Path(__file__).parents[2] / "bench" / "slowserver.py"
SLOW_NEXT_READ = "user.bench.slow-next-read-ms"
SLOW_READS = "user.bench.slow-reads"
# Longer than what others do meanwhile can take; so a mount that holds them up fails the test, and ends.
LONG_MS = b"60000"
LENGTH = 16


@pytest.fixture
def peeking() -> Iterator[Peeking]:
    """Peek on a store that is not in memory, and cannot tell what is cached."""
    root_fd = os.open("/proc", os.O_PATH)
    yield Peeking(root_fd, LENGTH, may_wait=True)
    os.close(root_fd)


@pytest.fixture
def fd() -> Iterator[int]:
    """Open a file of such a store."""
    opened = os.open("/proc/version", os.O_RDONLY)
    yield opened
    os.close(opened)


def waits(peeking: Peeking, fd: int) -> WaitNeededError:
    """Read in vain; return what has to be waited for."""
    with pytest.raises(WaitNeededError) as wait:
        peeking.read(fd, 7)
    return wait.value


def test_reads_in_the_call_unless_it_may_wait(fd: int) -> None:
    """A command that does nothing else meanwhile gets its header at once."""
    assert Peeking(fd, LENGTH, may_wait=False).read(fd, 7) == os.pread(fd, LENGTH, 0)


def test_what_a_thread_has_read_is_good_for_one_opening(peeking: Peeking, fd: int) -> None:
    """Once the first of several has gone on, the next reads anew, as the file may have changed."""
    first, second = waits(peeking, fd), waits(peeking, fd)
    assert not first.asks_agent
    first.work()
    assert peeking.read(fd, 7) == os.pread(fd, LENGTH, 0)
    assert peeking.status(-1, 7).st_ino == os.fstat(fd).st_ino
    peeking.forget(7)
    second.work()
    waits(peeking, fd).work()
    assert peeking.read(fd, 7) == os.pread(fd, LENGTH, 0)


def test_descriptor_is_kept_for_who_goes_on(peeking: Peeking, fd: int) -> None:
    """It is given back once, and closed with what is forgotten or replaced."""
    assert peeking.take(7) is None
    replaced, given, forgotten, left = (os.dup(fd) for _ in range(4))
    peeking.keep(replaced, 7)
    peeking.keep(given, 7)
    assert peeking.take(7) == given
    assert peeking.take(7) is None
    peeking.keep(forgotten, 7)
    peeking.forget(7)
    peeking.keep(left, 8)
    peeking.close()
    os.close(given)
    for closed in (replaced, forgotten, left):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)


def test_forgotten_is_read_anew(peeking: Peeking, fd: int) -> None:
    """Nothing is left of a file whose number another has now, even where its thread is still reading."""
    slow = waits(peeking, fd)
    waits(peeking, fd).work()
    peeking.forget(7)
    slow.work()
    waits(peeking, fd).work()


def test_file_shorter_than_a_header_is_told(peeking: Peeking, tmp_path: Path) -> None:
    """What is not there is not waited for again and again."""
    (tmp_path / "empty").touch()
    fd = os.open(tmp_path / "empty", os.O_RDONLY)
    try:
        waits(peeking, fd).work()
        assert peeking.read(fd, 7) == b""
    finally:
        os.close(fd)


def test_failure_of_the_store_is_the_openings(peeking: Peeking) -> None:
    """The thread raises nothing; the opening that comes back does, and the next one tries again."""
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        waits(peeking, fd).work()
        with pytest.raises(OSError, match="Input/output error"):
            peeking.read(fd, 7)
        peeking.forget(7)
        waits(peeking, fd).work()
    finally:
        os.close(fd)


def test_opening_that_waits_holds_nobody_up(tmp_path: Path, shared_agent: RunningAgent) -> None:
    """While the store does not answer the opening of one file, other files are made, read and removed."""
    place = Place(tmp_path, user_of(shared_agent))
    held = tmp_path / "held"
    held.mkdir()
    place.ciphertext.mkdir()
    server = subprocess.Popen([sys.executable, "-P", SLOW_SERVER, held, place.ciphertext])
    try:
        while not place.ciphertext.is_mount():
            assert server.poll() is None
            time.sleep(0.01)
        place.init()
        assert place.mount().returncode == 0
        (place.mountpoint / "slow").write_bytes(b"content of the slow one")
        (place.mountpoint / "other").write_bytes(b"content of the other")
        assert place.umount().returncode == 0
        assert place.mount().returncode == 0
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append((place.mountpoint / "slow").read_bytes()))
        os.setxattr(place.ciphertext, SLOW_NEXT_READ, LONG_MS)
        reader.start()
        while os.getxattr(place.ciphertext, SLOW_READS) == b"0":
            time.sleep(0.01)
        assert (place.mountpoint / "other").read_bytes() == b"content of the other"
        (place.mountpoint / "new").write_bytes(b"new")
        (place.mountpoint / "new").unlink()
        assert read == []
        os.setxattr(place.ciphertext, SLOW_NEXT_READ, b"0")
        reader.join()
        assert read == [b"content of the slow one"]
        assert place.umount().returncode == 0
    finally:
        if place.ciphertext.is_mount():
            os.setxattr(place.ciphertext, SLOW_NEXT_READ, b"0")
        place.discard()
        server.kill()
        server.wait()
