"""Threads and processes that write, cut, rename and read the same files, checked against a model.

`KMSFS_THREADS_SECONDS` is how long each test goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from backgrounds import Place

SECONDS = float(os.environ.get("KMSFS_THREADS_SECONDS", "2"))
THREADS = 32
FILES = 6
BLOCK = 1 << 10
BLOCKS = 40


class ModelFile:
    """One file and what it holds; whoever has the lock may use both.

    Attributes:
        lock: of the file and of the model, so that each can be compared with the other at any time.
        content: what it holds.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.content = bytearray()


class Exactly:
    """Threads on a few files, each operation under the lock of its file: all that is read is known exactly.

    Each thread has descriptors of its own, opened at various times, also before the file was renamed.

    Args:
        top: an empty directory.
    """

    def __init__(self, top: Path) -> None:
        self.files = {f"{number}": ModelFile() for number in range(FILES)}
        self.names = {name: str(top / name) for name in self.files}
        self.top = str(top)
        self.until = time.monotonic() + SECONDS
        for path in self.names.values():
            os.close(os.open(path, os.O_CREAT, 0o600))

    def run(self, seed: int) -> int:
        """Do operations until the time is over; return how many."""
        chance = Random(seed)  # noqa: S311 - chooses operations
        opened: dict[str, int] = {}
        done = 0
        try:
            while time.monotonic() < self.until:
                name = chance.choice(list(self.files))
                model = self.files[name]
                with model.lock:
                    if name not in opened or chance.random() < 0.1:
                        if name in opened:
                            os.close(opened.pop(name))
                        opened[name] = os.open(self.names[name], os.O_RDWR)
                    chance.choice(self.operations)(self, name, opened[name], chance)
                done += 1
        finally:
            for fd in opened.values():
                os.close(fd)
        return done

    def write(self, name: str, fd: int, chance: Random) -> None:
        """Write somewhere, also beyond the end."""
        content = self.files[name].content
        offset, data = chance.randrange(60_000), chance.randbytes(chance.randrange(1, 20_000))
        assert os.pwrite(fd, data, offset) == len(data)
        content.extend(bytes(max(offset - len(content), 0)))
        content[offset : offset + len(data)] = data

    def cut(self, name: str, fd: int, chance: Random) -> None:
        """Set the size."""
        content = self.files[name].content
        size = chance.randrange(90_000)
        os.ftruncate(fd, size)
        del content[size:]
        content.extend(bytes(size - len(content)))

    def rename(self, name: str, _fd: int, chance: Random) -> None:
        """Give it another name; descriptors stay as good as they were."""
        new = f"{self.top}/{name} {chance.randrange(10)}" + "n" * chance.choice([0, 200])
        os.rename(self.names[name], new)
        self.names[name] = new

    def read(self, name: str, fd: int, chance: Random) -> None:
        """Read a part, or all by its name."""
        content = self.files[name].content
        offset, length = chance.randrange(90_000), chance.randrange(30_000)
        assert os.pread(fd, length, offset) == content[offset : offset + length]

    def read_all(self, name: str, fd: int, _chance: Random) -> None:
        """Read all, by its name."""
        content = self.files[name].content
        assert Path(self.names[name]).read_bytes() == content
        assert os.fstat(fd).st_size == len(content)

    def sync(self, _name: str, fd: int, _chance: Random) -> None:
        """Make it durable."""
        os.fsync(fd)

    operations: tuple[Callable[[Exactly, str, int, Random], None], ...] = (
        write, write, cut, rename, read, read, read_all, sync,
    )  # fmt: skip

    def check(self) -> None:
        """All files have their content and their names, and nothing else is there."""
        for name, model in self.files.items():
            assert Path(self.names[name]).read_bytes() == model.content
        assert sorted(os.listdir(self.top)) == sorted(map(os.path.basename, self.names.values()))


def check_after(volume: Place, check: Callable[[], None]) -> None:
    """Check now, and after a remount; and verify in between."""
    check()
    assert volume.umount().returncode == 0
    verified = volume.kmsfs("verify", "--deep", volume.ciphertext)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert volume.mount().returncode == 0
    check()


def test_exactly(volume: Place) -> None:
    """Whatever 32 threads do to the same files, each in its turn, every read gives what was written last."""
    exactly = Exactly(volume.mountpoint)
    with ThreadPoolExecutor(THREADS) as pool:
        counts = list(pool.map(exactly.run, range(THREADS)))
    assert min(counts) > 0
    check_after(volume, exactly.check)


# What a process does to files that all the others have open too, without any lock. A block says in which
# file and where it is, and whose, with a check sum: what is read is whole blocks of somebody.
RACER = f"""
import os, random, struct, sys, time, zlib

top, me, until = sys.argv[1], int(sys.argv[2]), time.time() + float(sys.argv[3])
chance = random.Random(me)
files = [os.open(top + "/%d" % number, os.O_RDWR) for number in range({FILES})]

def block(number, at, turn):
    head = struct.pack("<IIII", number, at, me, turn) * ({BLOCK} // 16 - 1)
    return head + struct.pack("<IIII", zlib.crc32(head), 0, 0, 0)

def is_whole(number, at):
    raw = os.pread(files[number], {BLOCK}, at * {BLOCK})
    if len(raw) < {BLOCK} or not any(raw):
        return True
    head = raw[: {BLOCK} - 16]
    if struct.unpack("<I", raw[{BLOCK} - 16 : {BLOCK} - 12])[0] != zlib.crc32(head):
        return False
    assert struct.unpack("<II", head[:8]) == (number, at), ("elsewhere", number, at, head[:8])
    return True

turn = 0
while time.time() < until:
    turn += 1
    number = chance.randrange({FILES})
    fd, at = files[number], chance.randrange({BLOCKS})
    what = chance.random()
    if what < 0.4:
        os.pwrite(fd, block(number, at, turn), at * {BLOCK})
    elif what < 0.5:
        os.ftruncate(fd, chance.randrange(at, {BLOCKS} + 1) * {BLOCK})
    elif what < 0.55:
        new = top + "/%d.%d" % (number, me)
        os.link(top + "/%d" % number, new)
        os.unlink(new)
    elif what < 0.6:
        os.fdatasync(fd)
    else:
        for step in range(at, min(at + 4, {BLOCKS})):
            # The kernel may copy a page out of the cache while it is written to, so one look is not enough.
            assert any(is_whole(number, step) for _ in range(20)), ("torn", number, step)
"""


def test_races(volume: Place) -> None:
    """Processes that write and cut the same files at once read whole blocks of somebody, at their places."""
    for number in range(FILES):
        (volume.mountpoint / str(number)).touch()
    with ExitStack() as stack:
        racers = []
        for me in range(THREADS // 4):
            command = [sys.executable, "-c", RACER, volume.mountpoint, str(me), str(SECONDS)]
            racers.append(stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True)))
            stack.callback(racers[-1].kill)
        for racer in racers:
            _, said = racer.communicate(timeout=SECONDS + 60)
            assert racer.returncode == 0, said

    def check() -> None:
        for number in range(FILES):
            content = (volume.mountpoint / str(number)).read_bytes()
            for start in range(0, len(content) - BLOCK + 1, BLOCK):
                raw = content[start : start + BLOCK]
                head, crc = raw[: BLOCK - 16], raw[BLOCK - 16 : BLOCK - 12]
                assert not any(raw) or zlib.crc32(head) == int.from_bytes(crc, "little")

    check_after(volume, check)


def test_names_in_races(volume: Place) -> None:
    """Where many make, link and remove the same names at once, every call is done, or refused and undone."""
    tops = [volume.mountpoint / name for name in ("a", "b", "c")]
    for top in tops:
        top.mkdir()
    until = time.monotonic() + SECONDS

    def run(seed: int) -> tuple[int, int]:
        """Return how many names this thread has made, and how many it has removed."""
        chance = Random(seed)  # noqa: S311 - chooses operations
        made = removed = 0
        while time.monotonic() < until:
            here, there = (os.path.join(chance.choice(tops), str(chance.randrange(8))) for _ in range(2))
            try:
                match chance.randrange(4):
                    case 0:
                        os.close(os.open(here, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                        made += 1
                    case 1:
                        os.unlink(here)
                        removed += 1
                    case 2:
                        os.link(here, there)
                        made += 1
                    case _:
                        os.stat(here)
            except (FileNotFoundError, FileExistsError):
                continue
        return made, removed

    with ThreadPoolExecutor(THREADS) as pool:
        counts = list(pool.map(run, range(THREADS)))
    left = sum(made - removed for made, removed in counts)
    assert sum(made for made, _ in counts) > 0

    def check() -> None:
        assert sum(len(os.listdir(top)) for top in tops) == left

    check_after(volume, check)


@pytest.mark.parametrize("size", [1, 4096, 100_000])
def test_appends(volume: Place, size: int) -> None:
    """What many threads append to one file is there, each piece whole and once."""
    path = volume.mountpoint / "log"
    each = max(200_000 // size // THREADS, 3) if size > 1 else 20

    def run(me: int) -> None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            for _ in range(each):
                assert os.write(fd, bytes([me]) * size) == size
        finally:
            os.close(fd)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))

    def check() -> None:
        content = path.read_bytes()
        assert len(content) == THREADS * each * size
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        assert sorted(pieces) == sorted(bytes([me]) * size for me in range(THREADS) for _ in range(each))

    check_after(volume, check)
