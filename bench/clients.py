"""Many clients at once: processes that make, write, read and remove files, or read cold ones, side by side.

And on a slow store: clients that read cold files, and one that asks for little while another waits long.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from measuring import MIB, Measurement, Meter, MountedVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sizes import Sizes

CLIENTS = (1, 4, 16)
PAGE = os.urandom(4096)
STORE_DELAY_MS = 5
SLOW_READ_MS = 300
LARGE_BYTES = 8 * MIB
PAUSE_SECONDS = 0.001
LIMIT_SECONDS = 120


def parallel_mixes(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Make, write, read and remove files of 4 KiB, each client in a directory of its own."""
    for clients in CLIENTS:
        top = volume.path / f"of-{clients}"
        top.mkdir()
        work = [_Mixes(top / f"client-{number}", sizes.client_files // clients) for number in range(clients)]
        done = sizes.client_files // clients * clients
        with _Clients(work) as go:
            yield Meter(volume).per_second(_plural("create + write + read + unlink", clients), done, go)


def parallel_reads(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Open and read cold files of 4 KiB."""
    yield from _cold_reads(volume, sizes.client_files, "open + read, cold", lambda: None)


def slow_reads(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Do the same on a store that takes 5 ms for each operation."""
    yield from _cold_reads(
        volume,
        sizes.slow_files,
        "slow store: open + read, cold",
        lambda: volume.store.delay(STORE_DELAY_MS),
        lambda: volume.store.delay(0),
    )


def stalls(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:  # noqa: ARG001 - a stage's signature
    """Look up names, one after the other, while somebody else's read takes long; the worst time counts."""
    names = [volume.path / f"name-{number:03}" for number in range(SLOW_READ_MS)]
    for name in names:
        name.touch()
    large = volume.path / "large"
    large.write_bytes(bytes(LARGE_BYTES))
    for kind, opens_first in (("open + read", False), ("read", True)):
        volume.remount()
        names[0].stat()
        worst_seconds = 0.0
        with _slow_read(volume, large, opens_first=opens_first) as reader:
            for name in names[1:]:
                start = time.perf_counter()
                name.stat()
                worst_seconds = max(worst_seconds, time.perf_counter() - start)
                if not reader.is_alive():
                    break
                time.sleep(PAUSE_SECONDS)
        yield Measurement(f"worst stat while one {kind} takes {SLOW_READ_MS} ms", worst_seconds * 1e3, "ms")


def _cold_reads(
    volume: MountedVolume,
    count: int,
    name: str,
    before: Callable[[], None],
    after: Callable[[], None] = lambda: None,
) -> Iterator[Measurement]:
    names = [volume.path / f"file-{number:04}" for number in range(count)]
    for each in names:
        each.write_bytes(PAGE)
    for clients in CLIENTS:
        volume.remount()
        with _Clients([_Reads(names[number::clients]) for number in range(clients)]) as go:
            before()
            try:
                yield Meter(volume).per_second(_plural(name, clients), count, go)
            finally:
                after()


def _plural(name: str, clients: int) -> str:
    return f"{name}, {clients} client{'s' * (clients > 1)}"


@dataclass(frozen=True, slots=True)
class _Mixes:
    """One client that makes, writes, reads and removes files in a directory that it makes."""

    directory: Path
    count: int

    def __call__(self) -> None:
        self.directory.mkdir()
        for number in range(self.count):
            path = self.directory / f"file-{number}"
            path.write_bytes(PAGE)
            path.read_bytes()
            path.unlink()


@dataclass(frozen=True, slots=True)
class _Reads:
    """One client that opens and reads files."""

    names: Sequence[Path]

    def __call__(self) -> None:
        for name in self.names:
            name.read_bytes()


class _Clients:
    """Processes that wait for `go`, and then do their work side by side."""

    def __init__(self, work: Sequence[Callable[[], None]]) -> None:
        context = multiprocessing.get_context("fork")
        self._barrier = context.Barrier(len(work) + 1)
        self._processes = [context.Process(target=self._serve, args=(each,), daemon=True) for each in work]

    def __enter__(self) -> Callable[[], None]:
        """Start them; return `go`, which lets them run and returns when all are done."""
        for process in self._processes:
            process.start()
        return self._go

    def __exit__(self, *_: object) -> None:
        """End them, wherever they are."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def _go(self) -> None:
        try:
            self._barrier.wait(LIMIT_SECONDS)
            self._barrier.wait(LIMIT_SECONDS)
        except threading.BrokenBarrierError:
            raise RuntimeError("a client failed") from None

    def _serve(self, work: Callable[[], None]) -> None:
        self._barrier.wait(LIMIT_SECONDS)
        try:
            work()
        except OSError:
            self._barrier.abort()
            raise
        self._barrier.wait(LIMIT_SECONDS)


@contextmanager
def _slow_read(volume: MountedVolume, path: Path, *, opens_first: bool) -> Iterator[threading.Thread]:
    """Read a page from the middle of a file, in a thread; the body begins once the store is slow."""
    before = volume.store.slow_reads_begun()
    fd = os.open(path, os.O_RDONLY) if opens_first else -1

    def read() -> None:
        opened = fd if opens_first else os.open(path, os.O_RDONLY)
        try:
            os.pread(opened, len(PAGE), LARGE_BYTES * 3 // 4)
        finally:
            os.close(opened)

    if opens_first:
        os.pread(fd, len(PAGE), 0)
    volume.store.slow_next_read(SLOW_READ_MS)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        while reader.is_alive() and volume.store.slow_reads_begun() == before:
            time.sleep(PAUSE_SECONDS)
        yield reader
    finally:
        volume.store.slow_next_read(0)
        reader.join()
