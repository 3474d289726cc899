"""A store that refuses chosen system calls: strace(1) has the kernel return an error to the mount's process.

The call is never made, as on a device that fails; whatever the process asks next is answered again.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 60
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)

CHANGING = (
    "pwrite64", "pwritev", "pwritev2", "ftruncate", "fsync", "fdatasync", "mkdirat", "mknodat", "symlinkat",
    "linkat", "renameat", "renameat2", "setxattr", "fsetxattr",
)  # fmt: skip
"""Calls that a store without room, or beyond a quota, refuses."""

ALL = (
    *CHANGING,
    "pread64", "preadv", "preadv2", "newfstatat", "fstat", "statx", "fstatfs", "readlinkat", "getdents64",
    "getxattr", "fgetxattr", "listxattr", "flistxattr", "openat", "unlinkat", "rmdir", "removexattr",
    "fremovexattr", "fchmodat", "chmod", "fchmod", "fchownat", "fchown", "utimensat",
)  # fmt: skip
"""And all further ones that a failing store refuses."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The calls of the mount's process while it was traced.

    Attributes:
        log: strace's own.
    """

    log: Path

    def calls(self) -> list[str]:
        """Return the names of the calls, in order."""
        return _CALL.findall(self.log.read_text(errors="replace"))

    def refused(self) -> list[str]:
        """Return the calls that were refused, as strace shows them."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if "(INJECTED)" in line]


@contextmanager
def traced(pid: int, calls: Sequence[str], log: Path, refusal: str = "") -> Iterator[Trace]:
    """Trace system calls of a process and its threads until the body ends, and have some refused.

    Args:
        pid: whose.
        calls: their names.
        log: where strace may write.
        refusal: which are refused and how, as in strace's `inject=`: "error=EIO:when=3" of each call the
            third, "error=EIO:when=3+" from the third on.
    """
    names = ",".join(calls)
    command = ["strace", "-f", "-p", str(pid), "-o", str(log), "-e", f"trace={names}", "-e", "signal=none"]
    command += ["-e", f"inject={names}:{refusal}"] if refusal else []
    log.write_bytes(b"")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
        try:
            assert tracer.stderr is not None
            said = b""
            while b"attached" not in said:
                assert select.select([tracer.stderr], [], [], PATIENCE_SECONDS)[0], "strace says nothing"
                piece = os.read(tracer.stderr.fileno(), 4096)
                assert piece, f"strace could not attach: {said.decode()}"
                said += piece
            yield Trace(log)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.stderr.read()
            tracer.wait(PATIENCE_SECONDS)
