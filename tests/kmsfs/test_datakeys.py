"""A volume's keys, had from a real agent."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.api import operations
from agent.api.shapes.keys import (
    CancelKeyDeletionRequest,
    CreateKeyRequest,
    DisableKeyRequest,
    EnableKeyRequest,
    ScheduleKeyDeletionRequest,
)
from agent.client import AgentClient, AgentUnavailableError
from agents import RunningAgent
from kmsfs.datakeys import fetch_keys, fetch_volume_key, new_volume_key
from kmsfs.errors import CorruptVolumeError, KeyUnavailableError
from kmsfs.volume import Policy, VolumeDescription
from kmsfs.wrapping import Mode
from rotations import rotate

VOLUME_ID = b"volume number 01"
OTHER_VOLUME_ID = b"volume number 02"


@pytest.fixture
def client(running_agent: RunningAgent) -> Iterator[AgentClient]:
    """A client of an agent of the test's own."""
    with running_agent.client() as connected:
        yield connected


def new_key(client: AgentClient) -> str:
    """Make a KMS key; return its ARN."""
    arn = client.call(operations.CREATE_KEY, CreateKeyRequest()).key_metadata.arn
    assert arn is not None
    return arn


def new_volume(client: AgentClient, *key_ids: str) -> tuple[bytes, VolumeDescription]:
    """Return the volume key and the description of a new volume with a policy per key."""
    volume_key, blob, key_arn, _ = new_volume_key(client, key_ids[0], VOLUME_ID)
    policies = tuple(Policy(index, arn) for index, arn in enumerate((key_arn, *key_ids[1:])))
    return volume_key, VolumeDescription(VOLUME_ID, blob, policies)


def test_the_volume_key_comes_back(client: AgentClient) -> None:
    """The blob in the description gives the volume key again, and only for its own volume id."""
    volume_key, description = new_volume(client, new_key(client))
    assert len(volume_key) == 32
    assert fetch_volume_key(client, description) == volume_key
    with pytest.raises(CorruptVolumeError, match=r"restore volume\.yaml"):
        fetch_volume_key(client, replace(description, volume_id=OTHER_VOLUME_ID))


def test_a_blob_under_another_key_is_refused(client: AgentClient) -> None:
    """A description that names one KMS key with a blob of another is damaged, though the agent has both."""
    _, description = new_volume(client, new_key(client))
    policies = (Policy(0, new_key(client)),)
    with pytest.raises(CorruptVolumeError):
        fetch_volume_key(client, replace(description, policies=policies))
    blob = description.volume_key_blob
    with pytest.raises(CorruptVolumeError):
        fetch_volume_key(client, replace(description, volume_key_blob=blob[:-1] + bytes((blob[-1] ^ 1,))))


def test_a_bucket_key_serves_until_rotation(client: AgentClient) -> None:
    """The first mount makes a bucket key, the next uses it, and the one after a rotation makes another."""
    _, bare = new_volume(client, new_key(client))
    first_ring, first = fetch_keys(client, bare)
    again_ring, again = fetch_keys(client, first)
    assert again is first
    assert len(first.bucket_keys) == 1
    wrapped = first_ring.new_key().wrap(b"D" * 32, b"head")
    assert again_ring.get(first.bucket_keys[0].id, Mode.BUCKET).unwrap(wrapped, b"head") == b"D" * 32
    rotate(client, bare.policies[0].key_arn)
    rotated_ring, rotated = fetch_keys(client, first)
    assert rotated.bucket_keys[:1] == first.bucket_keys
    assert len(rotated.bucket_keys) == 2
    assert rotated.bucket_keys[0].key_material_id != rotated.bucket_keys[1].key_material_id
    assert rotated_ring.new_key().id == rotated.bucket_keys[1].id
    assert rotated_ring.get(rotated.bucket_keys[0].id, Mode.BUCKET).unwrap(wrapped, b"head") == b"D" * 32
    read_only_ring, read_only = fetch_keys(client, first, renew=False)
    assert read_only is first
    assert read_only_ring.new_key().id == first.bucket_keys[0].id


def test_an_alias_is_replaced_by_the_key_behind_it(client: AgentClient) -> None:
    """A volume under the managed key's alias hangs on that key's ARN, wherever the alias points later."""
    _, description = new_volume(client, "alias/aws/kmsfs")
    assert ":key/" in description.policies[0].key_arn


def test_refusals_carry_the_reason_and_what_to_do(client: AgentClient) -> None:
    """A disabled key, one pending deletion and one that does not exist are refused in the agent's words."""
    key_arn = new_key(client)
    _, description = new_volume(client, key_arn)
    client.call(operations.DISABLE_KEY, DisableKeyRequest(key_id=key_arn))
    with pytest.raises(KeyUnavailableError, match=r"is disabled.*kms-agent key enable"):
        fetch_volume_key(client, description)
    client.call(operations.ENABLE_KEY, EnableKeyRequest(key_id=key_arn))
    client.call(operations.SCHEDULE_KEY_DELETION, ScheduleKeyDeletionRequest(key_id=key_arn))
    with pytest.raises(KeyUnavailableError, match=r"pending deletion.*kms-agent key show"):
        fetch_volume_key(client, description)
    client.call(operations.CANCEL_KEY_DELETION, CancelKeyDeletionRequest(key_id=key_arn))
    client.call(operations.ENABLE_KEY, EnableKeyRequest(key_id=key_arn))
    fetch_volume_key(client, description)
    with pytest.raises(KeyUnavailableError, match="NotFoundException"):
        new_volume_key(client, "alias/nobody", VOLUME_ID)


def test_a_policy_without_its_key_does_not_stop_the_volume(client: AgentClient) -> None:
    """Where the key of a further policy cannot be had, the volume opens and that policy is refused."""
    first, second = new_key(client), new_key(client)
    _, description = fetch_keys(client, new_volume(client, first, second)[1])
    client.call(operations.DISABLE_KEY, DisableKeyRequest(key_id=second))
    keyring, same = fetch_keys(client, description)
    assert same is description
    keyring.new_key(0)
    with pytest.raises(KeyUnavailableError, match="is disabled"):
        keyring.new_key(1)
    with pytest.raises(KeyUnavailableError, match="is disabled"):
        keyring.get(description.bucket_keys[1].id, Mode.BUCKET)
    client.call(operations.ENABLE_KEY, EnableKeyRequest(key_id=second))
    client.call(operations.DISABLE_KEY, DisableKeyRequest(key_id=first))
    with pytest.raises(KeyUnavailableError, match="is disabled"):
        fetch_keys(client, description)


def test_bucket_keys_do_not_move_between_policies(client: AgentClient) -> None:
    """A bucket key's blob under another policy's number is refused, though both have one KMS key."""
    key_arn = new_key(client)
    _, description = fetch_keys(client, new_volume(client, key_arn, key_arn)[1])
    moved = tuple(replace(entry, policy=1 - entry.policy) for entry in description.bucket_keys)
    with pytest.raises(KeyUnavailableError):
        fetch_keys(client, replace(description, bucket_keys=moved))


def test_an_absent_agent_is_told_apart(running_agent: RunningAgent, client: AgentClient) -> None:
    """An agent that does not answer is not an agent that refuses."""
    _, description = new_volume(client, new_key(client))
    running_agent.stop()
    with pytest.raises(AgentUnavailableError):
        fetch_volume_key(client, description)
