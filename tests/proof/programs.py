"""Running the programs of the proof."""

from __future__ import annotations

import os
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
    """Run a program to its end and return its output; on failure the test shows what it printed."""
    result = subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
    )
    output = result.stdout.decode(errors="backslashreplace")
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{output}"
    return output
