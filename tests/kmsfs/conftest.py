"""Fixtures of the filesystem's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backgrounds import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agents import RunningAgent


@pytest.fixture
def place(short_directory: Path, running_agent: RunningAgent) -> Iterator[Place]:
    """Directories for a volume under a real agent; nothing is made in them yet."""
    # Not at this user's standard place: nothing starts another agent when a test has stopped this one.
    environ = {name: value for name, value in running_agent.environ.items() if not name.startswith("XDG_")}
    made = Place(short_directory, environ | {"KMS_AGENT_URL": running_agent.url})
    yield made
    made.discard()


@pytest.fixture
def volume(place: Place) -> Place:
    """A new volume, not mounted."""
    place.init()
    return place


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
