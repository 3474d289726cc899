"""Fixtures of the filesystem's tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents import RunningAgent
from backgrounds import Place, user_of
from encrypting import new_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def shared_agent() -> Iterator[RunningAgent]:
    """One agent for all tests that leave it alone."""
    with tempfile.TemporaryDirectory(prefix="kms-", dir="/tmp") as directory:
        agent = RunningAgent(Path(directory))
        agent.start()
        yield agent
        agent.discard()


@pytest.fixture
def place(short_directory: Path, shared_agent: RunningAgent) -> Iterator[Place]:
    """Directories for a volume under a real agent; nothing is made in them yet."""
    made = Place(short_directory, user_of(shared_agent))
    yield made
    made.discard()


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
