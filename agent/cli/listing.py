"""Reading lists from the agent to their end, page by page, and finding the key behind a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.api import operations
from agent.api.enums import IncludeKeyMaterial
from agent.api.errors import AccessDeniedException, NotFoundException
from agent.api.shapes.aliases import AliasListEntry, ListAliasesRequest
from agent.api.shapes.grants import (
    GrantListEntry,
    ListGrantsRequest,
    ListRetirableGrantsRequest,
)
from agent.api.shapes.keys import DescribeKeyRequest, KeyMetadata, ListKeysRequest
from agent.api.shapes.rotation import ListKeyRotationsRequest, RotationsListEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.api.operations import Operation, Request, Response
    from agent.client import AgentClient


def describe(client: AgentClient, key: str) -> KeyMetadata:
    """Return what the agent says about a key, named by id, ARN or alias."""
    return client.call(operations.DESCRIBE_KEY, DescribeKeyRequest(key_id=key)).key_metadata


def key_id_of(client: AgentClient, key: str) -> str:
    """Return the id behind an alias; most operations take none, and people like them.

    What is named by an ARN stays so: it says in which Region the key is.
    """
    if key.startswith("alias/"):
        return describe(client, key).key_id
    if ":alias/" in key:
        return describe(client, key).arn or key
    return key


def pages(
    client: AgentClient, operation: Operation[Request, Response], request: Request
) -> Iterator[Response]:
    """Yield what a listing operation answers, until nothing more is to come.

    Args:
        client: of the agent.
        operation: whose request has a `marker` and whose response a `next_marker`.
        request: for the first page.
    """
    while True:
        page: Any = client.call(operation, request)
        yield page
        if not page.truncated:
            return
        request = msgspec.structs.replace(request, marker=page.next_marker)


def all_keys(client: AgentClient) -> Iterator[KeyMetadata]:
    """Yield every key; of those that the caller may not look at, the id and ARN only."""
    for page in pages(client, operations.LIST_KEYS, ListKeysRequest(limit=1000)):
        for entry in page.keys:
            try:
                yield describe(client, entry.key_id)
            except AccessDeniedException:
                yield KeyMetadata(key_id=entry.key_id, arn=entry.key_arn)
            except NotFoundException:
                continue  # deleted meanwhile


def all_aliases(client: AgentClient, key_id: str | None) -> Iterator[AliasListEntry]:
    """Yield every alias, or every one of a key."""
    request = ListAliasesRequest(key_id=key_id, limit=100)
    for page in pages(client, operations.LIST_ALIASES, request):
        yield from page.aliases


def all_grants(client: AgentClient, key_id: str, grantee: str | None) -> Iterator[GrantListEntry]:
    """Yield every grant of a key, or every one of a grantee's."""
    request = ListGrantsRequest(key_id=key_id, grantee_principal=grantee, limit=100)
    for page in pages(client, operations.LIST_GRANTS, request):
        yield from page.grants


def all_retirable_grants(client: AgentClient, principal: str) -> Iterator[GrantListEntry]:
    """Yield every grant whose retiring principal is `principal`."""
    request = ListRetirableGrantsRequest(retiring_principal=principal, limit=100)
    for page in pages(client, operations.LIST_RETIRABLE_GRANTS, request):
        yield from page.grants


def all_materials(client: AgentClient, key_id: str) -> Iterator[RotationsListEntry]:
    """Yield every generation of a key's material, with the rotation that made it."""
    everything = IncludeKeyMaterial.ALL_KEY_MATERIAL
    request = ListKeyRotationsRequest(key_id=key_id, include_key_material=everything, limit=1000)
    for page in pages(client, operations.LIST_KEY_ROTATIONS, request):
        yield from page.rotations
