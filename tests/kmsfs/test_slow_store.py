"""A mount on a store that is slow to answer: names, files and directories, many at once, nobody held up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backgrounds import Place, user_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents import RunningAgent

SLOW_SERVER = Path(__file__).parents[2] / "bench" / "slowserver.py"
DELAY = "user.bench.delay-ms"
# Longer than what others do meanwhile can take; so a mount that holds them up fails the test, and ends.
LONG_MS = b"60000"
FILES = 100


@pytest.fixture
def slow_place(tmp_path: Path, shared_agent: RunningAgent) -> Iterator[Place]:
    """Make a volume on a slow store, with some files in it, and mount it; the store is quick for now."""
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
        (place.mountpoint / "few").mkdir()
        (place.mountpoint / "many").mkdir()
        for number in range(FILES):
            (place.mountpoint / "many" / f"{number:03}").write_bytes(content(number))
        for name in ("slow", "other"):
            (place.mountpoint / name).write_bytes(f"content of {name}".encode())
        remount(place)
        yield place
    finally:
        if place.ciphertext.is_mount():
            for kind in ("read", "lookup"):
                be_slow(place, kind, b"0")
            os.setxattr(place.ciphertext, DELAY, b"0")
        place.discard()
        server.kill()
        server.wait()


def content(number: int) -> bytes:
    """Return what one of the many files holds."""
    return f"number {number} ".encode() * (number * 7)


def remount(place: Place) -> None:
    """Have the kernel forget what it knows."""
    assert place.umount().returncode == 0
    assert place.mount().returncode == 0


def be_slow(place: Place, kind: str, milliseconds: bytes = LONG_MS) -> None:
    """Have the store take long for the next request of a kind; what takes long now is answered at once."""
    os.setxattr(place.ciphertext, f"user.bench.slow-next-{kind}-ms", milliseconds)


def until_one_is_slow(place: Place, kind: str) -> None:
    """Wait until the store has been asked for what it takes long for."""
    while os.getxattr(place.ciphertext, f"user.bench.slow-{kind}s") == b"0":
        time.sleep(0.01)


def test_opening_that_waits_holds_nobody_up(slow_place: Place) -> None:
    """While the store does not answer for one file's content, others are found, made, read and removed."""
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((slow_place.mountpoint / "slow").read_bytes()))
    be_slow(slow_place, "read")
    reader.start()
    until_one_is_slow(slow_place, "read")
    assert (slow_place.mountpoint / "other").read_bytes() == b"content of other"
    (slow_place.mountpoint / "new").write_bytes(b"new")
    (slow_place.mountpoint / "new").unlink()
    assert read == []
    be_slow(slow_place, "read", b"0")
    reader.join()
    assert read == [b"content of slow"]


def test_name_that_is_waited_for_holds_nobody_up(slow_place: Place) -> None:
    """While the store does not answer for one name, others are found, made, read and listed elsewhere.

    Once it is known to be slow: until then it is asked where everybody waits.
    """
    os.setxattr(slow_place.ciphertext, DELAY, b"2")
    many = slow_place.mountpoint / "many"
    few = slow_place.mountpoint / "few"
    assert not (few / "absent").exists()
    found: list[bool] = []
    finder = threading.Thread(target=lambda: found.append((few / "not there").exists()))
    be_slow(slow_place, "lookup")
    finder.start()
    until_one_is_slow(slow_place, "lookup")
    assert (many / "003").read_bytes() == content(3)
    assert len(os.listdir(many)) == FILES
    (many / "new").write_bytes(b"new")
    (many / "new").unlink()
    assert found == []
    be_slow(slow_place, "lookup", b"0")
    finder.join()
    assert found == [False]


def test_many_programs_at_once(slow_place: Place) -> None:
    """They all find and read what there is, see what is not there, and list all of it."""
    os.setxattr(slow_place.ciphertext, DELAY, b"2")
    many = slow_place.mountpoint / "many"
    numbers = [number for number in range(FILES) for _ in range(2)]
    with ThreadPoolExecutor(16) as pool:
        listed = [pool.submit(lambda: sorted(os.listdir(many))) for _ in range(4)]
        absent = [pool.submit((many / f"absent-{number}").exists) for number in range(20)]
        sizes = [pool.submit(lambda entry: entry.stat().st_size, entry) for entry in os.scandir(many)]
        read = list(pool.map(lambda number: (many / f"{number:03}").read_bytes(), numbers))
    assert read == [content(number) for number in numbers]
    names = [f"{number:03}" for number in range(FILES)]
    assert [future.result() for future in listed] == [names] * 4
    assert not any(future.result() for future in absent)
    assert sum(future.result() for future in sizes) == sum(len(content(number)) for number in range(FILES))


def test_commands_on_the_mount(slow_place: Place) -> None:
    """What a mount does for commands waits in its own way."""
    os.setxattr(slow_place.ciphertext, DELAY, b"2")
    few = slow_place.mountpoint / "few"
    for number in range(3):
        (few / str(number)).write_bytes(content(number))
    for command in (("policy", "show"), ("policy", "set", "--chunk-size", "64K"), ("rewrap", "--files")):
        target = slow_place.mountpoint if command[0] == "rewrap" else few
        done = slow_place.kmsfs(*command, target)
        assert done.returncode == 0, done.stderr
    done = slow_place.kmsfs("reencrypt", "--recursive", few)
    assert done.returncode == 0, done.stderr
    for number in range(3):
        assert (few / str(number)).read_bytes() == content(number)


def test_changes_beside_lookups(slow_place: Place) -> None:
    """Files are made, renamed, replaced and removed while others look: each is found whole, or not there."""
    os.setxattr(slow_place.ciphertext, DELAY, b"1")
    place, rounds = slow_place.mountpoint / "many", 30
    ended = threading.Event()

    def look() -> set[bytes]:
        seen: set[bytes] = set()
        while not ended.is_set():
            for name in ("here", "there"):
                try:
                    seen.add((place / name).read_bytes())
                except FileNotFoundError:
                    seen.add(b"nothing")
        return seen

    with ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(look) for _ in range(4)]
        try:
            for number in range(rounds):
                (place / "here").write_bytes(b"whole %d" % number)
                (place / "here").rename(place / "there")
                if number % 3 == 0:
                    (place / "there").unlink()
        finally:
            ended.set()
    allowed = {b"nothing", b""} | {b"whole %d" % number for number in range(rounds)}
    for future in looking:
        assert future.result() <= allowed
    assert (place / "there").read_bytes() == b"whole %d" % (rounds - 1)
