"""What the benchmark measures: one generator per stage, each measurement in its own unit.

Every time taken includes closing or syncing what was written, so that a filesystem with a writeback cache
pays for what it put off. "Cold" means after a remount. Knows nothing of which filesystem is below.
"""

from __future__ import annotations

import io
import os
import random
import sqlite3
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

MIB = 1 << 20
PAGE_BYTES = 4096
SEQUENTIAL_BYTES = 256 * MIB
RANDOM_FILE_BYTES = 64 * MIB
RANDOM_REQUESTS = 4000
SMALL_FILES = 2000
APPENDS = 4096
COMMITS = 200
TREE_DIRECTORIES = 170
TREE_FILES = 1700
NEEDLE = "needle-in-the-tree"


class MountedVolume(Protocol):
    """What a stage needs of the volume it runs on."""

    path: Path

    def remount(self) -> None:
        """Forget everything cached."""

    def resident_bytes(self) -> int:
        """Return the memory of the filesystem process."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure: `value` in `unit`, and whether more is better."""

    name: str
    value: float
    unit: str
    more_is_better: bool = False


Stage = Callable[[MountedVolume, Path], Iterator[Measurement]]


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _rate(name: str, size_bytes: int, action: Callable[[], object]) -> Measurement:
    return Measurement(name, size_bytes / _seconds(action) / 1e6, "MB/s", more_is_better=True)


def _each(name: str, count: int, action: Callable[[], object]) -> Measurement:
    return Measurement(name, _seconds(action) / count * 1e6, "µs")


def _whole(name: str, command: list[str]) -> Measurement:
    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return Measurement(name, _seconds(run), "s")


def sequential(volume: MountedVolume, _: Path) -> Iterator[Measurement]:
    """Write one large file in 1 MiB calls, sync it, and read it cold."""
    block = os.urandom(MIB)
    buffer = bytearray(MIB)

    def write() -> None:
        with (volume.path / "large").open("wb", buffering=0) as file:
            for _ in range(SEQUENTIAL_BYTES // MIB):
                file.write(block)
            os.fsync(file.fileno())

    def read() -> None:
        with (volume.path / "large").open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    yield _rate("sequential write", SEQUENTIAL_BYTES, write)
    volume.remount()
    yield _rate("sequential read, cold", SEQUENTIAL_BYTES, read)
    (volume.path / "large").unlink()


def random_access(volume: MountedVolume, _: Path) -> Iterator[Measurement]:
    """Overwrite and read single pages of one file in random order."""
    path = volume.path / "random"
    path.write_bytes(os.urandom(MIB) * (RANDOM_FILE_BYTES // MIB))
    pages = random.Random(1).choices(range(RANDOM_FILE_BYTES // PAGE_BYTES), k=RANDOM_REQUESTS)  # noqa: S311 - the same order for every system
    page = os.urandom(PAGE_BYTES)

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            for number in pages:
                os.pwrite(file.fileno(), page, number * PAGE_BYTES)
            os.fsync(file.fileno())

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            for number in pages:
                os.pread(file.fileno(), PAGE_BYTES, number * PAGE_BYTES)

    volume.remount()
    yield _each("random 4 KiB write", RANDOM_REQUESTS, write)
    volume.remount()
    yield _each("random 4 KiB read, cold", RANDOM_REQUESTS, read)
    path.unlink()


def small_files(volume: MountedVolume, _: Path) -> Iterator[Measurement]:
    """Create, stat, read and unlink files of 4 KiB in one directory."""
    directory = volume.path / "small"
    directory.mkdir()
    names = [str(directory / f"file-{number:05}") for number in range(SMALL_FILES)]
    page = os.urandom(PAGE_BYTES)

    def create() -> None:
        for name in names:
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(fd, page)
            os.close(fd)

    def read() -> None:
        for name in names:
            fd = os.open(name, os.O_RDONLY)
            os.read(fd, PAGE_BYTES)
            os.close(fd)

    def stat() -> None:
        for name in names:
            os.stat(name)

    def unlink() -> None:
        for name in names:
            os.unlink(name)

    yield _each("create 4 KiB file", SMALL_FILES, create)
    volume.remount()
    yield _each("stat, cold", SMALL_FILES, stat)
    volume.remount()
    yield _each("open + read, cold", SMALL_FILES, read)
    yield _each("unlink", SMALL_FILES, unlink)
    directory.rmdir()


def make_archive(path: Path) -> None:
    """Write a tar archive like a source tree: sizes to 200 KB, median about 5 KB, the same each time."""
    chance = random.Random(2)  # noqa: S311 - the same tree for every system
    words = [f"{chance.getrandbits(32):x}" for _ in range(500)]
    with tarfile.open(path, "w") as archive:
        for number in range(TREE_DIRECTORIES):
            entry = tarfile.TarInfo(f"tree/directory-{number % 17:02}/part-{number:03}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for number in range(TREE_FILES):
            size_bytes = min(int(chance.lognormvariate(8.5, 1.3)), 200_000)
            text = " ".join(chance.choices(words, k=size_bytes // 8 + 2))[:size_bytes]
            content = (NEEDLE if number % 100 == 0 else "").encode() + text.encode()
            part = chance.randrange(TREE_DIRECTORIES)
            entry = tarfile.TarInfo(f"tree/directory-{part % 17:02}/part-{part:03}/file-{number}.txt")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def tree(volume: MountedVolume, scratch: Path) -> Iterator[Measurement]:
    """Unpack a source tree, walk it, search it and remove it, with the usual programs."""
    archive = scratch / "tree.tar"
    if not archive.exists():
        make_archive(archive)
    top = str(volume.path / "tree")
    yield _whole("untar, 1,700 files", ["tar", "-xf", str(archive), "-C", str(volume.path)])
    volume.remount()
    yield _whole("du, cold", ["du", "-s", top])
    volume.remount()
    yield _whole("grep -r, cold", ["grep", "-r", NEEDLE, top])
    yield _whole("grep -r, warm", ["grep", "-r", NEEDLE, top])
    yield _whole("rm -rf", ["rm", "-rf", top])


def sqlite(volume: MountedVolume, _: Path) -> Iterator[Measurement]:
    """Commit one small row at a time, synchronous=FULL, with either journal."""
    for journal in ("delete", "wal"):
        path = volume.path / f"{journal}.db"
        database = sqlite3.connect(path, isolation_level=None)
        database.execute(f"PRAGMA journal_mode={journal}")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE record (id INTEGER PRIMARY KEY, content BLOB)")
        row = os.urandom(100)

        def commit(database: sqlite3.Connection = database, row: bytes = row) -> None:
            for _ in range(COMMITS):
                database.execute("INSERT INTO record (content) VALUES (?)", (row,))

        label = {"delete": "rollback journal", "wal": "WAL"}[journal]
        yield _each(f"SQLite commit, {label}", COMMITS, commit)
        database.close()
        path.unlink()


def appends(volume: MountedVolume, _: Path) -> Iterator[Measurement]:
    """Append to a log in write(2) calls of 4 KiB."""
    path = volume.path / "log"
    page = os.urandom(PAGE_BYTES)

    def append() -> None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for _ in range(APPENDS):
            os.write(fd, page)
        os.fsync(fd)
        os.close(fd)

    yield _each("append 4 KiB", APPENDS, append)
    path.unlink()


def memory(volume: MountedVolume, _: Path) -> Iterator[Measurement]:
    """Take the memory of the filesystem process when fresh, and after 2,000 files came and went."""
    volume.remount()
    yield Measurement("memory, idle", volume.resident_bytes() / 1e6, "MB")
    for number in range(SMALL_FILES):
        (volume.path / f"file-{number}").touch()
        (volume.path / f"file-{number}").unlink()
    yield Measurement("memory, after 2,000 files", volume.resident_bytes() / 1e6, "MB")


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "sequential": sequential,
        "random": random_access,
        "small": small_files,
        "tree": tree,
        "sqlite": sqlite,
        "appends": appends,
        "memory": memory,
    }
)
