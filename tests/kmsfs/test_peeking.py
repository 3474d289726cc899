"""The headers of files being opened are read where nobody else has to wait for the store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsfs.errors import WaitNeededError
from kmsfs.pace import Pace
from kmsfs.peeking import Peeking

LENGTH = 16
LONG_NS = 10_000_000


@pytest.fixture
def root_fd() -> Iterator[int]:
    """A store that is not in memory, and cannot tell what is cached."""
    opened = os.open("/proc", os.O_PATH)
    yield opened
    os.close(opened)


@pytest.fixture
def pace(root_fd: int) -> Pace:
    """Its pace; it has not been slow."""
    return Pace(root_fd, may_wait=True)


@pytest.fixture
def peeking(root_fd: int, pace: Pace) -> Iterator[Peeking]:
    """Peek on it."""
    made = Peeking(root_fd, LENGTH, pace, may_wait=True)
    yield made
    made.close()


@pytest.fixture
def slow(peeking: Peeking, pace: Pace) -> Peeking:
    """Peek on it when it has been slow."""
    pace.answered(pace.now() - LONG_NS)
    return peeking


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
    assert Peeking(fd, LENGTH, Pace(fd, may_wait=False), may_wait=False).read(fd, 7) == os.pread(
        fd, LENGTH, 0
    )


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


@pytest.fixture(autouse=True)
def file(tmp_path: Path) -> None:
    """Make the file that is opened ahead."""
    (tmp_path / "file").write_bytes(b"0123456789abcdef and more")


def opens_ahead(slow: Peeking, here: int, inode: int) -> WaitNeededError:
    """Return what has to be waited for before `file` is opened."""
    with pytest.raises(WaitNeededError) as wait:
        slow.open_ahead(here, b"file", inode, writable=False)
    return wait.value


def opened_now() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def test_opens_ahead_where_the_store_is_slow(slow: Peeking, here: int) -> None:
    """A thread opens and reads; who goes on has a descriptor and the header, and does not wait again."""
    inode = os.stat("file", dir_fd=here).st_ino
    wait = opens_ahead(slow, here, inode)
    assert not wait.asks_agent
    wait.work()
    fd = slow.take(inode)
    assert fd is not None
    assert slow.read(fd, inode) == b"0123456789abcdef"
    assert slow.status(fd, inode).st_ino == os.fstat(fd).st_ino == inode
    os.close(fd)
    slow.forget(inode)


def test_nothing_is_opened_ahead_of_a_quick_store(peeking: Peeking, here: int) -> None:
    """There it would only take longer."""
    peeking.open_ahead(here, b"file", 7, writable=False)
    assert peeking.take(7) is None


@pytest.mark.parametrize("name", [b"absent", b"file"])
def test_what_cannot_be_opened_ahead(slow: Peeking, here: int, name: bytes) -> None:
    """Where it is not there, or is something else by now: who opens it finds out, once and at once."""
    before = opened_now()
    with pytest.raises(WaitNeededError) as wait:
        slow.open_ahead(here, name, 7, writable=False)
    wait.value.work()
    slow.open_ahead(here, name, 7, writable=False)
    assert slow.take(7) is None
    assert opened_now() == before
    with pytest.raises(WaitNeededError) as wait:
        slow.open_ahead(here, name, 7, writable=False)
    wait.value.work()
    slow.close()


def test_nothing_stays_open_of_what_nobody_comes_for(slow: Peeking, here: int) -> None:
    """Two programs open one file: the second thread may be the slower one, and find that all is over."""
    before = opened_now()
    inode = os.stat("file", dir_fd=here).st_ino
    first, second, third = (opens_ahead(slow, here, inode) for _ in range(3))
    first.work()
    second.work()
    fd = slow.take(inode)
    slow.forget(inode)
    third.work()
    assert fd is not None
    os.close(fd)
    assert opened_now() == before
