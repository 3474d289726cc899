"""``kms-agent key replicate`` and ``key update-primary``: one key in several Regions."""

from __future__ import annotations

import time
from typing import Final

import click

from agent.api import operations
from agent.api.enums import KeyState
from agent.api.errors import AccessDeniedException
from agent.api.shapes.replicas import ReplicateKeyRequest, UpdatePrimaryRegionRequest
from agent.cli.listing import describe, key_id_of
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.pairs import tags_of
from agent.cli.printing import plain, print_json, print_line
from agent.client import AgentClient

_PASSING: Final = frozenset({KeyState.CREATING, KeyState.UPDATING})
_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.2


@click.command("replicate")
@click.argument("key")
@click.argument("target", metavar="TARGET")
@click.option("--description", metavar="TEXT", help="What the replica is for.")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Tag it; may be repeated.")
@agent_option
@region_option
@json_option
def replicate(
    key: str, target: str, description: str | None, tags: tuple[str, ...], agent_url: str, *, as_json: bool
) -> None:
    """Make a replica of a multi-Region key in the Region TARGET, and wait until it can be used.

    It has the same key id and key material, and a policy, aliases, grants and tags of its own.
    """
    with connect(agent_url) as client:
        request = ReplicateKeyRequest(
            key_id=key_id_of(client, key),
            replica_region=target,
            description=description,
            tags=tags_of(tags, "--tag") or None,
        )
        response = client.call(operations.REPLICATE_KEY, request)
    replica = response.replica_key_metadata
    _wait_until_settled(agent_url, target, replica.key_id)
    if as_json:
        print_json(plain(response))
    else:
        print_line(replica.arn or replica.key_id)


@click.command("update-primary")
@click.argument("key")
@click.argument("target", metavar="TARGET")
@agent_option
@region_option
def update_primary(key: str, target: str, agent_url: str) -> None:
    """Make the replica in the Region TARGET the primary key, and the primary KEY its replica."""
    with connect(agent_url) as client:
        request = UpdatePrimaryRegionRequest(key_id=key_id_of(client, key), primary_region=target)
        client.call(operations.UPDATE_PRIMARY_REGION, request)
    _wait_until_settled(agent_url, target, request.key_id.rpartition("/")[2])


def _wait_until_settled(agent_url: str, region: str, key_id: str) -> None:
    """Wait until a key is neither Creating nor Updating; whoever may not look at it does not wait."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with AgentClient(agent_url, region=region) as client:
        while time.monotonic() < deadline:
            try:
                if describe(client, key_id).key_state not in _PASSING:
                    return
            except AccessDeniedException:
                return
            time.sleep(_PAUSE_SECONDS)
