"""Ids of requests and events."""

import uuid

from agent.ids import new_id


def test_ids_are_random_uuids() -> None:
    """Each is another, in the one spelling, with version and variant of random UUIDs."""
    made = {new_id() for _ in range(2000)}
    assert len(made) == 2000
    for text in made:
        read = uuid.UUID(text)
        assert (str(read), read.version, read.variant) == (text, 4, uuid.RFC_4122)
    assert {text[19] for text in made} == set("89ab")
