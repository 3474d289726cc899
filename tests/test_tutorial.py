"""The tutorial, followed to the letter: its commands run, and print what it says."""

from __future__ import annotations

import os
import re
import select
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mounts import program
from pages import DOCS, fenced_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents import RunningAgent

TUTORIALS = sorted((DOCS / "tutorial").iterdir())
TUTORIAL_SECONDS = 120
MARK = "-- end of block --"


@pytest.fixture
def learner(make_agent: Callable[[], RunningAgent]) -> Iterator[RunningAgent]:
    """Whoever follows the tutorial: an empty home directory, and no agent yet."""
    home = make_agent()
    yield home
    end_mount(home.directory / "letters.encrypted", home.directory / "letters")
    home.end_started()


def end_mount(ciphertext: Path, mountpoint: Path) -> None:
    """End a mount that the tutorial has left, if it broke off, and wait for its process."""
    if not mountpoint.is_mount():
        return
    found = re.search(r'"pid": (\d+)', (ciphertext / ".kmsfs-volume" / "lock").read_text())
    descriptor = os.pidfd_open(int(found[1])) if found else None
    subprocess.run(["fusermount3", "-uz", str(mountpoint)], check=True)
    if descriptor is not None:
        select.select([descriptor], [], [], TUTORIAL_SECONDS)
        os.close(descriptor)


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(learner: RunningAgent, tutorial: Path) -> None:
    """A tutorial's commands succeed as they stand, and print what it says."""
    blocks = [(language, text) for language, text in fenced_blocks(tutorial) if language in {"sh", "text"}]
    script = "".join(f"{text}echo '{MARK}'\n" for language, text in blocks if language == "sh")
    result = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=learner.directory,
        env=learner.environ | {"PATH": f"{Path(program('kmsfs')).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TUTORIAL_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    outputs = iter(result.stdout.split(f"{MARK}\n"))
    for language, text in blocks:
        if language == "sh":
            output = next(outputs)
        else:
            assert resembles(output, text), f"{output}\nis not\n{text}"


def resembles(output: str, expected: str) -> bool:
    """Say whether an output is as expected; "…" stands for anything, and runs of spaces are one."""
    pattern = ".*".join(re.escape(part) for part in squeezed(expected).split("…"))
    return re.fullmatch(pattern, squeezed(output), re.DOTALL) is not None


def squeezed(text: str) -> str:
    """Return text with runs of spaces made one, and none at the ends of lines."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())
