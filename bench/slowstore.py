"""A slow backing store: a directory seen through a mount on which every operation takes longer than it need.

Starts `slowserver`, and tells it through extended attributes of the mount's root how slow to be.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from systems import START_SECONDS, wait_until

DELAY = "user.bench.delay-ms"
SLOW_NEXT_READ = "user.bench.slow-next-read-ms"
SLOW_READS = "user.bench.slow-reads"

SERVER = Path(__file__).with_name("slowserver.py")


class SlowStore:
    """The directory `held`, seen at `mountpoint`; not slow before it is told to be."""

    def __init__(self, held: Path, mountpoint: Path) -> None:
        self._held = held
        self._mountpoint = mountpoint
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Mount it.

        Raises:
            RuntimeError: it cannot be.
        """
        if importlib.util.find_spec("pyfuse3") is None:
            raise RuntimeError("the slow store needs pyfuse3: pip install --group bench")
        command = [sys.executable, "-P", str(SERVER), str(self._held), str(self._mountpoint)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until(self._process, self._mountpoint.is_mount)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Unmount it, even while somebody is still there."""
        subprocess.run(
            ["fusermount3", "-u", "-z", "-q", str(self._mountpoint)], check=False, capture_output=True
        )
        if self._process is None:
            return
        try:
            self._process.wait(START_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def delay(self, milliseconds: float) -> None:
        """See `measuring.Store`."""
        os.setxattr(self._mountpoint, DELAY, str(milliseconds).encode())

    def slow_next_read(self, milliseconds: float) -> None:
        """See `measuring.Store`; ends the slow read that there is."""
        os.setxattr(self._mountpoint, SLOW_NEXT_READ, str(milliseconds).encode())

    def slow_reads_begun(self) -> int:
        """See `measuring.Store`."""
        return int(os.getxattr(self._mountpoint, SLOW_READS))
