"""Fixtures of the tests of faults: volumes on real mounts, on stores that can be filled or broken."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import stores
from agents import RunningAgent
from backgrounds import Place, user_of


@pytest.fixture
def volume(place: Place) -> Place:
    """A new volume, mounted."""
    place.init()
    mounted = place.mount()
    assert mounted.returncode == 0, mounted.stderr
    return place


@pytest.fixture
def own_volume(short_directory: Path, running_agent: RunningAgent) -> Iterator[Place]:
    """A new volume, not mounted, under an agent of its own."""
    made = Place(short_directory, user_of(running_agent))
    made.init()
    yield made
    made.discard()


@pytest.fixture
def disk_volume(place: Place) -> Iterator[Place]:
    """A new volume, mounted, on a disk of its own."""
    where = place.directory / "disk"
    where.mkdir()
    place.ciphertext = where / "ciphertext"
    with stores.disk(where, 1024):
        place.init()
        mounted = place.mount()
        assert mounted.returncode == 0, mounted.stderr
        yield place


@pytest.fixture
def native() -> Iterator[Path]:
    """A directory on tmpfs, for models."""
    with tempfile.TemporaryDirectory(prefix="kmsfs-model-", dir="/dev/shm") as name:
        yield Path(name)
