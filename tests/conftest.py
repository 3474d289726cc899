"""Fixtures shared by all tests: directories for sockets, real agents, and places for volumes under them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from agents import RunningAgent
from backgrounds import Place, user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long an example takes says more about what else the machine is doing than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory of one's own with a path short enough for Unix sockets (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="kms-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make_agent() -> Iterator[Callable[[], RunningAgent]]:
    """Make agents that are not started yet; all of them, and all they wrote, are gone after the test."""
    made: list[RunningAgent] = []

    def make() -> RunningAgent:
        made.append(RunningAgent(Path(tempfile.mkdtemp(prefix="kms-", dir="/tmp"))))
        return made[-1]

    yield make
    for agent in made:
        agent.discard()
        shutil.rmtree(agent.directory)


@pytest.fixture
def running_agent(make_agent: Callable[[], RunningAgent]) -> RunningAgent:
    """An agent that serves."""
    agent = make_agent()
    agent.start()
    return agent


@pytest.fixture
def agent_url(running_agent: RunningAgent) -> str:
    """The address of an agent that serves."""
    return running_agent.url


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
