"""Fixtures of the agent's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from services import Service, open_service


@pytest.fixture
async def service(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Service]:
    """A whole service without its doors, in a directory of the test's own."""
    async with open_service(tmp_path, nursery) as running:
        yield running
