"""Which agent a command uses, and what becomes of a volume when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ports
import trees
from backgrounds import Place, user_of
from certificates import Authority
from kmsfs.cli.codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agents import RunningAgent


@pytest.fixture
def volume(short_directory: Path, running_agent: RunningAgent) -> Iterator[Place]:
    """A new volume, not mounted, under an agent of its own."""
    made = Place(short_directory, user_of(running_agent))
    made.init()
    yield made
    made.discard()


def test_agent_is_started(lonely_place: Place) -> None:
    """Without an agent and without naming one, making a volume starts the user's own; mounting finds it."""
    lonely_place.init()
    assert lonely_place.mount().returncode == 0
    (lonely_place.mountpoint / "file").write_bytes(b"content")
    assert lonely_place.umount().returncode == 0


def test_absent_agent(volume: Place, running_agent: RunningAgent) -> None:
    """Without its agent a volume is not mounted, the message says what to do, and nothing on disk changes."""
    running_agent.stop()
    before = trees.snapshot(volume.ciphertext)
    result = volume.mount()
    assert result.returncode == ExitCode.NO_AGENT
    assert running_agent.url in result.stderr
    assert "kms-agent serve" in result.stderr
    assert trees.snapshot(volume.ciphertext) == before


def test_running_mount_needs_no_agent(volume: Place, running_agent: RunningAgent) -> None:
    """Once mounted, a volume works on without the agent, as an attached EBS volume does."""
    volume.mount()
    running_agent.stop()
    (volume.mountpoint / "file").write_bytes(b"content")
    assert volume.umount().returncode == 0


def test_another_agent_is_no_use(volume: Place, lonely_place: Place) -> None:
    """An agent that does not have the key says so, and --agent wins over the environment."""
    lonely_place.init()
    lonely_place.environ["KMS_AGENT_URL"] = volume.environ["KMS_AGENT_URL"]
    result = lonely_place.kmsfs("mount", lonely_place.ciphertext, lonely_place.mountpoint)
    assert result.returncode == ExitCode.KEY_REFUSED
    assert "--agent" in result.stderr
    own = f"unix://{lonely_place.environ['XDG_RUNTIME_DIR']}/kms-agent/agent.sock"
    result = lonely_place.mount("--agent", own)
    assert result.returncode == 0, result.stderr


def test_agent_behind_tls(make_agent: Callable[[], RunningAgent], short_directory: Path) -> None:
    """An agent on another machine is as good: with its address, an access key and its authority."""
    authority = Authority(short_directory)
    server = authority.issue_server()
    agent = make_agent()
    (url,) = ports.start(agent, {"tls": {"certificate": str(server.certificate), "key": str(server.key)}})
    key = {name.upper(): value for name, value in ports.make_key(agent, "root").items()}
    directory = short_directory / "volume"
    directory.mkdir()
    environ = agent.environ | key | {"KMS_AGENT_URL": url, "AWS_CA_BUNDLE": str(authority.bundle)}
    volume = Place(directory, environ)
    try:
        volume.init()
        assert volume.mount().returncode == 0
        (volume.mountpoint / "file").write_bytes(b"content")
        assert volume.umount().returncode == 0
        volume.environ.pop("AWS_SECRET_ACCESS_KEY")
        result = volume.kmsfs("mount", volume.ciphertext, volume.mountpoint)
        assert result.returncode == ExitCode.NO_AGENT
        assert "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in result.stderr
    finally:
        volume.discard()


def test_wrong_address(volume: Place) -> None:
    """An address that is none is refused with the forms that are."""
    result = volume.kmsfs("mount", "--agent", "ftp://x", volume.ciphertext, volume.mountpoint)
    assert result.returncode == ExitCode.NO_AGENT
    assert "unix:///path" in result.stderr
