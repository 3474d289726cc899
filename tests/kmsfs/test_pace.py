"""How quick a store is taken to be, and looking at names where it is slow."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from kmsfs.errors import WaitNeededError
from kmsfs.glancing import Glancing
from kmsfs.pace import Pace

if TYPE_CHECKING:
    from pathlib import Path

LONG_NS = 10_000_000
QUICK = 16


@pytest.fixture(autouse=True)
def file(tmp_path: Path) -> None:
    """Make the file that is looked at."""
    (tmp_path / "file").write_bytes(b"12345")


@pytest.fixture
def slow(here: int) -> Pace:
    """Give the pace of a store that has just been slow."""
    made = Pace(here, may_wait=True)
    made.answered(made.now() - LONG_NS)
    return made


def answer_quickly(pace: Pace) -> None:
    """Note an answer that came within the same moment."""
    pace.answered(time.monotonic_ns() + LONG_NS)


def test_one_slow_answer_counts_until_many_were_quick(slow: Pace) -> None:
    """Then it takes as many again."""
    for _ in range(2):
        for _ in range(QUICK):
            assert slow.is_slow
            answer_quickly(slow)
        assert not slow.is_slow
        answer_quickly(slow)
        assert not slow.is_slow
        slow.answered(slow.now() - LONG_NS)


@pytest.mark.parametrize(("path", "may_wait"), [("/dev/shm", True), ("/", False)])  # noqa: S108 - only looked at
def test_where_there_are_no_threads(path: str, *, may_wait: bool) -> None:
    """Neither in memory, nor where a command does nothing else, is anything slow."""
    fd = os.open(path, os.O_PATH)
    try:
        pace = Pace(fd, may_wait=may_wait)
        pace.answered(pace.now() - LONG_NS)
        assert not pace.is_slow
    finally:
        os.close(fd)


def waits(glancing: Glancing, here: int, name: bytes) -> WaitNeededError:
    """Look in vain; return what has to be waited for."""
    with pytest.raises(WaitNeededError) as wait:
        glancing.stat(here, 1, name)
    assert not wait.value.asks_agent
    return wait.value


def test_a_quick_store_is_looked_at_at_once(here: int) -> None:
    """The answer or the refusal comes from the call."""
    glancing = Glancing(Pace(here, may_wait=True))
    assert glancing.stat(here, 1, b"file").st_size == 5
    with pytest.raises(FileNotFoundError):
        glancing.stat(here, 1, b"absent")


def test_a_thread_looks_at_a_slow_store(here: int, slow: Pace) -> None:
    """Who asks again has what it saw, a refusal too, once; then it is looked at anew."""
    glancing = Glancing(slow)
    for _ in range(2):
        for name in (b"file", b"absent"):
            waits(glancing, here, name).work()
        assert glancing.stat(here, 1, b"file").st_size == 5
        with pytest.raises(FileNotFoundError):
            glancing.stat(here, 1, b"absent")


def test_several_ask_for_one_name(here: int, slow: Pace) -> None:
    """Each has an answer, whichever thread was first; the same name elsewhere is another one."""
    glancing = Glancing(slow)
    first, second = waits(glancing, here, b"file"), waits(glancing, here, b"file")
    second.work()
    for _ in range(2):
        assert glancing.stat(here, 1, b"file").st_size == 5
    first.work()
    waits(glancing, here, b"file")
    with pytest.raises(WaitNeededError):
        glancing.stat(here, 2, b"file")


def test_it_may_be_quick_by_then(here: int, slow: Pace) -> None:
    """What was waited for is used, and who has not asked before is answered at once."""
    glancing = Glancing(slow)
    wait = waits(glancing, here, b"file")
    for _ in range(QUICK):
        answer_quickly(slow)
    wait.work()
    os.unlink("file", dir_fd=here)
    assert glancing.stat(here, 1, b"file").st_size == 5
    with pytest.raises(FileNotFoundError):
        glancing.stat(here, 1, b"file")
