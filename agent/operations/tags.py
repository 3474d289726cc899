"""Owns the operations on tags, and which tags a key may have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.api import operations as api
from agent.api.errors import TagException
from agent.api.shapes.base import Empty
from agent.api.shapes.keys import Tag
from agent.api.shapes.tags import (
    ListResourceTagsRequest,
    ListResourceTagsResponse,
    TagResourceRequest,
    UntagResourceRequest,
)
from agent.keys.key import Key
from agent.operations import handler
from agent.operations.keys import change
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page

TAGS_PER_KEY: Final = 50
_LIST_LIMIT: Final = 50
_RESERVED_PREFIX: Final = "aws:"

KeyTags = tuple[tuple[str, str], ...]
"""Pairs of tag key and tag value, sorted by tag key."""


def check_tags(tags: Sequence[Tag]) -> None:
    """Refuse tags that no key can have.

    Raises:
        TagException: too many, twice the same tag key, or a tag key that is AWS's.
    """
    if len(tags) > TAGS_PER_KEY:
        raise _too_many()
    if len({tag.tag_key for tag in tags}) < len(tags):
        raise TagException("Duplicate tag keys")
    _refuse_reserved(tag.tag_key for tag in tags)


def key_tags(tags: Sequence[Tag]) -> KeyTags:
    """Return tags as a key keeps them."""
    return tuple(sorted((tag.tag_key, tag.tag_value) for tag in tags))


def shown_tags(key: Key) -> tuple[Tag, ...]:
    """Return a key's tags as answers show them, by tag key."""
    return tuple(Tag(tag_key=name, tag_value=value) for name, value in key.tags)


def check_tag_resource(request: TagResourceRequest) -> None:
    """Refuse tags that no key can have."""
    check_tags(request.tags)


def tag_resource(kms: Kms, _caller: Caller, keys: Keys, request: TagResourceRequest) -> Empty:
    """Add tags to a key, or give tags that it has other values."""
    added = dict(key_tags(request.tags))
    change(kms, keys[0], "TagResource", lambda key: _with_tags(key, dict(key.tags) | added))
    return Empty()


def check_untag_resource(request: UntagResourceRequest) -> None:
    """Refuse to remove what no key can have."""
    _refuse_reserved(request.tag_keys)


def untag_resource(kms: Kms, _caller: Caller, keys: Keys, request: UntagResourceRequest) -> Empty:
    """Remove tags from a key; those that it has not are no error."""
    removed = frozenset(request.tag_keys)
    change(
        kms,
        keys[0],
        "UntagResource",
        lambda key: _with_tags(key, {name: value for name, value in key.tags if name not in removed}),
    )
    return Empty()


def list_resource_tags(
    _kms: Kms, _caller: Caller, keys: Keys, request: ListResourceTagsRequest
) -> ListResourceTagsResponse:
    """Return a page of a key's tags, by tag key."""
    (key,) = keys
    chosen, marker = page(
        shown_tags(key),
        lambda tag: tag.tag_key,
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListResourceTags {key.arn}",
    )
    return ListResourceTagsResponse(tags=tuple(chosen), next_marker=marker, truncated=marker is not None)


def _with_tags(key: Key, tags: Mapping[str, str]) -> Key:
    if len(tags) > TAGS_PER_KEY:
        raise _too_many()
    return replace(key, tags=tuple(sorted(tags.items())))


def _refuse_reserved(tag_keys: Iterable[str]) -> None:
    if any(tag_key.lower().startswith(_RESERVED_PREFIX) for tag_key in tag_keys):
        raise TagException("Tags beginning with aws: are reserved")


def _too_many() -> TagException:
    return TagException("Too many tags")


HANDLERS: Final = (
    handler.Handler(
        api.TAG_RESOURCE, handler.key(api.TAG_RESOURCE), tag_resource, check_tag_resource, mutates=True
    ),
    handler.Handler(
        api.UNTAG_RESOURCE,
        handler.key(api.UNTAG_RESOURCE),
        untag_resource,
        check_untag_resource,
        mutates=True,
    ),
    handler.Handler(api.LIST_RESOURCE_TAGS, handler.key(api.LIST_RESOURCE_TAGS), list_resource_tags),
)
