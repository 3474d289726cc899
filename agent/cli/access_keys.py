"""``kms-agent access-key``: what requests over TCP are signed with, over the agent's own API."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.api.enums import AccessKeyStatus
from agent.api.rows import access_keys as operations
from agent.api.shapes.access_keys import (
    AccessKeyMetadata,
    CreateAccessKeyRequest,
    CreateSessionRequest,
    DeleteAccessKeyRequest,
    ListAccessKeysRequest,
    UpdateAccessKeyRequest,
)
from agent.cli.listing import pages
from agent.cli.options import agent_option, json_option
from agent.cli.pairs import tags_of
from agent.cli.principals import principal_arn
from agent.cli.printing import moment, plain, print_fields, print_json, print_table
from agent.client import AgentClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.api.shapes.access_keys import CreateSessionResponse

_SECONDS = {"m": 60, "h": 3600}


@click.group("access-key")
def access_key_group() -> None:
    """Make and manage the keys that requests over TCP are signed with.

    PRINCIPAL is an ARN, or short for one of the agent's account: user/NAME, role/NAME or root. ID is the
    access key id.
    """


@access_key_group.command("create")
@click.argument("principal")
@agent_option
@json_option
def create(principal: str, agent_url: str, *, as_json: bool) -> None:
    """Make an access key, and print its secret, which is never shown again."""
    with AgentClient(agent_url) as client:
        request = CreateAccessKeyRequest(principal_arn=principal_arn(client, principal))
        made = client.call(operations.CREATE_ACCESS_KEY, request)
    if as_json:
        print_json(plain(made))
        return
    print_fields(
        {
            "Principal": made.principal_arn,
            "Access key id": made.access_key_id,
            "Secret access key": made.secret_access_key,
        }
    )


@access_key_group.command("list")
@click.option("--principal", metavar="PRINCIPAL", help="Only the keys and sessions of this principal.")
@agent_option
@json_option
def list_(principal: str | None, agent_url: str, *, as_json: bool) -> None:
    """List access keys, those of sessions included."""
    with AgentClient(agent_url) as client:
        found = _all_access_keys(client, principal and principal_arn(client, principal))
        keys = sorted(found, key=lambda key: (key.create_date, key.access_key_id))
    if as_json:
        print_json([plain(key) for key in keys])
        return
    rows = [
        (
            key.access_key_id,
            key.principal_arn,
            str(key.status),
            moment(key.create_date),
            moment(key.expiration),
        )
        for key in keys
    ]
    print_table(("Access key id", "Principal", "Status", "Created", "Expires"), rows)


@access_key_group.command("disable")
@click.argument("access_key_id", metavar="ID")
@agent_option
def disable(access_key_id: str, agent_url: str) -> None:
    """Refuse what is signed with an access key, until it is enabled again."""
    _set_status(agent_url, access_key_id, AccessKeyStatus.INACTIVE)


@access_key_group.command("enable")
@click.argument("access_key_id", metavar="ID")
@agent_option
def enable(access_key_id: str, agent_url: str) -> None:
    """Take what is signed with an access key again."""
    _set_status(agent_url, access_key_id, AccessKeyStatus.ACTIVE)


@access_key_group.command("delete")
@click.argument("access_key_id", metavar="ID")
@agent_option
def delete(access_key_id: str, agent_url: str) -> None:
    """Remove an access key for good, or end a session."""
    with AgentClient(agent_url) as client:
        client.call(operations.DELETE_ACCESS_KEY, DeleteAccessKeyRequest(access_key_id=access_key_id))


@access_key_group.command("session")
@click.argument("principal")
@click.option("--name", metavar="NAME", help="Name of the session; a role's needs one.")
@click.option(
    "--duration",
    "duration",
    metavar="TIME",
    default="1h",
    show_default=True,
    help="How long it lasts, 15m to 12h.",
)
@click.option(
    "--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Tag of the session; may be repeated."
)
@click.option(
    "--policy",
    "policy_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Let the session do no more than the policy in FILE says.",
)
@click.option(
    "--credential-process", is_flag=True, help="Print what credential_process of AWS's tools expects."
)
@agent_option
@json_option
def session(
    principal: str,
    name: str | None,
    duration: str,
    tags: tuple[str, ...],
    policy_file: Path | None,
    agent_url: str,
    *,
    credential_process: bool,
    as_json: bool,
) -> None:
    """Make temporary credentials of a role or a user, and print them, which is never done again."""
    with AgentClient(agent_url) as client:
        request = CreateSessionRequest(
            principal_arn=principal_arn(client, principal),
            role_session_name=name,
            duration_seconds=_seconds(duration),
            tags=tags_of(tags, "--tag") or None,
            session_policy=None if policy_file is None else policy_file.read_text(encoding="utf-8"),
        )
        made = client.call(operations.CREATE_SESSION, request)
    if credential_process:
        print_json(_for_credential_process(made))
    elif as_json:
        print_json(plain(made))
    else:
        print_fields(
            {
                "Principal": made.principal_arn,
                "Access key id": made.access_key_id,
                "Secret access key": made.secret_access_key,
                "Session token": made.session_token,
                "Expires": moment(made.expiration),
            }
        )


def _all_access_keys(client: AgentClient, principal: str | None) -> Iterator[AccessKeyMetadata]:
    request = ListAccessKeysRequest(principal_arn=principal, limit=1000)
    for page in pages(client, operations.LIST_ACCESS_KEYS, request):
        yield from page.access_keys


def _set_status(agent_url: str, access_key_id: str, status: AccessKeyStatus) -> None:
    with AgentClient(agent_url) as client:
        request = UpdateAccessKeyRequest(access_key_id=access_key_id, status=status)
        client.call(operations.UPDATE_ACCESS_KEY, request)


def _seconds(text: str) -> int:
    """Read a time as ``45m`` or ``12h``."""
    if text[-1:] not in _SECONDS or not text[:-1].isdecimal():
        raise click.BadParameter(f"{text!r} is no time like 45m or 12h", param_hint="--duration")
    return int(text[:-1]) * _SECONDS[text[-1]]


def _for_credential_process(made: CreateSessionResponse) -> dict[str, object]:
    """Return credentials as in AWS SDKs and Tools Reference Guide, "Process credential provider"."""
    return {
        "Version": 1,
        "AccessKeyId": made.access_key_id,
        "SecretAccessKey": made.secret_access_key,
        "SessionToken": made.session_token,
        "Expiration": datetime.fromtimestamp(made.expiration, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
