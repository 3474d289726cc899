"""A damaged file on a real mount: one line in the log, in status, and one record in the agent's audit log."""

from __future__ import annotations

import errno
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from backgrounds import PATIENCE_SECONDS, Place, user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agents import RunningAgent

CONTENT = bytes(range(256)) * 64
NAME = "ReportIntegrityFailure"
DETAIL = "chunk 3: does not authenticate"
LABELS = ("damaged", "1 recorded", "damaged entries")


@pytest.fixture
def place(short_directory: Path, running_agent: RunningAgent) -> Iterator[Place]:
    """A volume with a damaged file, under an agent of the test's own."""
    made = Place(short_directory, user_of(running_agent))
    made.init()
    with mounted(made):
        (made.mountpoint / "secret.txt").write_bytes(CONTENT)
        (made.mountpoint / "whole").write_bytes(CONTENT)
        inode = (made.mountpoint / "secret.txt").stat().st_ino
    with damaged(made, inode).open("r+b") as file:
        file.seek(-20, 2)
        file.write(b"damage")
    yield made
    made.discard()


@contextmanager
def mounted(place: Place) -> Iterator[None]:
    """Mount, and unmount in the end."""
    result = place.mount()
    assert result.returncode == 0, result.stderr
    yield
    assert place.umount().returncode == 0
    assert place.has_ended()


def damaged(place: Place, inode: int | None = None) -> Path:
    """Return the file on the store that is damaged, or to be."""
    files = [path for path in place.ciphertext.iterdir() if path.is_file() and not path.is_symlink()]
    (found,) = (path for path in files if path.stat().st_ino == inode or b"damage" in path.read_bytes())
    return found


def read(place: Place) -> None:
    """Read the damaged file to where it is damaged."""
    with pytest.raises(OSError, match=r".") as caught:
        (place.mountpoint / "secret.txt").read_bytes()
    assert caught.value.errno == errno.EIO


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def damage(place: Place) -> dict[str, Any]:
    """Return what status tells of damage."""
    told = place.status()["running"]["damage"]
    assert isinstance(told, dict)
    return told


def log_of(place: Place) -> str:
    """Return the log of the mounts."""
    path = place.directory / "state/kmsfs/kmsfs.log"
    if not path.exists():
        pytest.skip("this machine has a system log, and mounts log there")
    return path.read_text()


def reports(agent: RunningAgent) -> list[dict[str, Any]]:
    """Return the records that `kms-agent audit query` finds."""
    result = agent.command("audit", "query", "--event", NAME, "--outcome", "success", "--json")
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_damage_is_logged_counted_and_recorded(place: Place, running_agent: RunningAgent) -> None:
    """However often it is read: by its path on the store, never by the name that its user gave it."""
    stored = damaged(place).name
    with mounted(place):
        read(place)
        read(place)
        until(lambda: damage(place)["audit"]["recorded"] == 1)
        running = place.status()["running"]
        shown = place.kmsfs("status", place.mountpoint).stdout
    (recent,) = running["damage"]["recent"]
    assert (recent["path"], recent["kind"], recent["detail"]) == (stored, "content", DETAIL)
    assert running["counters"]["integrity_errors"] >= 2
    assert running["counters"]["damaged_entries"] == 1
    assert [label for label in LABELS if label not in shown] == []
    log = log_of(place)
    assert log.count(f"damaged: {stored}: content: {DETAIL}") == log.count("damaged:")
    assert log.count("damaged:") == 1
    (record,) = reports(running_agent)
    data = record["additionalEventData"]
    assert (data["path"], data["kind"]) == (stored, "content")
    assert record["requestParameters"]["encryptionContext"] == {"kmsfs:volume": data["volume"]}
    assert "secret.txt" not in log + shown + json.dumps(record)


def test_the_agent_hears_of_it_later(place: Place, running_agent: RunningAgent) -> None:
    """Reading goes on without the agent; once it is back, it has the record."""
    with mounted(place):
        running_agent.stop()
        read(place)
        assert (place.mountpoint / "whole").read_bytes() == CONTENT
        until(lambda: damage(place)["audit"]["state"].startswith("waiting"))
        assert damage(place)["untold"] == 1
        running_agent.start()
        until(lambda: damage(place)["untold"] == 0)
    assert len(reports(running_agent)) == 1


def test_unmounting_waits_for_nobody(place: Place, running_agent: RunningAgent) -> None:
    """With the agent away, what it was not told of is in the log alone."""
    with mounted(place):
        running_agent.stop()
        read(place)
    assert "lacks 1 of the failures above: waiting: no key management agent at" in log_of(place)
    running_agent.start()
    assert reports(running_agent) == []


def test_verifying_is_recorded_too(place: Place, running_agent: RunningAgent) -> None:
    """What a check finds is in the audit log, unless that is not wanted."""
    stored = damaged(place).name
    found = place.kmsfs("verify", "--deep", "--no-report", "--json", place.ciphertext)
    assert (found.returncode, json.loads(found.stdout)["recorded"]) == (13, None)
    assert reports(running_agent) == []
    found = place.kmsfs("verify", "--deep", place.ciphertext)
    assert "recorded in the agent's audit log: 1 of 1\n" in found.stdout
    (record,) = reports(running_agent)
    assert record["additionalEventData"]["path"] == stored
    assert json.loads(place.kmsfs("verify", "--json", place.ciphertext).stdout)["recorded"] == 0
