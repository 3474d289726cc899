"""Fixtures shared by all tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory of one's own with a path short enough for Unix sockets (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="kms-", dir="/tmp"))
    yield path
    shutil.rmtree(path)
