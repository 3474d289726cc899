"""``kms-agent tag``: labels of keys, over the agent's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.api import operations
from agent.api.shapes.tags import ListResourceTagsRequest, TagResourceRequest, UntagResourceRequest
from agent.cli.listing import key_id_of, pages
from agent.cli.options import agent_option, connect, json_option, region_option
from agent.cli.pairs import tags_of
from agent.cli.printing import plain, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.api.shapes.keys import Tag
    from agent.client import AgentClient


@click.group("tag")
def tag_group() -> None:
    """Label keys, to find them, to account for them, and to base permissions on.

    KEY is a key id, a key ARN or an alias.
    """


@tag_group.command("add")
@click.argument("key")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@agent_option
@region_option
def add(key: str, tags: tuple[str, ...], agent_url: str) -> None:
    """Give a key tags, or give tags that it has other values.

    A TAG is written NAME=VALUE.
    """
    added = tags_of(tags, "TAG")
    with connect(agent_url) as client:
        request = TagResourceRequest(key_id=key_id_of(client, key), tags=added)
        client.call(operations.TAG_RESOURCE, request)


@tag_group.command("remove")
@click.argument("key")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@agent_option
@region_option
def remove(key: str, tags: tuple[str, ...], agent_url: str) -> None:
    """Take tags away from a key, by their names; those that it has not are no error."""
    with connect(agent_url) as client:
        request = UntagResourceRequest(key_id=key_id_of(client, key), tag_keys=tags)
        client.call(operations.UNTAG_RESOURCE, request)


@tag_group.command("list")
@click.argument("key")
@agent_option
@region_option
@json_option
def list_(key: str, agent_url: str, *, as_json: bool) -> None:
    """List the tags of a key."""
    with connect(agent_url) as client:
        tags = list(_all_tags(client, key_id_of(client, key)))
    if as_json:
        print_json([plain(tag) for tag in tags])
        return
    print_table(("Tag", "Value"), [(tag.tag_key, tag.tag_value) for tag in tags])


def _all_tags(client: AgentClient, key_id: str) -> Iterator[Tag]:
    for page in pages(client, operations.LIST_RESOURCE_TAGS, ListResourceTagsRequest(key_id=key_id)):
        yield from page.tags
