"""Fixtures of the POSIX suite: a tmpfs and a kmsfs mount side by side."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import comparing
from agents import RunningAgent
from backgrounds import Place, user_of
from cases import Case, Check
from expected import expected_of


@contextmanager
def tmpfs(options: str) -> Iterator[Path]:
    """A tmpfs that honours device nodes and set-user-ID bits."""
    with tempfile.TemporaryDirectory(prefix="kms-", dir="/tmp") as name:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"mode=755,suid,dev,{options}", "tmpfs", name], check=True
        )
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


@contextmanager
def mounted(*options: str) -> Iterator[Place]:
    """A mount of root's that everybody may use, under an agent of its own.

    The ciphertext is on a tmpfs as well, so that what differs is kmsfs' own work. It would note accesses.
    """
    with tmpfs("strictatime") as directory:
        (directory / "agent").mkdir()
        agent = RunningAgent(directory / "agent")
        agent.start()
        place = Place(directory, user_of(agent))
        try:
            place.init()
            result = place.mount(*options)
            assert result.returncode == 0, result.stderr
            place.mountpoint.chmod(0o755)
            yield place
        finally:
            place.discard()
            agent.discard()


@pytest.fixture(scope="session")
def posix_place() -> Iterator[Place]:
    """A mount as root makes it."""
    with mounted() as place:
        yield place


@pytest.fixture(scope="module")
def acl_place() -> Iterator[Place]:
    """A mount that keeps ACLs."""
    with mounted("-o", "acl") as place:
        yield place


@pytest.fixture(scope="session")
def native() -> Iterator[Path]:
    """A tmpfs that, as kmsfs, does not note when something is read."""
    with tmpfs("noatime") as directory:
        yield directory


@pytest.fixture
def check(native: Path, posix_place: Place, request: pytest.FixtureRequest) -> Check:
    """Compare cases on both, in directories named after the test, but for what is known to differ."""
    node = request.node
    both = [above / f"{node.path.stem}.{node.name}" for above in (native, posix_place.mountpoint)]
    for directory in both:
        directory.mkdir()

    def run(cases: Sequence[Case]) -> None:
        comparing.check(*both, cases, expected_of(f"{node.path.stem}.{node.originalname}"))

    return run
