"""kms-agent's commands on multi-Region keys, Regions, tags and quotas, with a real agent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents import RunningAgent

ACCOUNT = "000000000000"


@pytest.fixture
def agent(make_agent: Callable[[], RunningAgent]) -> RunningAgent:
    """An agent that serves three Regions."""
    made = make_agent()
    config = made.directory / "config.yaml"
    config.write_text(json.dumps({"regions": ["us-east-1", "eu-west-1"]}))
    made.start("--config", str(config))
    return made


def output(agent: RunningAgent, *arguments: str, status: int = 0) -> str:
    """Run a command and return what it prints."""
    result = agent.command(*arguments)
    assert result.returncode == status, result.stderr
    return (result.stdout or result.stderr).strip()


def test_a_key_in_two_regions(agent: RunningAgent) -> None:
    """A primary is made, replicated, shown, moved, and deleted after its replica."""
    primary = output(agent, "key", "create", "--multi-region", "--region", "us-east-1", "--alias", "family")
    key_id = primary.rpartition("/")[2]
    assert primary == f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{key_id}"
    replica = output(agent, "key", "replicate", primary, "eu-west-1", "--description", "copy")
    assert replica == f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{key_id}"
    shown = output(agent, "key", "show", "alias/family", "--region", "us-east-1")
    assert "primary; primary in us-east-1, replicas in eu-west-1" in shown
    assert "Enabled" in output(agent, "key", "show", replica)
    output(agent, "key", "update-primary", "alias/family", "eu-west-1", "--region", "us-east-1")
    assert "replica; primary in eu-west-1, replicas in us-east-1" in output(agent, "key", "show", primary)
    told = output(agent, "key", "schedule-deletion", replica, "--days", "7")
    assert told.startswith(f"{replica} will be deleted 7 days after its last replica; to keep it:")
    assert "PendingReplicaDeletion" in output(agent, "key", "show", replica)


def test_each_region_has_its_keys(agent: RunningAgent) -> None:
    """Commands are about one Region; what is not served is refused."""
    key_id = output(agent, "key", "create").rpartition("/")[2]
    assert key_id in output(agent, "key", "list")
    assert key_id not in output(agent, "key", "list", "--region", "us-east-1")
    output(agent, "key", "show", key_id, "--region", "us-east-1", status=5)
    output(agent, "alias", "create", "there", key_id, "--region", "us-east-1", status=5)
    refused = output(agent, "key", "list", "--region", "sa-east-1", status=7)
    assert "eu-west-1, local, us-east-1" in refused


def test_tags(agent: RunningAgent) -> None:
    """They come with the key, are added, listed and removed, under whichever name of the key."""
    output(agent, "key", "create", "--alias", "payroll", "--tag", "team=pay", "--tag", "note=a=b")
    output(agent, "tag", "add", "alias/payroll", "stage=test", "team=wages")
    listed = json.loads(output(agent, "tag", "list", "alias/payroll", "--json"))
    assert {tag["TagKey"]: tag["TagValue"] for tag in listed} == {
        "note": "a=b",
        "stage": "test",
        "team": "wages",
    }
    output(agent, "tag", "remove", "alias/payroll", "stage", "never-there")
    table = output(agent, "tag", "list", "alias/payroll").split()
    assert (table[:2], table[3:]) == (["Tag", "Value"], ["note", "a=b", "team", "wages"])
    output(agent, "tag", "add", "alias/payroll", "no-value", status=2)
    output(agent, "tag", "add", "alias/payroll", "aws:x=1", status=7)


def test_quotas_of_the_configuration_are_kept(make_agent: Callable[[], RunningAgent]) -> None:
    """What is beyond a quota is refused with advice, and other requests are not."""
    agent = make_agent()
    config = agent.directory / "config.yaml"
    config.write_text(json.dumps({"quotas": {"requests": {"CreateKey": {"per_second": 0.001}}, "keys": 1}}))
    agent.start("--config", str(config))
    output(agent, "key", "create")
    refused = output(agent, "key", "create", status=7)
    assert refused.startswith("kms-agent: ThrottlingException: Rate exceeded\ntry again a little later")
    output(agent, "key", "list")


def test_explaining_in_a_region(agent: RunningAgent) -> None:
    """An alias is looked for where the command says; the Region is a condition key; tokens are taken."""
    key = output(agent, "key", "create", "--region", "us-east-1", "--alias", "there")
    policy = agent.directory / "policy.json"
    condition = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    allow = {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": condition}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    output(agent, "policy", "put", "user/ann", "p", str(policy), "--region", "us-east-1")
    asked = ("explain", "--principal", "user/ann", "--action", "kms:Encrypt", "--key", "alias/there")
    assert output(agent, *asked, "--region", "us-east-1").startswith("Allowed by an identity-based policy")
    output(agent, *asked, status=5)
    made = output(agent, "grant", "create", key, "--to", "user/bob", "--operation", "Decrypt", "--json")
    token, grant_id = json.loads(made)["GrantToken"], json.loads(made)["GrantId"]
    asked = ("explain", "--principal", "user/bob", "--action", "kms:Decrypt", "--key", key)
    told = output(agent, *asked, "--region", "us-east-1", "--grant-token", token)
    assert told.startswith(f"Allowed by grant {grant_id}")
    output(agent, *asked, "--grant-token", token[:-4], status=7)
