"""`kill -9` of the filesystem process while programs write: what was synced is there, and every file reads.

A writer process appends, overwrites, and creates files; after every fsync that returned it says so on a pipe.
The filesystem is killed after some of these, in the middle of whatever it does. Each block says which version
it is, so that after a remount every promise can be checked: a synced version or a later one, never an older.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mounts import Volume

BLOCK_BYTES = 3000
"""Not a multiple of the chunk size, so that blocks share chunks."""

WRITER = """
import itertools, os, random, sys

top, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
block_bytes = int(sys.argv[3])

def block(version):
    return (b"%08d" % version) * (block_bytes // 8)

def promise(*words):
    print(*words, flush=True)

log = os.open(top + "/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
table = os.open(top + "/table", os.O_CREAT | os.O_RDWR, 0o600)
directory = os.open(top, os.O_RDONLY)
for version in itertools.count(1):
    os.write(log, block(version))
    os.fsync(log)
    promise("log", version - 1, version)
    slots = [chance.randrange(64) for _ in range(4)]
    for slot in slots:
        os.pwrite(table, block(version), slot * block_bytes)
    os.fdatasync(table)
    for slot in slots:
        promise("table", slot, version)
    name = "file-%d" % version
    temporary = os.open(top + "/temporary", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    os.write(temporary, block(version))
    os.fsync(temporary)
    os.close(temporary)
    os.rename(top + "/temporary", top + "/" + name)
    os.fsync(directory)
    promise(name, 0, version)
    loose = os.open(top + "/loose-%d" % (version % 50), os.O_CREAT | os.O_WRONLY, 0o600)
    os.pwrite(loose, block(version), chance.randrange(200_000))
    os.ftruncate(loose, chance.randrange(300_000))
    os.close(loose)
"""

Promises = dict[tuple[str, int], int]
"""(file, block) → the newest version that was synced."""


def write_until_killed(volume: Volume, directory: Path, seed: int, promise_count: int) -> Promises:
    """Let a writer work, kill the filesystem after `promise_count` promises, and return all promises."""
    promises: Promises = {}
    command = [sys.executable, "-c", WRITER, str(directory), str(seed), str(BLOCK_BYTES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as writer:
        assert writer.stdout is not None
        try:
            for number, line in enumerate(writer.stdout, 1):
                name, slot, version = line.split()
                promises[name, int(slot)] = int(version)
                if number == promise_count:
                    volume.kill()
        finally:
            writer.kill()
    assert volume.process is None, "the writer stopped by itself"
    return promises


def versions_in(content: bytes) -> set[int]:
    """Return the versions that a block's cells carry; no cell of 8 bytes crosses a chunk's edge."""
    assert len(content) == BLOCK_BYTES
    return {int(content[start : start + 8]) for start in range(0, BLOCK_BYTES, 8)}


def check(directory: Path, promises: Promises) -> None:
    """Every promised block is there, of the promised version, or of a later one where it was overwritten."""
    for (name, slot), promised in promises.items():
        with (directory / name).open("rb") as file:
            found = versions_in(os.pread(file.fileno(), BLOCK_BYTES, slot * BLOCK_BYTES))
        if name == "table":
            assert min(found) >= promised, f"{name} block {slot} went back to {found}"
        else:
            assert found == {promised}, f"{name} block {slot} holds {found}"


@pytest.mark.parametrize("promise_count", [1, 7, 50, 400, 2500])
def test_synced_bytes_survive(volume: Volume, promise_count: int) -> None:
    """After a kill the volume mounts, holds every synced byte, and every file reads and takes new data."""
    promises: dict[Path, Promises] = {}
    for seed in range(3):
        directory = volume.path / f"round-{seed}"
        directory.mkdir()
        promises[directory] = write_until_killed(volume, directory, seed, promise_count)
        volume.mount()
        for earlier, promised in promises.items():
            check(earlier, promised)
        for path in directory.iterdir():
            path.read_bytes()
            with path.open("ab") as file:
                file.write(b"and on it goes")
            assert path.read_bytes().endswith(b"and on it goes")
    volume.remount()
    for directory, promised in promises.items():
        check(directory, promised)


def test_killed_while_idle(volume: Volume) -> None:
    """A mount killed with nothing to do has lost nothing, and the next one ends cleanly."""
    (volume.path / "file").write_bytes(b"kept")
    descriptor = os.open(volume.path / "file", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    volume.kill()
    volume.mount()
    assert (volume.path / "file").read_bytes() == b"kept"
    volume.remount()
    assert (volume.path / "file").read_bytes() == b"kept"
