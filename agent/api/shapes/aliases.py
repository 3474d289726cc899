"""Owns the shapes of the operations on aliases."""

from agent.api.shapes.base import AliasName, ArnText, KeyId, Limit, Marker, Shape


class CreateAliasRequest(Shape, frozen=True, kw_only=True):
    """Request of CreateAlias."""

    alias_name: AliasName
    target_key_id: KeyId


class UpdateAliasRequest(Shape, frozen=True, kw_only=True):
    """Request of UpdateAlias."""

    alias_name: AliasName
    target_key_id: KeyId


class DeleteAliasRequest(Shape, frozen=True, kw_only=True):
    """Request of DeleteAlias."""

    alias_name: AliasName


class ListAliasesRequest(Shape, frozen=True, kw_only=True):
    """Request of ListAliases; with a key, only the aliases of that key."""

    key_id: KeyId | None = None
    limit: Limit | None = None
    marker: Marker | None = None


class AliasListEntry(Shape, frozen=True, kw_only=True):
    """One alias in ListAliases; predefined ones have no target before their first use."""

    alias_name: AliasName
    alias_arn: ArnText
    target_key_id: KeyId | None = None
    creation_date: float | None = None
    last_updated_date: float | None = None


class ListAliasesResponse(Shape, frozen=True, kw_only=True):
    """Response of ListAliases; `next_marker` only if truncated."""

    aliases: tuple[AliasListEntry, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None
