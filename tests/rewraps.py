"""What tests of keys that are wrapped anew need: KMS keys to come and go, and what a volume says of them."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.api.operations import CREATE_KEY, DISABLE_KEY, ENABLE_KEY
from agent.api.shapes.keys import CreateKeyRequest, DisableKeyRequest, EnableKeyRequest
from agents import RunningAgent
from backgrounds import Place
from commands import run, succeed
from trees import Snapshot, differences, snapshot


def new_key(agent: RunningAgent) -> str:
    """Make a KMS key and return its ARN."""
    with agent.client() as client:
        arn = client.call(CREATE_KEY, CreateKeyRequest()).key_metadata.arn
    assert arn is not None
    return arn


def disable(agent: RunningAgent, key_arn: str) -> None:
    """Let a KMS key be of no use any more."""
    with agent.client() as client:
        client.call(DISABLE_KEY, DisableKeyRequest(key_id=key_arn))


def enable(agent: RunningAgent, key_arn: str) -> None:
    """Let it be of use again."""
    with agent.client() as client:
        client.call(ENABLE_KEY, EnableKeyRequest(key_id=key_arn))


def told(place: Place, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Run a command with --json and return its object."""
    result = run(place, *arguments, "--json")
    assert result.returncode == code, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def keys_of(place: Place) -> list[dict[str, Any]]:
    """Return which keys how many files stand under."""
    (found,) = json.loads(succeed(place, "status", "--keys", "--json", place.ciphertext))
    under = found["files"]["under"]
    assert isinstance(under, list)
    return under


def needed(place: Place, member: str) -> set[str]:
    """Return the values that a member has in the keys that some file needs."""
    return {row[member] for row in keys_of(place) if row["files"]}


def content_is(place: Place, expected: Snapshot, *, after_crash: bool = False) -> None:
    """Mount anew and compare everything, after a crash but for directories' times; every chunk is checked."""
    found = seen_anew(place)
    if after_crash:
        found, expected = without_directory_times(found), without_directory_times(expected)
    assert differences(found, expected) == []


def content_is_but_for_times(place: Place, expected: Snapshot, *, most_files: int) -> None:
    """Do as `content_is`, where that many files may have been changed at another time than before."""
    found = seen_anew(place)
    late = [name for name, entry in found.items() if entry.mtime_ns != expected[name].mtime_ns]
    assert len(late) <= most_files
    assert all(stat.S_ISREG(found[name].mode) for name in late)
    timed = {name: replace(entry, mtime_ns=expected[name].mtime_ns) for name, entry in found.items()}
    assert differences(timed, expected) == []


def seen_anew(place: Place) -> Snapshot:
    """Mount anew and return all there is; every chunk is checked after that."""
    assert place.mount().returncode == 0
    found = snapshot(place.mountpoint)
    assert place.umount().returncode == 0
    assert told(place, "verify", "--deep", place.ciphertext)["problems"] == []
    return found


def without_directory_times(tree: Snapshot) -> Snapshot:
    """Leave out when directories were changed, which recovery does by removing what a crash left in them."""
    return {
        name: replace(entry, mtime_ns=0) if stat.S_ISDIR(entry.mode) else entry
        for name, entry in tree.items()
    }
