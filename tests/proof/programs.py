"""Running the programs of the proof."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROGRAM_SECONDS = 240


def run(
    *command: str | Path,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = PROGRAM_SECONDS,
) -> str:
    """Run a program to its end and return its output; on failure the test shows what it printed.

    A program that takes too long is ended with all that it started.
    """
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    output = printed.decode(errors="backslashreplace")
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{output}"
    return output
