"""Tags on keys, through the pipeline."""

import pytest

from agent.api.enums import KeyState
from agent.api.errors import (
    InvalidArnException,
    InvalidMarkerException,
    KMSInvalidStateException,
    TagException,
    ValidationException,
)
from agent.api.shapes.keys import Tag
from services import Service


def tags(**pairs: str) -> tuple[Tag, ...]:
    """Return tags as requests have them."""
    return tuple(Tag(tag_key=name, tag_value=value) for name, value in pairs.items())


async def listed(service: Service, key_id: str) -> dict[str, str]:
    """Return a key's tags."""
    response = await service.call("ListResourceTags", key_id=key_id)
    assert response.truncated is False
    return {tag.tag_key: tag.tag_value for tag in response.tags}


async def test_tags_come_with_the_key_and_go_with_it(service: Service) -> None:
    """Tags given to CreateKey are there; TagResource adds and replaces, UntagResource removes."""
    key = (await service.create_key(tags=tags(team="mail", stage="test"))).key_id
    assert await listed(service, key) == {"stage": "test", "team": "mail"}
    await service.call("TagResource", key_id=key, tags=tags(stage="production", Empty=""))
    assert await listed(service, key) == {"Empty": "", "stage": "production", "team": "mail"}
    await service.call("UntagResource", key_id=key, tag_keys=("team", "never there"))
    await service.call("UntagResource", key_id=key, tag_keys=("team",))
    assert await listed(service, key) == {"Empty": "", "stage": "production"}
    assert service.key(key).tags == (("Empty", ""), ("stage", "production"))


async def test_tags_are_listed_in_pages(service: Service) -> None:
    """Pages are by tag key; a marker holds for the key that it came from."""
    names = [f"t{number:02}" for number in range(50)]
    key = (await service.create_key(tags=tags(**dict.fromkeys(names, "v")))).key_id
    other = (await service.create_key()).key_id
    assert len((await service.call("ListResourceTags", key_id=key)).tags) == 50
    first = await service.call("ListResourceTags", key_id=key, limit=20)
    rest = await service.call("ListResourceTags", key_id=key, limit=30, marker=first.next_marker)
    assert (first.truncated, rest.truncated, rest.next_marker) == (True, False, None)
    assert [tag.tag_key for tag in first.tags + rest.tags] == names
    with pytest.raises(InvalidMarkerException):
        await service.call("ListResourceTags", key_id=other, marker=first.next_marker)


@pytest.mark.parametrize(
    ("added", "text"),
    [
        (tags(**{f"n{number}": "" for number in range(51)}), "Too many tags"),
        ((*tags(a="1"), *tags(a="2")), "Duplicate tag keys"),
        (tags(**{"AWS:a": "1"}), "Tags beginning with aws: are reserved"),
        (tags(**{f"n{number}": "" for number in range(50)}), "Too many tags"),
    ],
)
async def test_tags_that_no_key_can_have(service: Service, added: tuple[Tag, ...], text: str) -> None:
    """Too many, with those that are there, or twice the same, or AWS's own: refused, and nothing changes."""
    key = (await service.create_key(tags=tags(there="1"))).key_id
    with pytest.raises(TagException) as caught:
        await service.call("TagResource", key_id=key, tags=added)
    assert caught.value.message == text
    assert await listed(service, key) == {"there": "1"}


async def test_a_full_key_takes_new_values(service: Service) -> None:
    """The fifty are counted after the change: replacing values needs no room."""
    names = [f"n{number}" for number in range(50)]
    key = (await service.create_key(tags=tags(**dict.fromkeys(names, "old")))).key_id
    await service.call("TagResource", key_id=key, tags=tags(**dict.fromkeys(names, "new")))
    assert set((await listed(service, key)).values()) == {"new"}


async def test_reserved_tags_cannot_be_removed(service: Service) -> None:
    """No key has them, and AWS says so instead of being silent."""
    key = (await service.create_key()).key_id
    with pytest.raises(TagException):
        await service.call("UntagResource", key_id=key, tag_keys=("aws:x",))


async def test_lengths_are_those_of_the_model(service: Service) -> None:
    """A tag key has 1 to 128 characters, a value at most 256."""
    key = (await service.create_key()).key_id
    await service.call("TagResource", key_id=key, tags=tags(**{"k" * 128: "v" * 256}))
    for pair in ({"k" * 129: ""}, {"": ""}, {"k": "v" * 257}):
        with pytest.raises(ValidationException, match=r"tags\.1\.member\.tag"):
            await service.call("TagResource", key_id=key, tags=tags(**pair))


async def test_tagging_is_by_id_or_arn(service: Service) -> None:
    """An alias is refused in AWS's words."""
    key = await service.create_key()
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=key.key_id)
    await service.call("TagResource", key_id=key.arn, tags=tags(a="1"))
    for operation, members in (
        ("TagResource", {"tags": tags(a="2")}),
        ("UntagResource", {"tag_keys": ("a",)}),
        ("ListResourceTags", {}),
    ):
        with pytest.raises(InvalidArnException):
            await service.call(operation, key_id="alias/a", **members)
    assert await listed(service, key.key_id) == {"a": "1"}


async def test_keys_that_wait_for_deletion_keep_their_tags(service: Service) -> None:
    """They can be read, and not changed."""
    key = (await service.create_key(tags=tags(a="1"))).key_id
    await service.call("ScheduleKeyDeletion", key_id=key)
    assert service.key(key).key_state is KeyState.PENDING_DELETION
    with pytest.raises(KMSInvalidStateException):
        await service.call("TagResource", key_id=key, tags=tags(a="2"))
    with pytest.raises(KMSInvalidStateException):
        await service.call("UntagResource", key_id=key, tag_keys=("a",))
    assert await listed(service, key) == {"a": "1"}
