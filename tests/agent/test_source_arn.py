"""On whose behalf a service asks: the header X-Amz-Source-Arn, asked of a real agent by real processes."""

from __future__ import annotations

import grp
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import ports
from agents import RunningAgent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")

ACCOUNT = "000000000000"
VOLUME = f"arn:aws:kmsfs:local:{ACCOUNT}:volume/v1"
SERVICE = "kmsfs.local.local"
RULES = [
    {
        "match": {"user": "root", "group": "audio"},
        "arn": "arn:aws:iam::{account}:role/mounts",
        "via_service": SERVICE,
    },
    {"match": {"user": "root", "group": "video"}, "arn": "arn:aws:iam::{account}:user/mailer"},
]


@contextmanager
def in_group(name: str) -> Iterator[None]:
    """Connect meanwhile as a member of this group and of no other."""
    groups = os.getgroups()
    os.setgroups([grp.getgrnam(name).gr_gid])
    try:
        yield
    finally:
        os.setgroups(groups)


def describe(agent: RunningAgent, group: str, key: str, source_arn: str | None) -> tuple[int, str]:
    """Ask about a key; return the status and the error."""
    headers = {"X-Amz-Target": "TrentService.DescribeKey", "Content-Type": "application/x-amz-json-1.1"}
    if source_arn is not None:
        headers["X-Amz-Source-Arn"] = source_arn
    connection = ports.UnixConnection(str(agent.socket_path))
    with in_group(group):
        connection.connect()
    connection.request("POST", "/", json.dumps({"KeyId": key}), headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    return response.status, answer.get("__type", "")


def command(agent: RunningAgent, *words: str) -> str:
    """Run kms-agent as root and return what it printed."""
    result = agent.command(*words)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_only_a_service_is_believed(make_agent: Callable[[], RunningAgent]) -> None:
    """A grant for one resource permits a service that names it, and nobody else who does."""
    agent = make_agent()
    ports.start(agent, principals=RULES)
    key = command(agent, "key", "create")
    for grantee in (SERVICE, "user/mailer"):
        constraint = ("--operation", "DescribeKey", "--source-arn", VOLUME)
        command(agent, "grant", "create", key, "--to", grantee, *constraint)
    denied = (400, "AccessDeniedException")
    assert describe(agent, "audio", key, VOLUME) == (200, "")
    assert describe(agent, "audio", key, None) == denied
    assert describe(agent, "audio", key, VOLUME + "2") == denied
    assert describe(agent, "video", key, VOLUME) == denied
    for wrong in ("v1", "arn:aws:kmsfs:local::v", "arn:aws:s3:::" + "b" * 600):
        assert describe(agent, "audio", key, wrong) == (400, "ValidationException")
    listed = json.loads(command(agent, "grant", "list", key, "--json"))
    assert {grant["Constraints"]["SourceArn"] for grant in listed} == {VOLUME}
