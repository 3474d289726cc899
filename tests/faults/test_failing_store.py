"""A store that refuses any one system call: the program hears of it, nothing else is harmed, the mount lives.

Each deed is done again and again, each time with another call refused. `KMSFS_FAULT_TURNS` is how often:
with a hundred, each call has had its turn.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from backgrounds import Place
from deeds import CHANGES, READS, Deed, Model, Outcome, Tree, attempt, look, model_of, prepared, wrongs
from injecting import ALL, CHANGING, traced

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a process that cannot be dumped is traced by root only"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

TURNS = int(os.environ.get("KMSFS_FAULT_TURNS", "1"))
NO_ROOM = ("ENOSPC", "EDQUOT")


@dataclass(frozen=True, slots=True)
class Fault:
    """What a store refuses.

    Attributes:
        errors: with which error; of several, each in its turn.
        calls: which system calls, where it is asked for them.
        lasts: whether it refuses all that follow of the kind, or one only.
    """

    errors: tuple[str, ...]
    calls: tuple[str, ...]
    lasts: bool


FAULTS = {
    "one error": Fault(("EIO",), ALL, lasts=False),
    "errors": Fault(("EIO",), ALL, lasts=True),
    "no room": Fault(NO_ROOM, CHANGING, lasts=True),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One doing of a deed, and what was there right after it."""

    directory: Path
    outcome: Outcome
    found: Tree
    refused: tuple[str, ...]


class Refuser:
    """Does deeds on a mount whose store refuses what it is told to.

    Args:
        volume: mounted.
        fault: what is refused.
    """

    def __init__(self, volume: Place, fault: Fault) -> None:
        self._log = volume.directory / "log"
        self._pid = volume.pid()
        self._fault = fault
        self._chance = Random(fault.errors[0])  # noqa: S311 - chooses calls, not keys

    def turns(self, deed: Deed, model: Model, directories: Iterator[Path]) -> Iterator[Turn]:
        """Do the deed once for each of some calls that the mount's process makes for it, which is refused."""
        with traced(self._pid, self._fault.calls, self._log) as trace:
            outcome = attempt(deed, model, next(directories))
        assert outcome.error is None
        counted = Counter(trace.calls()).items()
        moments = [(call, number) for call, most in counted for number in range(1, most + 1)]
        for call, number in self._chance.sample(moments, min(TURNS, len(moments))):
            error = self._chance.choice(self._fault.errors)
            turn = self._turn(deed, model, next(directories), call, f"error={error}:when={number}")
            check(turn, model, error)
            yield turn

    def _turn(self, deed: Deed, model: Model, directory: Path, call: str, refusal: str) -> Turn:
        with traced(self._pid, (call,), self._log, refusal + "+" * self._fault.lasts) as trace:
            outcome = attempt(deed, model, directory)
        return Turn(directory, outcome, look(directory), tuple(trace.refused()))


def check(turn: Turn, model: Model, error: str) -> None:
    """What the program saw is the store's error, and what it was to change is old or new."""
    raised = turn.outcome.error
    # The kernel tells of some failures only later, and as what they are in general.
    assert raised is None or raised.errno in {getattr(errno, error), errno.EIO}, turn
    said = wrongs(turn.found, model, turn.outcome)
    assert not said, f"{said} after {turn.outcome} by {turn.refused}"


def models_of(deeds: Mapping[str, Deed], native: Path) -> Mapping[str, Model]:
    """Do all deeds where nothing fails."""
    models = {}
    for name, deed in deeds.items():
        (native / name).mkdir()
        models[name] = model_of(deed, native / name)
    return models


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_changes(disk_volume: Place, native: Path, fault: Fault) -> None:
    """A change that meets refused calls is done or not done, also once the store is in order again."""
    models = models_of(CHANGES, native)
    refuser = Refuser(disk_volume, fault)
    done: dict[str, list[Turn]] = {}
    for name, deed in CHANGES.items():
        directories = prepared(deed, disk_volume.mountpoint / name)
        done[name] = list(refuser.turns(deed, models[name], directories))
    assert any(turn.refused for turns in done.values() for turn in turns)
    assert disk_volume.status()["running"]["counters"]["integrity_errors"] == 0
    umounted = disk_volume.umount()
    assert umounted.returncode == 0, umounted.stderr
    # Of what it could not remove at the time, nobody sees anything.
    disk_volume.kmsfs("verify", "--repair", disk_volume.ciphertext)
    verified = disk_volume.kmsfs("verify", "--deep", disk_volume.ciphertext)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert disk_volume.mount().stderr == ""
    for name, turns in done.items():
        for turn in turns:
            found = look(turn.directory)
            assert not wrongs(found, models[name], turn.outcome), turn
            assert turn.outcome.error is not None or found == turn.found, turn


def test_looks(disk_volume: Place, native: Path) -> None:
    """What is read while the store refuses calls is right or an error, and is right afterwards."""
    models = models_of(READS, native)
    ready = {}
    for name, deed in READS.items():
        every = list(islice(prepared(deed, disk_volume.mountpoint / name), TURNS + 1))
        ready[name] = iter(every)
    disk_volume.umount()
    disk_volume.mount()
    refuser = Refuser(disk_volume, FAULTS["one error"])
    errors = [
        turn
        for name, deed in READS.items()
        for turn in refuser.turns(deed, models[name], ready[name])
        if turn.outcome.error is not None
    ]
    assert errors
