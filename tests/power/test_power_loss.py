"""The power goes: whatever the store then has, the volume mounts, and what was synced is there.

`KMSFS_POWER_STATES` is how many disks are looked at per workload and kind of store.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disks import Check
from kmsfs import backing
from powercut import Journal, Model
from program import Program
from steps import STEPS, Step, take
from workloads import WORKLOADS

STATES = int(os.environ.get("KMSFS_POWER_STATES", "60"))
PROGRAMS = STATES // 2
CUTS = 10
LOSING = (Model.ORDERED, Model.WRITEBACK, Model.WEAK)


@pytest.fixture(autouse=True)
def _nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disks of these tests lose nothing by themselves: no sync of them is of any use."""
    monkeypatch.setattr(backing, "fsync", lambda _fd, *, data_only: None)  # noqa: ARG005 - called by name
    monkeypatch.setattr(backing, "fsync_directory", lambda _dirfd: None)
    monkeypatch.setattr(backing, "sync_filesystem", lambda _fd: None)


def examine(program: Program, journal: Journal, time: int, model: Model, seed: int) -> None:
    """Cut the power once, and mount what is left."""
    state = journal.cut(time, model, Random(seed))  # noqa: S311 - chooses disks, not keys
    path = program.path.parent / "disk"
    try:
        Check(program, journal, state, model).run(path)
    except Exception as error:
        error.add_note(f"power was cut after {time} calls on a store that is {model.name}, seed {seed}")
        raise
    finally:
        shutil.rmtree(path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Program]:
    """Run a workload on a new volume."""

    def run(name: str) -> Program:
        path = tmp_path / "volume"
        path.mkdir()
        program = Program(path, monkeypatch)
        WORKLOADS[name](program)
        return program

    return run


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_prefix(run: Callable[[str], Program], name: str) -> None:
    """Between two calls on a store that loses nothing, names are old or new and content is as written."""
    program = run(name)
    journal = Journal(program.journal)
    for time in range(len(program.journal) + 1):
        examine(program, journal, time, Model.NOTHING_LOST, 0)


@pytest.mark.parametrize("model", LOSING, ids=lambda model: model.name)
@pytest.mark.parametrize("name", WORKLOADS)
def test_what_was_not_synced(run: Callable[[str], Program], name: str, model: Model) -> None:
    """Of what was not synced any part may be missing; what was is there, and nothing else is damaged."""
    program = run(name)
    journal = Journal(program.journal)
    choose = Random(f"{name} {model.name}")  # noqa: S311 - chooses disks, not keys
    for _ in range(STATES):
        time = choose.randint(program.formatted, len(program.journal))
        examine(program, journal, time, model, choose.getrandbits(32))


@settings(max_examples=PROGRAMS, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(mounts=st.lists(st.lists(STEPS, max_size=15), min_size=1, max_size=2), seed=st.integers(0, 1 << 32))
def test_any_program(mounts: list[list[Step]], seed: int) -> None:
    """The same of programs that nobody wrote: a random one, cut at random moments."""
    choose = Random(seed)  # noqa: S311 - chooses disks, not keys
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        path = Path(directory) / "volume"
        path.mkdir()
        program = Program(path, patch)
        for steps in mounts:
            with program.mounted(crashes=choose.randrange(3) == 0):
                for step in steps:
                    take(program, step)
        journal = Journal(program.journal)
        for _ in range(CUTS):
            time = choose.randint(program.formatted, len(program.journal))
            examine(program, journal, time, choose.choice(list(Model)), choose.getrandbits(32))
