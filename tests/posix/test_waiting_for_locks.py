"""Locks that programs wait for, and the ways of moving bytes other than read and write."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from backgrounds import Place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the mount is root's")

CONTENT = bytes(range(256)) * 1000
HEAD = """
import errno, fcntl, mmap, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
def lock(start, kind=fcntl.F_WRLCK, command=fcntl.F_SETLKW):
    fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, 0, start, 1, 0))
def say(word):
    print(word, flush=True)
"""
# What waits, by how the other program holds what it waits for. 38 is F_OFD_SETLKW.
WAITS = {
    "flock": ("fcntl.flock(fd, fcntl.LOCK_EX)", "fcntl.flock(fd, fcntl.LOCK_SH)"),
    "POSIX": ("lock(5)", "lock(5, fcntl.F_RDLCK)"),
    "of a description": ("lock(5, command=38)", "lock(5, command=38)"),
    "of a description, for POSIX": ("lock(5)", "lock(5, command=38)"),
}


@pytest.fixture
def file(posix_place: Place, request: pytest.FixtureRequest) -> Path:
    """A file on the mount, in a directory of its own."""
    directory = posix_place.mountpoint / f"{request.node.path.stem}.{request.node.name}"
    directory.mkdir()
    path = directory / "file"
    path.write_bytes(CONTENT)
    return path


class Program:
    """A program with `fd` open on a file, doing a line of Python at a time."""

    def __init__(self, path: Path) -> None:
        loop = f"{HEAD}\nfor line in sys.stdin:\n    exec(line)\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", loop, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.output = self._process.stdout

    def begin(self, line: str) -> None:
        """Have it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def do(self, line: str) -> None:
        """Have it do something, and wait until it is done."""
        self.begin(f"{line}; say('done')")
        assert self.heard() == "done"

    def heard(self) -> str:
        """Return the next word that it says."""
        return self.output.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def wait_until_blocked(file: Path) -> None:
    """Wait until somebody waits for a lock on the file: proc_locks(5)."""
    inode = f":{file.stat().st_ino} "
    while not any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()):
        os.sched_yield()


@pytest.mark.parametrize("kind", WAITS)
def test_waiting(file: Path, kind: str) -> None:
    """A program waits for a lock until the other one lets it go, by closing or by ending."""
    held, wanted = WAITS[kind]
    with Program(file) as holder, Program(file) as waiter:
        holder.do(held)
        waiter.begin(f"{wanted}; say('mine')")
        wait_until_blocked(file)
        holder.do("os.close(fd)")
        assert waiter.heard() == "mine"
        waiter.do("os.close(fd); fd = os.open(sys.argv[1], os.O_RDWR)")
    with Program(file) as waiter:
        with Program(file) as holder:
            holder.do(held)
            waiter.begin(f"{wanted}; say('mine')")
            wait_until_blocked(file)
        assert waiter.heard() == "mine"


def test_deadlock(file: Path) -> None:
    """Of two programs that would wait for each other for ever, one is told EDEADLK."""
    with Program(file) as first, Program(file) as second:
        first.do("lock(1)")
        second.do("lock(2)")
        first.begin("lock(2); say('mine')")
        wait_until_blocked(file)
        second.begin("exec('try: lock(1)\\nexcept OSError as error: say(os.strerror(error.errno))')")
        assert second.heard() == os.strerror(errno.EDEADLK)
        second.do("lock(2, fcntl.F_UNLCK)")
        assert first.heard() == "mine"


def test_mapped_here_and_there(file: Path) -> None:
    """Two programs see each other's stores, writes and reads of one file, also with O_DIRECT, at once."""
    with (
        Program(file) as other,
        file.open("r+b", buffering=0) as opened,
        mmap.mmap(opened.fileno(), 0) as mine,
    ):
        other.do("theirs = mmap.mmap(fd, 0)")
        other.do("raw = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT); page = mmap.mmap(-1, 4096)")
        for turn in range(20):
            at, word = turn * 8192 + 100, b"turn %4d" % turn
            mine[at : at + 9] = word
            for look in (f"theirs[{at}:{at + 9}]", f"os.pread(fd, 9, {at})"):
                other.begin(f"say({look}.decode())")
                assert other.heard() == word.decode()
            other.begin(f"os.preadv(raw, [page], {turn * 8192}); say(page[100:109].decode())")
            assert other.heard() == word.decode()
            other.do(f"theirs[{at}:{at + 9}] = b'answer  {turn % 10}'")
            assert os.pread(opened.fileno(), 9, at) == b"answer  %d" % (turn % 10)
            other.do(f"os.pwrite(fd, b'written {turn % 10}', {at})")
            assert mine[at : at + 9] == b"written %d" % (turn % 10)
            other.do(f"page[:] = b'D' * 4096; os.pwritev(raw, [page], {turn * 8192 + 4096})")
            assert mine[turn * 8192 + 4096 : turn * 8192 + 8192] == b"D" * 4096


def _splice(source: int, target: int) -> None:
    read_end, write_end = os.pipe()
    try:
        while count := os.splice(source, write_end, 1 << 16):
            while count:
                count -= os.splice(read_end, target, count)
    finally:
        os.close(read_end)
        os.close(write_end)


def _sendfile(source: int, target: int) -> None:
    while os.sendfile(target, source, None, 1 << 20):
        pass


def _copy_file_range(source: int, target: int) -> None:
    while os.copy_file_range(source, target, 1 << 20):
        pass


MOVES: dict[str, Callable[[int, int], None]] = {
    "splice": _splice,
    "sendfile": _sendfile,
    "copy_file_range": _copy_file_range,
}


@pytest.mark.parametrize("way", MOVES)
@pytest.mark.parametrize("outside", ["from", "to", "neither"])
def test_moves(file: Path, tmp_path: Path, way: str, outside: str) -> None:
    """Each way of copying inside the kernel copies from here, to here, and within, or says that it cannot."""
    source, target = file, file.with_name("copy")
    if outside == "from":
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
    elif outside == "to":
        target = tmp_path / "target"
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        try:
            MOVES[way](reading.fileno(), writing.fileno())
        except OSError as error:
            assert (way, error.errno) == ("copy_file_range", errno.EXDEV)  # noqa: PT017 - not across filesystems
            assert outside != "neither"
            return
    assert target.read_bytes() == CONTENT


def test_room_made_ahead(file: Path) -> None:
    """posix_fallocate(3) makes a file as long as asked for and changes nothing in it; or says it cannot."""
    with file.open("r+b", buffering=0) as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, len(CONTENT) + 50_000)
        except OSError as error:
            assert error.errno == errno.EOPNOTSUPP  # noqa: PT017 - either will do
            assert file.read_bytes() == CONTENT
        else:
            assert file.read_bytes() == CONTENT + bytes(50_000)
