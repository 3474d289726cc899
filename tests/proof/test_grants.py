"""A volume that somebody may mount by nothing but a grant for its encryption context."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import mounts
import ports
from agents import RunningAgent
from kmsfs.cli.codes import ExitCode
from mailer import RULE, as_mailer, command

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")


@pytest.fixture
def agent(make_agent: Callable[[], RunningAgent]) -> RunningAgent:
    """An agent that knows the mailer, who has no identity policy."""
    agent = make_agent()
    ports.start(agent, principals=[RULE])
    return agent


def test_a_grant_is_enough_to_mount(agent: RunningAgent, short_directory: Path) -> None:
    """The grantee mounts, writes, reads, and follows a rotation; only this volume, and only until it ends."""
    key = command(agent, "key", "create")
    volume = mounts.Volume(short_directory, agent.url)
    volume.make("--key", key)
    status = json.loads(volume.kmsfs("status", volume.backing, "--json").stdout)
    context = "kmsfs:volume=" + status[0]["volume"]["volume_id"]
    needed = ("--operation", "Decrypt", "--operation", "GenerateDataKey", "--operation", "DescribeKey")
    terms = ("grant", "create", key, "--to", "user/mailer", *needed, "--context-has")
    try:
        refused(volume)
        command(agent, *terms, "kmsfs:volume=" + "0" * 32)
        refused(volume)
        grant = command(agent, *terms, context)
        with as_mailer():
            volume.mount()
        (volume.path / "letter").write_text("dear reader")
        volume.unmount()
        command(agent, "key", "rotate", key)
        with as_mailer():
            volume.mount()
            assert agent.command("grant", "list", key).returncode == 4
        assert (volume.path / "letter").read_text() == "dear reader"
        (volume.path / "answer").write_text("dear writer")
        volume.unmount()
        command(agent, "grant", "revoke", key, grant)
        refused(volume)
        volume.mount()
        assert (volume.path / "answer").read_text() == "dear writer"
        volume.unmount()
    finally:
        volume.close()


def refused(volume: mounts.Volume) -> None:
    """The mailer cannot mount, and is told why."""
    with as_mailer(), pytest.raises(mounts.MountFailedError) as caught:
        volume.mount()
    assert caught.value.exit_code == ExitCode.KEY_REFUSED
    assert "user/mailer is not authorized to perform: kms:Decrypt" in caught.value.output
