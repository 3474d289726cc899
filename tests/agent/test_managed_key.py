"""The AWS managed key behind alias/aws/kmsfs, through the pipeline."""

import json
from typing import Any

import pytest
import trio

from agent.api.enums import KeyManager
from agent.api.errors import AccessDeniedException, NotAuthorizedException, NotFoundException
from agent.operations.policies import default_policy
from services import ACCOUNT, START, Service

ALIAS = "alias/aws/kmsfs"
ALIAS_ARN = f"arn:aws:kms:local:{ACCOUNT}:{ALIAS}"
DAY = 86_400

FIRST_USES: list[tuple[str, dict[str, Any]]] = [
    ("DescribeKey", {"key_id": ALIAS}),
    ("DescribeKey", {"key_id": ALIAS_ARN}),
    ("GenerateDataKey", {"key_id": ALIAS, "key_spec": "AES_256"}),
    ("GenerateDataKeyWithoutPlaintext", {"key_id": ALIAS, "key_spec": "AES_256"}),
    ("Encrypt", {"key_id": ALIAS, "plaintext": b"t"}),
]


@pytest.mark.parametrize(("operation", "members"), FIRST_USES)
async def test_it_is_made_when_it_is_first_asked_for(
    service: Service, operation: str, members: dict[str, Any]
) -> None:
    """Before, the alias is listed without a target; the making is the service's own event."""
    (entry,) = (await service.call("ListAliases")).aliases
    assert (entry.alias_name, entry.alias_arn) == (ALIAS, ALIAS_ARN)
    assert (entry.target_key_id, entry.creation_date, entry.last_updated_date) == (None, None, None)
    await service.call(operation, **members)
    (key,) = service.kms.store.keys("local")
    (entry,) = (await service.call("ListAliases")).aliases
    assert (entry.target_key_id, entry.creation_date) == (key.key_id, START)
    metadata = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata
    assert (metadata.key_id, metadata.key_manager) == (key.key_id, KeyManager.AWS)
    listed, made, used = service.records()[:3]
    assert (listed["eventName"], made["eventName"], used["eventName"]) == (
        "ListAliases",
        "CreateKey",
        operation,
    )
    assert (made["eventType"], made["userIdentity"]["invokedBy"]) == ("AwsServiceEvent", "AWS Internal")
    assert [resource["ARN"] for resource in made["resources"]] == [key.arn]
    assert made["serviceEventDetails"] == {"keyId": key.key_id, "aliasName": ALIAS}
    assert [record["eventName"] for record in service.records()].count("CreateKey") == 1


async def test_it_is_made_once(service: Service) -> None:
    """Many first callers at the same moment get one key."""
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(lambda: service.call("GenerateDataKey", key_id=ALIAS, key_spec="AES_256"))
    assert len(service.kms.store.keys("local")) == 1


async def test_it_rotates_every_year_and_not_otherwise(service: Service) -> None:
    """Its rotation is on from the start and cannot be switched."""
    key = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata.key_id
    status = await service.call("GetKeyRotationStatus", key_id=key)
    assert (status.key_rotation_enabled, status.rotation_period_in_days) == (True, 365)
    assert status.next_rotation_date == START + 365 * DAY
    assert (await service.call("ListKeyRotations", key_id=key)).rotations == ()


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("EnableKey", {}),
    ("DisableKey", {}),
    ("UpdateKeyDescription", {"description": "mine"}),
    ("ScheduleKeyDeletion", {}),
    ("CancelKeyDeletion", {}),
    ("PutKeyPolicy", {"policy": default_policy(ACCOUNT)}),
    ("EnableKeyRotation", {}),
    ("DisableKeyRotation", {}),
    ("RotateKeyOnDemand", {}),
]


@pytest.mark.parametrize(("operation", "members"), CHANGES)
async def test_nobody_changes_it(service: Service, operation: str, members: dict[str, Any]) -> None:
    """Not even root may disable, delete, describe anew, rotate or give it another policy."""
    metadata = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata
    before = service.key(metadata.key_id)
    root = service.callers.root.arn
    with pytest.raises(AccessDeniedException) as caught:
        await service.call(operation, key_id=metadata.key_id, **members)
    assert caught.value.message == (
        f"User: {root} is not authorized to perform: kms:{operation} on resource: {metadata.arn} "
        f"because no resource-based policy allows the kms:{operation} action"
    )
    assert service.key(metadata.key_id) == before


async def test_its_names_are_the_service_s(service: Service) -> None:
    """It gets no other alias, and its own can neither be moved nor deleted."""
    managed = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata.key_id
    other = (await service.create_key()).key_id
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=other)
    for operation, name in (("CreateAlias", "alias/b"), ("UpdateAlias", "alias/a")):
        with pytest.raises(AccessDeniedException):
            await service.call(operation, alias_name=name, target_key_id=managed)
    with pytest.raises(NotAuthorizedException):
        await service.call("UpdateAlias", alias_name=ALIAS, target_key_id=other)
    with pytest.raises(NotAuthorizedException):
        await service.call("DeleteAlias", alias_name=ALIAS)


async def test_who_may_not_use_it_does_not_get_it_made(service: Service) -> None:
    """It is for whom the account lets use it; another's first use makes nothing."""
    alice, foreigner = service.callers.alice, service.callers.foreigner
    with pytest.raises(AccessDeniedException) as caught:
        await service.call("GenerateDataKey", alice, key_id=ALIAS, key_spec="AES_256")
    assert caught.value.message == (
        f"User: {alice.arn} is not authorized to perform: kms:GenerateDataKey on resource: {ALIAS_ARN} "
        "because no identity-based policy allows the kms:GenerateDataKey action"
    )
    with pytest.raises(NotFoundException, match=f"{foreigner.account_id}:{ALIAS} is not found"):
        await service.call("GenerateDataKey", foreigner, key_id=ALIAS, key_spec="AES_256")
    with pytest.raises(AccessDeniedException, match="on this resource because"):
        await service.call("GenerateDataKey", foreigner, key_id=ALIAS_ARN, key_spec="AES_256")
    assert service.kms.store.keys("local") == ()
    made = await service.call("Encrypt", service.callers.owner, key_id=ALIAS, plaintext=b"t")
    for operation, members in (
        ("DescribeKey", {"key_id": ALIAS}),
        ("GenerateDataKey", {"key_id": made.key_id, "key_spec": "AES_256"}),
        ("Decrypt", {"ciphertext_blob": made.ciphertext_blob}),
    ):
        with pytest.raises(AccessDeniedException):
            await service.call(operation, service.callers.alice, **members)


async def test_its_policy_tells_what_the_account_may_do(service: Service) -> None:
    """The policy that GetKeyPolicy shows allows exactly what is allowed."""
    metadata = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata
    policy = json.loads((await service.call("GetKeyPolicy", key_id=metadata.key_id)).policy)
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {"kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey", "kms:GetKeyPolicy"} <= allowed
    assert not {f"kms:{operation}" for operation, _ in CHANGES} & allowed
