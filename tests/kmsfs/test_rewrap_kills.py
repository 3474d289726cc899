"""rewrap and reencrypt killed in the middle, time and again: nothing is lost, and the end is reached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents import RunningAgent
from backgrounds import Place
from kmsfs import moment
from kmsfs.header import HEADER_UNIT, parse
from rewraps import content_is, content_is_but_for_times, keys_of, new_key, told
from rotations import rotate
from trees import Snapshot, snapshot

FILES = 400
KILLS = 3
PATIENCE_SECONDS = 120


@pytest.fixture
def key(shared_agent: RunningAgent) -> str:
    """A KMS key of this test's own."""
    return new_key(shared_agent)


@pytest.fixture
def filled(place: Place, key: str) -> tuple[Place, Snapshot]:
    """A volume with many files, each of some chunks, not mounted."""
    place.init("--key", key)
    assert place.mount().returncode == 0
    for directory in range(4):
        (place.mountpoint / f"{directory}").mkdir()
        for number in range(FILES // 4):
            (place.mountpoint / f"{directory}/{number}").write_bytes(os.urandom(9000))
    taken = snapshot(place.mountpoint)
    assert place.umount().returncode == 0
    return place, taken


def headers(place: Place) -> dict[bytes, bytes]:
    """Return, by the ids of files, the ids of the bucket keys that their headers name."""
    found = {}
    for path in place.ciphertext.glob("[!.]*/*"):
        if not path.name.startswith(".kmsfs"):
            with path.open("rb") as file:
                clear = parse(file.read(HEADER_UNIT))
            found[clear.file_id] = clear.reference
    return found


def killed_after(place: Place, is_far: Callable[[], bool], *arguments: str | Path) -> None:
    """Run a command, and kill it when it is far enough, wherever it is then."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kmsfs", *map(str, arguments)],
        cwd=place.directory,
        env=place.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and not is_far():
            os.sched_yield()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


def test_headers_killed_in_the_middle(
    filled: tuple[Place, Snapshot], shared_agent: RunningAgent, key: str
) -> None:
    """Each time some headers are new, all are whole, and what is done is not done again."""
    place, content = filled
    with shared_agent.client() as client:
        rotate(client, key)
    (before,) = set(headers(place).values())
    done = 0
    for round_number in range(1, KILLS + 1):
        wanted = FILES * round_number // (KILLS + 1)

        def is_far(wanted: int = wanted) -> bool:
            return sum(reference != before for reference in headers(place).values()) >= wanted

        killed_after(place, is_far, "rewrap", "--files", place.ciphertext)
        now = sum(reference != before for reference in headers(place).values())
        assert now >= max(wanted, done)
        done = now
        assert told(place, "verify", "--deep", place.ciphertext)["problems"] == []
    last = told(place, "rewrap", "--files", place.ciphertext)
    assert (last["files"]["current"], last["files"]["rewrapped"]) == (done, FILES - done)
    (only,) = keys_of(place)
    assert only["files"] == FILES
    # Each kill may have come between a header and the time that is put back after it.
    content_is_but_for_times(place, content, most_files=KILLS)


def test_files_killed_in_the_middle(filled: tuple[Place, Snapshot]) -> None:
    """Each time every file is the old one or the new one; with --since the rest is done, and only that."""
    place, content = filled
    first = set(headers(place))
    began: str | None = None
    for round_number in range(1, KILLS + 1):
        wanted = FILES * round_number // (KILLS + 1)

        def is_far(wanted: int = wanted) -> bool:
            return len(set(headers(place)) - first) >= wanted

        since = [] if began is None else ["--since", began]
        began = began or moment.spell(time.time() + 1)
        killed_after(place, is_far, "reencrypt", "--recursive", *since, place.ciphertext)
        found = headers(place)
        assert len(found) == FILES
        assert len(set(found) - first) >= wanted
    last = told(place, "reencrypt", "--recursive", "--since", str(began), place.ciphertext)
    assert last["recent"] + last["reencrypted"] == FILES
    assert not set(headers(place)) & first
    assert not list(place.ciphertext.glob("**/.kmsfs.tmp.*"))
    content_is(place, content, after_crash=True)
