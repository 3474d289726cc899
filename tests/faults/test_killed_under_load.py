"""`kill -9` of the filesystem, and of the agent, while several programs write: what was synced is there.

Each writer keeps a tree of its own: a log that it appends to, a table of blocks that it overwrites, files
that it replaces by renaming, directories that come and go. It says on a pipe what has been synced.
A write that the kill cuts short costs its chunk (ADR 8): one for each time, no more.
`KMSFS_KILL_ROUNDS` is how many times the filesystem is killed.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import trees
from agents import RunningAgent
from backgrounds import Place
from kmsfs.cli.codes import ExitCode

ROUNDS = int(os.environ.get("KMSFS_KILL_ROUNDS", "2"))
WRITERS = 3
PATIENCE_SECONDS = 60
BLOCK_BYTES = 3000
CHUNK_BYTES = 4096

# A block is its number and version again and again; none of its cells crosses the edge of a chunk.
WRITER = f"""
import itertools, json, os, random, sys

top, chance = sys.argv[1], random.Random(sys.argv[2])

def block(slot, version):
    return (b"%03d:%04d" % (slot, version)) * ({BLOCK_BYTES} // 8)

def say(*words):
    sys.stdout.write(json.dumps(words) + chr(10))
    sys.stdout.flush()

def durable(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

os.mkdir(top)
log = os.open(top + "/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
table = os.open(top + "/table", os.O_CREAT | os.O_RDWR, 0o600)
for version in itertools.count(1):
    os.write(log, block(0, version))
    os.fsync(log)
    say("log", version)
    slots = [chance.randrange(32) for _ in range(3)]
    say("writing", slots)
    for slot in slots:
        os.pwrite(table, block(slot, version), slot * {BLOCK_BYTES})
    os.fdatasync(table)
    say("table", slots, version)
    name = chance.randrange(12)
    with open(top + "/new", "wb") as file:
        file.write(block(name, version) * chance.randrange(1, 9))
        file.flush()
        os.fsync(file.fileno())
    os.rename(top + "/new", top + "/%d" % name)
    durable(top)
    say("file", name, version)
    directory = top + "/directory %d" % chance.randrange(4)
    if os.path.isdir(directory):
        for inner in os.listdir(directory):
            os.unlink(directory + "/" + inner)
        os.rmdir(directory)
    else:
        os.mkdir(directory)
        open(directory + "/loose", "wb").write(block(1, version))
        os.truncate(directory + "/loose", chance.randrange(9000))
"""


class Promises:
    """What one writer has said to be durable; the newest of each."""

    def __init__(self) -> None:
        self.log = 0
        self.table: dict[int, int] = {}
        self.files: dict[int, int] = {}
        self.writing: list[int] = []

    def take(self, words: list[object]) -> None:
        """Note one promise, or what is about to be written to the table."""
        match words:
            case ["writing", list(slots)]:
                self.writing = slots
            case ["log", int(version)]:
                self.log = version
            case ["table", list(slots), int(version)]:
                self.table |= dict.fromkeys(slots, version)
            case ["file", int(name), int(version)]:
                self.files[name] = version
            case _:
                raise AssertionError(words)

    def check(self, top: Path) -> None:
        """All of it is there, in this version or a later one, and nothing is there that was never written.

        Chunks that were being written and cannot be read are left out.
        """
        log, lost = content(top / "log")
        assert all(index >= self.log * BLOCK_BYTES // CHUNK_BYTES for index in lost)
        assert len(log) >= self.log * BLOCK_BYTES
        for version in range(1, self.log + 1):
            if not chunks_of_block(version - 1) & lost:
                start = (version - 1) * BLOCK_BYTES
                assert versions(log[start : start + BLOCK_BYTES], 0) == {version}
        table, lost = content(top / "table")
        # The last block's too: its chunk is made whole when the table grows.
        written = [*self.writing, max(self.table, default=0)]
        assert lost <= {index for slot in written for index in chunks_of_block(slot)}
        for slot, promised in self.table.items():
            if not chunks_of_block(slot) & lost:
                found = versions(table[slot * BLOCK_BYTES :][:BLOCK_BYTES], slot)
                assert min(found) >= promised, f"block {slot} went back from {promised} to {found}"
        for name, promised in self.files.items():
            # A file is replaced as a whole, so all of it is of one version.
            (found_version,) = versions((top / str(name)).read_bytes(), name)
            assert found_version >= promised


def content(path: Path) -> tuple[bytes, set[int]]:
    """Return what a file holds, and the indices of chunks that cannot be read; they are zeros."""
    pieces: list[bytes] = []
    lost: set[int] = set()
    fd = os.open(path, os.O_RDONLY)
    try:
        # One bad chunk would cost all that is read ahead with it.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        size = os.fstat(fd).st_size
        for index in range(-(-size // CHUNK_BYTES)):
            length = min(CHUNK_BYTES, size - index * CHUNK_BYTES)
            try:
                pieces.append(os.pread(fd, length, index * CHUNK_BYTES))
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                pieces.append(bytes(length))
                lost.add(index)
    finally:
        os.close(fd)
    return b"".join(pieces), lost


def chunks_of_block(index: int) -> set[int]:
    """Return the chunks that a block of a log or a table lies in."""
    first, last = index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES - 1
    return set(range(first // CHUNK_BYTES, last // CHUNK_BYTES + 1))


def versions(content: bytes, slot: int) -> set[int]:
    """Return which versions the cells of some blocks are of; each must be of this slot."""
    assert content
    assert len(content) % 8 == 0
    cells = {content[start : start + 8] for start in range(0, len(content), 8)}
    found = set()
    for cell in cells:
        number, version = cell.split(b":")
        assert int(number) == slot
        found.add(int(version))
    return found


Deeds = Mapping[int, Callable[[], object]]
"""After how many promises what is done; the last of it ends the filesystem."""


def write_until_killed(tops: Sequence[Path], seed: str, deeds: Deeds) -> list[Promises]:
    """Let writers work, each below its own top, until the filesystem is gone and all have noticed."""
    promises = [Promises() for _ in tops]
    with ExitStack() as stack:
        pipes = {}
        for number, top in enumerate(tops):
            command = [sys.executable, "-c", WRITER, str(top), f"{seed} {number}"]
            writer = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            stack.callback(writer.kill)
            assert writer.stdout is not None
            pipes[writer.stdout] = promises[number]
        heard = 0
        while pipes:
            ready, _, _ = select.select(list(pipes), [], [], PATIENCE_SECONDS)
            assert ready, "a writer hangs"
            for pipe in ready:
                line = pipe.readline()
                if not line:
                    del pipes[pipe]
                    continue
                words = json.loads(line)
                pipes[pipe].take(words)
                if words[0] != "writing":
                    heard += 1
                    deeds.get(heard, bool)()
    assert heard >= max(deeds), "the writers stopped by themselves"
    return promises


def kill(volume: Place) -> None:
    """End the filesystem, in the middle of whatever it does."""
    volume.signal(signal.SIGKILL)
    assert volume.has_ended()


def check_all(volume: Place, kept: Sequence[tuple[Path, Promises]], kills: int) -> int:
    """Every promise is kept, and every file can be read, but for the chunks that kills have cost.

    Returns how many those are.
    """
    for top, promised in kept:
        promised.check(top)
    lost = sum(len(content(path)[1]) for path in trees.below(volume.mountpoint) if path.is_file())
    assert lost <= kills
    return lost


def check_unmounted(volume: Place, lost: int) -> None:
    """After unmounting, everything authenticates but for so many chunks."""
    assert volume.umount().returncode == 0
    verified = volume.kmsfs("verify", "--deep", volume.ciphertext)
    assert (verified.returncode == 0) == (lost == 0), verified.stdout + verified.stderr


def test_filesystem_killed(own_volume: Place) -> None:
    """Killed at any moment, a volume mounts again with every synced byte, and all of it authenticates.

    But for a chunk that was just being written.
    """
    volume = own_volume
    chance = Random("moments")  # noqa: S311 - chooses moments
    kept: list[tuple[Path, Promises]] = []
    assert volume.mount().returncode == 0
    for turn in range(ROUNDS):
        tops = [volume.mountpoint / f"{turn} {number}" for number in range(WRITERS)]
        promises = write_until_killed(tops, str(turn), {chance.randrange(1, 300): partial(kill, volume)})
        mounted = volume.mount()
        assert mounted.returncode == 0, mounted.stderr
        kept += [(top, promised) for top, promised in zip(tops, promises, strict=True) if promised.log]
        lost = check_all(volume, kept, turn + 1)
    check_unmounted(volume, lost)


def test_agent_killed(own_volume: Place, running_agent: RunningAgent) -> None:
    """Writers do not notice that the agent is killed and comes back; a crashed volume waits for it."""
    volume = own_volume
    assert volume.mount().returncode == 0
    tops = [volume.mountpoint / str(number) for number in range(WRITERS)]
    deeds = {
        20: running_agent.kill,
        60: running_agent.start,
        90: running_agent.kill,
        130: partial(kill, volume),
    }
    promises = write_until_killed(tops, "agent", deeds)
    before = trees.snapshot(volume.ciphertext)
    assert volume.mount().returncode == ExitCode.NO_AGENT
    assert trees.snapshot(volume.ciphertext) == before
    running_agent.start()
    mounted = volume.mount()
    assert mounted.returncode == 0, mounted.stderr
    lost = check_all(volume, list(zip(tops, promises, strict=True)), 1)
    check_unmounted(volume, lost)
