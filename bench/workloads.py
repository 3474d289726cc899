"""What is measured on one volume by one client: content, small files, trees, databases, memory.

Every time taken includes closing or syncing what was written, so that a filesystem with a writeback cache
pays for what it put off. "Cold" means after a remount. Knows nothing of which filesystem is below.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import sqlite3
import subprocess
import tarfile
from typing import TYPE_CHECKING

from measuring import MIB, Measurement, Meter, MountedVolume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sizes import Sizes

PAGE_BYTES = 4096
NEEDLE = "needle-in-the-tree"


def sequential(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Write one large file in 1 MiB calls, sync it, and read it cold."""
    meter, block, buffer = Meter(volume), os.urandom(MIB), bytearray(MIB)

    def write() -> None:
        with (volume.path / "large").open("wb", buffering=0) as file:
            for _ in range(sizes.sequential_mib):
                file.write(block)
            os.fsync(file.fileno())

    def read() -> None:
        with (volume.path / "large").open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    yield meter.rate("sequential write", sizes.sequential_mib * MIB, write)
    volume.remount()
    yield meter.rate("sequential read, cold", sizes.sequential_mib * MIB, read)


def random_access(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Overwrite and read single pages of one file in random order, cold and then from the kernel's cache."""
    meter, path = Meter(volume), volume.path / "random"
    path.write_bytes(os.urandom(MIB) * sizes.random_mib)
    pages = range(sizes.random_mib * MIB // PAGE_BYTES)
    order = random.Random(1).choices(pages, k=sizes.random_requests)  # noqa: S311 - the same order for every system
    page = os.urandom(PAGE_BYTES)

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            for number in order:
                os.pwrite(file.fileno(), page, number * PAGE_BYTES)
            os.fsync(file.fileno())

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            for number in order:
                os.pread(file.fileno(), PAGE_BYTES, number * PAGE_BYTES)

    def read_warm() -> None:
        for number in order * sizes.warm_repeats:
            os.pread(fd, PAGE_BYTES, number * PAGE_BYTES)

    volume.remount()
    yield meter.each("random 4 KiB write", sizes.random_requests, write)
    volume.remount()
    yield meter.each("random 4 KiB read, cold", sizes.random_requests, read)
    fd = os.open(path, os.O_RDONLY)
    try:
        while os.read(fd, MIB):
            pass
        yield meter.each("read 4 KiB, warm", sizes.random_requests * sizes.warm_repeats, read_warm)
    finally:
        os.close(fd)


def small_files(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Create, stat, read and unlink files of 4 KiB in one directory."""
    meter, directory = Meter(volume), volume.path / "small"
    directory.mkdir()
    count, repeats = sizes.small_files, sizes.warm_repeats
    names = [str(directory / f"file-{number:05}") for number in range(count)]
    yield meter.each("create 4 KiB file", count, lambda: _create(names))
    volume.remount()
    yield meter.each("stat, cold", count, lambda: _stat(names))
    yield meter.each("stat, warm", count * repeats, lambda: _stat(names * repeats))
    volume.remount()
    yield meter.each("open + read, cold", count, lambda: _read(names))
    yield meter.each("open + read, warm", count, lambda: _read(names))
    yield meter.each("unlink", count, lambda: _unlink(names))


def _create(names: list[str]) -> None:
    page = os.urandom(PAGE_BYTES)
    for name in names:
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, page)
        os.close(fd)


def _stat(names: list[str]) -> None:
    for name in names:
        os.stat(name)


def _read(names: list[str]) -> None:
    for name in names:
        fd = os.open(name, os.O_RDONLY)
        os.read(fd, PAGE_BYTES)
        os.close(fd)


def _unlink(names: list[str]) -> None:
    for name in names:
        os.unlink(name)


def make_archive(path: Path, sizes: Sizes) -> None:
    """Write a tar archive like a source tree: sizes to 200 KB, median about 5 KB, the same each time."""
    chance = random.Random(2)  # noqa: S311 - the same tree for every system
    words = [f"{chance.getrandbits(32):x}" for _ in range(500)]
    with tarfile.open(path, "w") as archive:
        for number in range(sizes.tree_directories):
            entry = tarfile.TarInfo(f"tree/directory-{number % 17:02}/part-{number:03}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for number in range(sizes.tree_files):
            size_bytes = min(int(chance.lognormvariate(8.5, 1.3)), 200_000)
            text = " ".join(chance.choices(words, k=size_bytes // 8 + 2))[:size_bytes]
            content = (NEEDLE if number % 100 == 0 else "").encode() + text.encode()
            part = chance.randrange(sizes.tree_directories)
            entry = tarfile.TarInfo(f"tree/directory-{part % 17:02}/part-{part:03}/file-{number}.txt")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def tree(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Unpack a source tree, walk it, search it and remove it, with the usual programs."""
    meter, archive = Meter(volume), volume.scratch / "tree.tar"
    if not archive.exists():
        make_archive(archive, sizes)
    top, count = str(volume.path / "tree"), sizes.tree_files
    yield meter.command("untar", count, ["tar", "-xf", str(archive), "-C", str(volume.path)])
    volume.remount()
    yield meter.command("du, cold", count, ["du", "-s", top])
    volume.remount()
    yield meter.command("grep -r, cold", count, ["grep", "-r", NEEDLE, top])
    yield meter.command("grep -r, warm", count, ["grep", "-r", NEEDLE, top])
    yield meter.command("rm -rf", count, ["rm", "-rf", top])


def transfer(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Bring a source tree in and take it out: by copying through the mount, and by commands for it."""
    meter, archive, source = Meter(volume), volume.scratch / "tree.tar", volume.scratch / "source"
    if not archive.exists():
        make_archive(archive, sizes)
    if not source.exists():
        source.mkdir()
        subprocess.run(["tar", "-C", str(source), "-xf", str(archive)], check=True)
    count = sizes.tree_files
    yield meter.command("cp -a in", count, ["cp", "-a", f"{source}/.", str(volume.path)])
    volume.remount()
    out = volume.scratch / "out"
    out.mkdir()
    try:
        yield meter.command("cp -a out, cold", count, ["cp", "-a", f"{volume.path}/.", str(out)])
        shutil.rmtree(out)
        out.mkdir()
        volume.remount()
        yield meter.whole("export, cold", count, volume.exporting(out))
    finally:
        shutil.rmtree(out)
    volume.remount()
    shutil.rmtree(volume.path / "tree")
    yield meter.whole("import", count, volume.importing(source))


def sqlite(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Commit one small row at a time, synchronous=FULL, with either journal."""
    meter = Meter(volume)
    for journal, label in (("delete", "rollback journal"), ("wal", "WAL")):
        database = sqlite3.connect(volume.path / f"{journal}.db", isolation_level=None)
        try:
            database.execute(f"PRAGMA journal_mode={journal}")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE record (id INTEGER PRIMARY KEY, content BLOB)")
            row = os.urandom(100)

            def commit(database: sqlite3.Connection = database, row: bytes = row) -> None:
                for _ in range(sizes.commits):
                    database.execute("INSERT INTO record (content) VALUES (?)", (row,))

            yield meter.each(f"SQLite commit, {label}", sizes.commits, commit)
        finally:
            database.close()


def appends(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Append to a log in write(2) calls of 4 KiB."""
    page = os.urandom(PAGE_BYTES)

    def append() -> None:
        fd = os.open(volume.path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for _ in range(sizes.appends):
            os.write(fd, page)
        os.fsync(fd)
        os.close(fd)

    yield Meter(volume).each("append 4 KiB", sizes.appends, append)


def memory(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Take the memory of the filesystem's process when fresh, and after files came and went."""

    def taken(name: str) -> Measurement:
        return Measurement(name, volume.resident_bytes() / 1e6, "MB", is_speed=False)

    yield taken("memory, idle")
    for number in range(sizes.small_files):
        (volume.path / f"file-{number}").touch()
        (volume.path / f"file-{number}").unlink()
    yield taken("memory, after files came and went")
