"""Fixtures of the proof: volumes on real mounts under a real agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mounts
from agents import RunningAgent


@pytest.fixture
def agent_url(shared_agent: RunningAgent) -> str:
    """Return the address of the agent."""
    return shared_agent.url


@pytest.fixture
def place(short_directory: Path) -> Path:
    """Return a directory for a volume that other users may pass through, as the database's does."""
    short_directory.chmod(0o711)
    return short_directory


@pytest.fixture
def volume(place: Path, agent_url: str) -> Iterator[mounts.Volume]:
    """Yield a new volume with encrypted names, mounted."""
    with mounts.volume(place, agent_url) as mounted:
        yield mounted


@pytest.fixture
def source(place: Path) -> Path:
    """Return an empty directory that is no mount, beside the volume."""
    directory = place / "source"
    directory.mkdir()
    return directory
