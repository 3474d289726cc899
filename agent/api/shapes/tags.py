"""Owns the shapes of the operations on tags."""

from typing import Annotated

from msgspec import Meta

from agent.api.shapes.base import KeyId, Limit, Marker, Shape
from agent.api.shapes.keys import Tag

TagKey = Annotated[str, Meta(min_length=1, max_length=128)]


class TagResourceRequest(Shape, frozen=True, kw_only=True):
    """Request of TagResource."""

    key_id: KeyId
    tags: tuple[Tag, ...]


class UntagResourceRequest(Shape, frozen=True, kw_only=True):
    """Request of UntagResource."""

    key_id: KeyId
    tag_keys: tuple[TagKey, ...]


class ListResourceTagsRequest(Shape, frozen=True, kw_only=True):
    """Request of ListResourceTags."""

    key_id: KeyId
    limit: Limit | None = None
    marker: Marker | None = None


class ListResourceTagsResponse(Shape, frozen=True, kw_only=True):
    """Response of ListResourceTags."""

    tags: tuple[Tag, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None
