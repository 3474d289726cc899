"""Fixtures of the agent's tests."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from services import Service, open_service

# Memory where there is some: these tests are about answers, and every answer waits for its record.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- TemporaryDirectory makes one of its own in it


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A whole service without its doors, in a directory of the test's own."""
    parent = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="kms-", dir=parent) as directory:
        async with open_service(Path(directory)) as running:
            yield running
