"""``kms-agent policy``: what users and roles may do, over the agent's own API."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from agent.api.rows import identity as operations
from agent.api.shapes.identity import (
    DeleteIdentityPolicyRequest,
    DeletePermissionsBoundaryRequest,
    GetIdentityPolicyRequest,
    ListIdentityPoliciesRequest,
    PrincipalListEntry,
    PutIdentityPolicyRequest,
    PutPermissionsBoundaryRequest,
    TagPrincipalRequest,
    UntagPrincipalRequest,
)
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.pairs import tags_of
from agent.cli.principals import principal_arn
from agent.cli.printing import plain, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from agent.client import AgentClient


@click.group("policy")
def policy_group() -> None:
    """Say what users and roles may do, in the language of AWS IAM.

    PRINCIPAL is an ARN, or short for one of the agent's account: user/NAME or role/NAME. FILE holds a policy
    in JSON; - is standard input.
    """


@policy_group.command("put")
@click.argument("principal")
@click.argument("name")
@click.argument("file", type=click.File())
@agent_option
@region_option
def put(principal: str, name: str, file: TextIO, agent_url: str) -> None:
    """Give a user or role a policy, in place of the one of that name."""
    with connect(agent_url) as client:
        request = PutIdentityPolicyRequest(
            principal_arn=principal_arn(client, principal), policy_name=name, policy_document=file.read()
        )
        client.call(operations.PUT_IDENTITY_POLICY, request)


@policy_group.command("get")
@click.argument("principal")
@click.argument("name")
@agent_option
@region_option
def get(principal: str, name: str, agent_url: str) -> None:
    """Print a policy, letter for letter."""
    with connect(agent_url) as client:
        request = GetIdentityPolicyRequest(principal_arn=principal_arn(client, principal), policy_name=name)
        policy = client.call(operations.GET_IDENTITY_POLICY, request)
    sys.stdout.write(policy.policy_document)


@policy_group.command("list")
@click.argument("principal", required=False)
@agent_option
@region_option
@json_option
def list_(principal: str | None, agent_url: str, *, as_json: bool) -> None:
    """List users and roles with their policies, boundaries and tags."""
    with connect(agent_url) as client:
        entries = list(_entries(client, principal and principal_arn(client, principal)))
    if as_json:
        print_json([plain(entry) for entry in entries])
        return
    rows = [
        (
            entry.principal_arn,
            ", ".join(entry.policy_names),
            "yes" if entry.permissions_boundary else "",
            ", ".join(f"{tag.tag_key}={tag.tag_value}" for tag in entry.tags or ()),
        )
        for entry in entries
    ]
    print_table(("Principal", "Policies", "Boundary", "Tags"), rows)


@policy_group.command("delete")
@click.argument("principal")
@click.argument("name")
@agent_option
@region_option
def delete(principal: str, name: str, agent_url: str) -> None:
    """Take a policy away from a user or role."""
    with connect(agent_url) as client:
        request = DeleteIdentityPolicyRequest(
            principal_arn=principal_arn(client, principal), policy_name=name
        )
        client.call(operations.DELETE_IDENTITY_POLICY, request)


@policy_group.command("boundary")
@click.argument("principal")
@click.argument("file", type=click.File(), required=False)
@click.option("--remove", is_flag=True, help="Lift the limit instead.")
@agent_option
@region_option
def boundary(principal: str, file: TextIO | None, agent_url: str, *, remove: bool) -> None:
    """Limit what policies can give to a user or role to what FILE allows."""
    if remove is (file is not None):
        raise click.UsageError("Give either a FILE or --remove.")
    with connect(agent_url) as client:
        arn = principal_arn(client, principal)
        if file is None:
            client.call(
                operations.DELETE_PERMISSIONS_BOUNDARY, DeletePermissionsBoundaryRequest(principal_arn=arn)
            )
        else:
            request = PutPermissionsBoundaryRequest(principal_arn=arn, permissions_boundary=file.read())
            client.call(operations.PUT_PERMISSIONS_BOUNDARY, request)


@policy_group.command("tag")
@click.argument("principal")
@click.argument("tags", metavar="TAG...", nargs=-1, required=True)
@agent_option
@region_option
def tag(principal: str, tags: tuple[str, ...], agent_url: str) -> None:
    """Give a user or role tags, each NAME=VALUE, which policies can ask for as aws:PrincipalTag/NAME."""
    added = tags_of(tags, "TAG")
    with connect(agent_url) as client:
        request = TagPrincipalRequest(principal_arn=principal_arn(client, principal), tags=added)
        client.call(operations.TAG_PRINCIPAL, request)


@policy_group.command("untag")
@click.argument("principal")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@agent_option
@region_option
def untag(principal: str, keys: tuple[str, ...], agent_url: str) -> None:
    """Take tags away from a user or role."""
    with connect(agent_url) as client:
        request = UntagPrincipalRequest(principal_arn=principal_arn(client, principal), tag_keys=keys)
        client.call(operations.UNTAG_PRINCIPAL, request)


def _entries(client: AgentClient, arn: str | None) -> Iterator[PrincipalListEntry]:
    marker = None
    while True:
        request = ListIdentityPoliciesRequest(principal_arn=arn, marker=marker)
        answer = client.call(operations.LIST_IDENTITY_POLICIES, request)
        yield from answer.principals
        marker = answer.next_marker
        if marker is None:
            return
