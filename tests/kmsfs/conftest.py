"""Fixtures of the filesystem's tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agents import RunningAgent
from backgrounds import Place
from encrypting import new_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def volume(place: Place) -> Place:
    """A new volume, not mounted."""
    place.init()
    return place


@pytest.fixture
def mounted(volume: Place) -> Place:
    """A new volume, mounted."""
    assert volume.mount().returncode == 0
    return volume


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    """A descriptor (O_PATH) of the test's own directory."""
    dirfd = os.open(tmp_path, os.O_PATH)
    yield dirfd
    os.close(dirfd)


@pytest.fixture
def key(shared_agent: RunningAgent) -> str:
    """The ARN of a new KMS key."""
    return new_key(shared_agent)


@pytest.fixture
def lonely_place(make_agent: Callable[[], RunningAgent]) -> Iterator[Place]:
    """Directories for a volume of a user whose own agent does not run yet."""
    agent = make_agent()
    directory = agent.directory / "lonely"
    directory.mkdir()
    made = Place(directory, agent.environ)
    yield made
    made.discard()
    agent.end_started()
