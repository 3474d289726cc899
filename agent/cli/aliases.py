"""``kms-agent alias``: names for keys, over the agent's API."""

from __future__ import annotations

import click

from agent.api import operations
from agent.api.shapes.aliases import CreateAliasRequest, DeleteAliasRequest, UpdateAliasRequest
from agent.cli.listing import all_aliases, key_id_of
from agent.cli.names import alias_name
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.printing import moment, plain, print_json, print_table


@click.group("alias")
def alias_group() -> None:
    """Give keys names, and move names from key to key.

    NAME is alias/NAME or just NAME; KEY is a key id, a key ARN or an alias.
    """


@alias_group.command("create")
@click.argument("name")
@click.argument("key")
@agent_option
@region_option
def create(name: str, key: str, agent_url: str) -> None:
    """Give a key a name."""
    with connect(agent_url) as client:
        request = CreateAliasRequest(alias_name=alias_name(name), target_key_id=key_id_of(client, key))
        client.call(operations.CREATE_ALIAS, request)


@alias_group.command("update")
@click.argument("name")
@click.argument("key")
@agent_option
@region_option
def update(name: str, key: str, agent_url: str) -> None:
    """Move a name to another key."""
    with connect(agent_url) as client:
        request = UpdateAliasRequest(alias_name=alias_name(name), target_key_id=key_id_of(client, key))
        client.call(operations.UPDATE_ALIAS, request)


@alias_group.command("delete")
@click.argument("name")
@agent_option
@region_option
def delete(name: str, agent_url: str) -> None:
    """Remove a name; its key stays."""
    with connect(agent_url) as client:
        client.call(operations.DELETE_ALIAS, DeleteAliasRequest(alias_name=alias_name(name)))


@alias_group.command("list")
@click.option("--key", metavar="KEY", help="Only the names of this key.")
@agent_option
@region_option
@json_option
def list_(key: str | None, agent_url: str, *, as_json: bool) -> None:
    """List names and the keys they stand for."""
    with connect(agent_url) as client:
        aliases = list(all_aliases(client, key and key_id_of(client, key)))
    if as_json:
        print_json([plain(alias) for alias in aliases])
        return
    rows = [
        (alias.alias_name, alias.target_key_id or "", moment(alias.last_updated_date)) for alias in aliases
    ]
    print_table(("Alias", "Key id", "Updated"), rows)
