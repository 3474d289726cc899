"""kmsfs commands whose input and output are bytes, on the volume of a `Place`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from backgrounds import Place

PATIENCE_SECONDS = 120


def run(
    place: Place, *arguments: str | bytes | Path, words: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a kmsfs command to its end, with `words` on its standard input."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "kmsfs", *arguments],
        cwd=place.directory,
        env=place.environ,
        input=words,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def succeed(place: Place, *arguments: str | bytes | Path, words: bytes = b"") -> bytes:
    """Run a kmsfs command that must succeed and have nothing to say on standard error; return its output."""
    result = run(place, *arguments, words=words)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout
