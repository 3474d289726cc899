"""``kms-agent grant``: letting others use a key without changing its policy, over the agent's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.api import operations
from agent.api.enums import GrantOperation
from agent.api.shapes.grants import (
    CreateGrantRequest,
    GrantConstraints,
    GrantListEntry,
    RetireGrantRequest,
    RevokeGrantRequest,
)
from agent.cli.listing import all_grants, all_retirable_grants, describe, key_id_of
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.pairs import pairs_of
from agent.cli.printing import moment, plain, print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.client import AgentClient


@click.group("grant")
def grant_group() -> None:
    """Let others use a key, and end that again.

    KEY is a key id, a key ARN or an alias; PRINCIPAL an ARN, an account's number, a service's name, or
    user/NAME or role/NAME of the key's account.
    """


@grant_group.command("create")
@click.argument("key")
@click.option("--to", "grantee", metavar="PRINCIPAL", required=True, help="Who may use the key.")
@click.option(
    "--operation",
    "granted",
    metavar="OPERATION",
    multiple=True,
    required=True,
    type=click.Choice([operation.value for operation in GrantOperation], case_sensitive=False),
    help="What for: Decrypt, GenerateDataKey or another, in the words of the AWS KMS API; may be repeated.",
)
@click.option(
    "--context",
    "equals",
    metavar="NAME=VALUE",
    multiple=True,
    help="Only with exactly this encryption context; may be repeated, for each pair in it.",
)
@click.option(
    "--context-has",
    "subset",
    metavar="NAME=VALUE",
    multiple=True,
    help="Only with this in the encryption context, whatever else is; may be repeated.",
)
@click.option("--source-arn", metavar="ARN", help="Only while a service asks on behalf of this resource.")
@click.option("--retire-by", metavar="PRINCIPAL", help="Who may end the grant, besides the account.")
@click.option("--name", metavar="NAME", help="With a name, the same command again makes no second grant.")
@region_option
@agent_option
@json_option
def create(
    key: str,
    grantee: str,
    granted: Sequence[str],
    equals: Sequence[str],
    subset: Sequence[str],
    source_arn: str | None,
    retire_by: str | None,
    name: str | None,
    agent_url: str,
    *,
    as_json: bool,
) -> None:
    """Let somebody use a key, and print the grant's id."""
    constraints = GrantConstraints(
        encryption_context_equals=pairs_of(equals, "--context") or None,
        encryption_context_subset=pairs_of(subset, "--context-has") or None,
        source_arn=source_arn,
    )
    with connect(agent_url) as client:
        request = CreateGrantRequest(
            key_id=key_id_of(client, key),
            grantee_principal=_principal(client, key, grantee),
            retiring_principal=None if retire_by is None else _principal(client, key, retire_by),
            operations=tuple(map(GrantOperation, granted)),
            constraints=None if constraints == GrantConstraints() else constraints,
            name=name,
        )
        made = client.call(operations.CREATE_GRANT, request)
    if as_json:
        print_json(plain(made))
    else:
        print_line(made.grant_id)


@grant_group.command("list")
@click.argument("key", required=False)
@click.option("--to", "grantee", metavar="PRINCIPAL", help="Only those that let PRINCIPAL use the key.")
@click.option(
    "--retirable-by", metavar="PRINCIPAL", help="Those of all keys that PRINCIPAL, by its ARN, may retire."
)
@region_option
@agent_option
@json_option
def list_(
    key: str | None, grantee: str | None, retirable_by: str | None, agent_url: str, *, as_json: bool
) -> None:
    """List the grants of a key, or those that somebody may retire."""
    if (key is None) is (retirable_by is None) or (key is None and grantee is not None):
        raise click.UsageError("Give a KEY, or --retirable-by alone.")
    with connect(agent_url) as client:
        if key is None:
            assert retirable_by is not None
            grants = list(all_retirable_grants(client, retirable_by))
        else:
            named = None if grantee is None else _principal(client, key, grantee)
            grants = list(all_grants(client, key_id_of(client, key), named))
    if as_json:
        print_json([plain(grant) for grant in grants])
        return
    rows = [_row(grant) for grant in grants]
    print_table(("Grant", "Key id", "To", "Operations", "Only with", "Name", "Retired by", "Created"), rows)


@grant_group.command("revoke")
@click.argument("key")
@click.argument("grant")
@region_option
@agent_option
def revoke(key: str, grant: str, agent_url: str) -> None:
    """End a grant, as an administrator of its key."""
    with connect(agent_url) as client:
        request = RevokeGrantRequest(key_id=key_id_of(client, key), grant_id=grant)
        client.call(operations.REVOKE_GRANT, request)


@grant_group.command("retire")
@click.argument("key", required=False)
@click.argument("grant", required=False)
@click.option("--token", metavar="TOKEN", help="The grant's token, in place of KEY and GRANT.")
@region_option
@agent_option
def retire(key: str | None, grant: str | None, token: str | None, agent_url: str) -> None:
    """End a grant that names you for that, as who uses it or as who retires it."""
    if (grant is None) is (token is None) or (token is not None and key is not None):
        raise click.UsageError("Give a KEY and a GRANT, or --token alone.")
    with connect(agent_url) as client:
        key_arn = None if key is None else _key_arn(client, key)
        client.call(
            operations.RETIRE_GRANT, RetireGrantRequest(key_id=key_arn, grant_id=grant, grant_token=token)
        )


def _principal(client: AgentClient, key: str, text: str) -> str:
    """Return a principal as the agent takes it: `user/NAME` and `role/NAME` are the key's account's."""
    if not text.startswith(("user/", "role/")):
        return text
    return f"arn:aws:iam::{_key_arn(client, key).split(':', 5)[4]}:{text}"


def _key_arn(client: AgentClient, key: str) -> str:
    """Return a key's ARN; who was given one need not be allowed to look at the key."""
    if key.startswith("arn:") and ":key/" in key:
        return key
    arn = describe(client, key).arn
    assert arn is not None
    return arn


def _row(grant: GrantListEntry) -> tuple[str, ...]:
    return (
        grant.grant_id or "",
        (grant.key_id or "").rpartition("/")[2],
        grant.grantee_principal or grant.grantee_service_principal or "",
        " ".join(grant.operations or ()),
        _only_with(grant.constraints),
        grant.name or "",
        grant.retiring_principal or grant.retiring_service_principal or "",
        moment(grant.creation_date),
    )


def _only_with(constraints: GrantConstraints | None) -> str:
    if constraints is None:
        return ""
    equals, subset = constraints.encryption_context_equals, constraints.encryption_context_subset
    shown = []
    if equals is not None:
        shown.append(f"context {_pairs(equals) or 'empty'}")
    if subset is not None:
        shown.append(f"context has {_pairs(subset)}")
    if constraints.source_arn is not None:
        shown.append(f"source {constraints.source_arn}")
    return ", ".join(shown)


def _pairs(context: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(context.items()))
