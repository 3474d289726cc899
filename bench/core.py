"""How much processor time the core takes for each operation, without FUSE: what Python itself costs.

    python -P bench/core.py [--files N] [--batches N] [--backing DIR] [--sample OPERATION]

Makes a volume under an agent of its own, opens it as the commands without a mount do, and calls what the
handlers of a mount call, in the order in which the kernel asks. The figures are the least of the batches, in
microseconds. With `--sample`, a timer looks a thousand times a second at where an operation is.

It imports kmsfs, and so is started with -P: beside this file, Python would take `agent.py` for the agent.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kmsfs import offline
from kmsfs.attributes import Changes
from kmsfs.inodes import ROOT_INODE
from kmsfs.tree import Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from kmsfs.core import Core

PAGE = os.urandom(4096)
MODE = 0o100644
OWNER = Owner(os.geteuid(), os.getegid())
TIMES = Changes(mtime_ns=1_000_000_000)
START_SECONDS = 60
SAMPLE_SECONDS = 0.001
SHOWN = 40


@dataclass(slots=True)
class Batch:
    """Files of a core, taken through their lives: each step does one thing to all of them."""

    core: Core
    names: list[bytes]
    nodes: dict[bytes, int] = field(default_factory=dict)

    def steps(self) -> dict[str, Callable[[], None]]:
        """Return the steps by name, in their order."""
        return {
            "lookup, absent": self.miss,
            "create, write 4 KiB, release": self.create,
            "forget": self.forget,
            "lookup": self.look_up,
            "getattr": self.describe,
            "setattr, times": self.set_times,
            "lookup, open with first content, release": self.read,
            "open again, release": self.reopen,
            "readdir, per entry": self.list,
            "unlink": self.unlink,
        }

    def miss(self) -> None:
        """Look for names that are not there, as the kernel does before it creates them."""
        for name in self.names:
            try:
                self.core.tree.lookup(ROOT_INODE, name)
            except FileNotFoundError:
                continue

    def create(self) -> None:
        """Make the files."""
        for name in self.names:
            entry, file = self.core.create(ROOT_INODE, name, MODE, os.O_EXCL | os.O_WRONLY, OWNER)
            self.nodes[name] = entry.nodeid
            file.write(0, PAGE)
            self.core.files.release(file.chunks.inode)

    def forget(self) -> None:
        """Let the core forget them."""
        for name in self.names:
            self.core.inodes.forget(self.nodes[name], 1)

    def look_up(self) -> None:
        """Find them as if for the first time."""
        for name in self.names:
            self.nodes[name] = self.core.tree.lookup(ROOT_INODE, name).nodeid

    def describe(self) -> None:
        """Describe them."""
        for nodeid in self.nodes.values():
            self.core.attributes.getattr(nodeid)

    def set_times(self) -> None:
        """Set their times, as the kernel does when a file that was written to is closed."""
        for nodeid in self.nodes.values():
            self.core.attributes.setattr(nodeid, TIMES)

    def read(self) -> None:
        """Look them up, open them with their content, and close them."""
        for name in self.names:
            nodeid = self.core.tree.lookup(ROOT_INODE, name).nodeid
            file, _ = self.core.open_with_content(nodeid, os.O_RDONLY)
            self.core.files.release(file.chunks.inode)
            self.core.inodes.forget(nodeid, 1)

    def reopen(self) -> None:
        """Open one, and close it, again and again: it is kept ready."""
        nodeid = self.nodes[self.names[0]]
        for _ in self.names:
            file, _ = self.core.open_with_content(nodeid, os.O_RDONLY)
            self.core.files.release(file.chunks.inode)

    def list(self) -> None:
        """Read the directory."""
        for _, entry, _ in self.core.listing(ROOT_INODE).read(0):
            if entry is not None:
                self.core.inodes.forget(entry.nodeid, 1)

    def unlink(self) -> None:
        """Remove them, and let the core forget them."""
        for name in self.names:
            self.core.tree.unlink(ROOT_INODE, name)
            self.core.inodes.forget(self.nodes[name], 1)


@dataclass(slots=True)
class Samples:
    """Where a timer has found the program: each function that was running, and each line."""

    functions: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)

    def look(self, _signal: int, frame: FrameType | None) -> None:
        """Note where the program is; functions that call themselves count once."""
        running: set[str] = set()
        while frame is not None:
            module = Path(frame.f_code.co_filename).name
            if not running:
                self.lines[f"{module}:{frame.f_lineno} {frame.f_code.co_name}"] += 1
            running.add(f"{module} {frame.f_code.co_name}")
            frame = frame.f_back
        self.functions.update(running)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Look while the body runs."""
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--backing", type=Path, default=Path("/dev/shm"))  # noqa: S108 - a private directory is made in it
    parser.add_argument("--sample", default="", metavar="OPERATION", help="part of its name")
    return parser.parse_args()


@contextmanager
def opened(scratch: Path) -> Iterator[Core]:
    """Make a volume under an agent of its own, and open it without a mount."""
    programs, url = Path(sys.executable).parent, f"unix://{scratch}/agent.sock"
    config, log, volume = scratch / "agent.yaml", scratch / "agent.log", scratch / "volume"
    config.write_text(f"state_directory: {scratch}/state\nsocket: {scratch}/agent.sock\n")
    with log.open("wb") as output:
        agent = subprocess.Popen(
            [programs / "kms-agent", "serve", "--init", "--config", config], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (scratch / "agent.sock").exists():
            if agent.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(log.read_text())
            time.sleep(0.05)
        subprocess.run([programs / "kmsfs", "init", "--agent", url, volume], check=True, capture_output=True)
        with offline.opened(str(volume), url, read_only=False) as core:
            yield core
    finally:
        agent.terminate()
        agent.wait()


def main() -> None:
    """Measure, and print a Markdown table."""
    options = arguments()
    least: dict[str, float] = {}
    samples = Samples()
    signal.signal(signal.SIGPROF, samples.look)
    with (
        tempfile.TemporaryDirectory(prefix="kmsfs-bench-", dir=options.backing) as scratch,
        opened(Path(scratch)) as core,
    ):
        for batch_number in range(options.batches):
            names = [b"file-%d-%d" % (batch_number, number) for number in range(options.files)]
            for name, step in Batch(core, names).steps().items():
                start = time.process_time()
                if options.sample and options.sample in name:
                    with samples.taken():
                        step()
                else:
                    step()
                each_us = (time.process_time() - start) / options.files * 1e6
                least[name] = min(least.get(name, each_us), each_us)
    print("| in the core | µs |\n| --- | ---: |")
    for name, each_us in least.items():
        print(f"| {name} | {each_us:.1f} |")
    total = max(sum(samples.lines.values()), 1)
    for title, found in (("running", samples.functions), ("at line", samples.lines)):
        for place, count in found.most_common(SHOWN) if options.sample else ():
            print(f"{count / total:6.1%} {title} {place}")


if __name__ == "__main__":
    main()
