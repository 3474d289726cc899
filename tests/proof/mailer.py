"""Somebody who is not root to an agent: a principal that a rule of the configuration makes of a group."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agents import RunningAgent

GROUP = "audio"  # a group that every Debian has
RULE = {"match": {"user": "root", "group": GROUP}, "arn": "arn:aws:iam::{account}:user/mailer"}


@contextmanager
def as_mailer() -> Iterator[None]:
    """Be, with all programs started meanwhile, whom the rule of the configuration calls the mailer."""
    groups = os.getgroups()
    os.setgroups([grp.getgrnam(GROUP).gr_gid])
    try:
        yield
    finally:
        os.setgroups(groups)


def command(agent: RunningAgent, *words: str) -> str:
    """Run kms-agent and return what it printed."""
    result = agent.command(*words)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
