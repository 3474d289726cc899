"""AWS managed keys, that of kmsfs and those of AWS's own services, through the pipeline."""

import json
from dataclasses import replace
from typing import Any

import pytest
import trio

from agent.api.enums import KeyManager
from agent.api.errors import AccessDeniedException, NotAuthorizedException, NotFoundException
from agent.api.shapes.aliases import AliasListEntry
from agent.api.shapes.keys import Tag
from agent.operations.managed import MANAGED_KEYS
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


async def listed(service: Service) -> AliasListEntry:
    """Return the alias as ListAliases shows it; the services' aliases are all there from the start."""
    entries = {entry.alias_name: entry for entry in (await service.call("ListAliases")).aliases}
    assert entries.keys() == MANAGED_KEYS.keys()
    found: AliasListEntry = entries[ALIAS]
    return found


@pytest.mark.parametrize(("operation", "members"), FIRST_USES)
async def test_it_is_made_when_it_is_first_asked_for(
    service: Service, operation: str, members: dict[str, Any]
) -> None:
    """Before, the alias is listed without a target; the making is the service's own event."""
    entry = await listed(service)
    assert (entry.alias_name, entry.alias_arn) == (ALIAS, ALIAS_ARN)
    assert (entry.target_key_id, entry.creation_date, entry.last_updated_date) == (None, None, None)
    await service.call(operation, **members)
    (key,) = service.kms.store.keys("local")
    entry = await listed(service)
    assert (entry.target_key_id, entry.creation_date) == (key.key_id, START)
    metadata = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata
    assert (metadata.key_id, metadata.key_manager) == (key.key_id, KeyManager.AWS)
    before, made, used = service.records()[:3]
    assert (before["eventName"], made["eventName"], used["eventName"]) == (
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
    ("TagResource", {"tags": (Tag(tag_key="a", tag_value="b"),)}),
    ("UntagResource", {"tag_keys": ("a",)}),
    ("UpdatePrimaryRegion", {"primary_region": "us-east-1"}),
    ("ReplicateKey", {"replica_region": "us-east-1"}),
    ("CreateGrant", {"grantee_principal": f"arn:aws:iam::{ACCOUNT}:user/bob", "operations": ("Decrypt",)}),
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
    """The policy that GetKeyPolicy shows is the one that counts: use and reading, nothing else."""
    metadata = (await service.call("DescribeKey", key_id=ALIAS)).key_metadata
    policy = json.loads((await service.call("GetKeyPolicy", key_id=metadata.key_id)).policy)
    use, read = (statement["Action"] for statement in policy["Statement"])
    assert use == ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]
    assert read == ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"]


SERVICES: list[tuple[str, str, str]] = [
    ("alias/aws/ebs", "ec2", "EBS volumes"),
    ("alias/aws/rds", "rds", "RDS database volumes"),
    ("alias/aws/s3", "s3", "S3 objects"),
    ("alias/aws/secretsmanager", "secretsmanager", "Secrets Manager data"),
    ("alias/aws/ssm", "ssm", "SSM parameters"),
]


@pytest.mark.parametrize(("alias", "name", "protected"), SERVICES)
async def test_a_service_s_key_is_used_through_the_service(
    service: Service, alias: str, name: str, protected: str
) -> None:
    """Whoever the service asks for may use it, and nobody directly; the account may look at it."""
    alice, root = service.callers.alice, service.callers.root
    through = replace(alice, via_service=f"{name}.local.amazonaws.com")
    for caller in (alice, root, replace(alice, via_service="other.local.amazonaws.com")):
        with pytest.raises(AccessDeniedException):
            await service.call("GenerateDataKey", caller, key_id=alias, key_spec="AES_256")
    assert service.kms.store.keys("local") == ()
    made = await service.call("GenerateDataKey", through, key_id=alias, key_spec="AES_256")
    opened = await service.call("Decrypt", through, ciphertext_blob=made.ciphertext_blob)
    assert opened.plaintext == made.plaintext
    for caller in (alice, root):
        with pytest.raises(AccessDeniedException):
            await service.call("Decrypt", caller, ciphertext_blob=made.ciphertext_blob)
    metadata = (await service.call("DescribeKey", key_id=alias)).key_metadata
    assert metadata.arn == made.key_id
    assert metadata.description == f"Default key that protects my {protected} when no other key is defined"
    assert (metadata.key_manager, metadata.multi_region) == (KeyManager.AWS, False)
    status = await service.call("GetKeyRotationStatus", key_id=metadata.key_id)
    assert status.rotation_period_in_days == 365
    policy = json.loads((await service.call("GetKeyPolicy", key_id=metadata.key_id)).policy)
    assert policy["Statement"][0]["Condition"] == {
        "StringEquals": {
            "kms:CallerAccount": ACCOUNT,
            "kms:ViaService": f"{name}.local.amazonaws.com",
        }
    }


async def test_each_region_has_managed_keys_of_its_own(service: Service) -> None:
    """The same alias stands for another key elsewhere, used through the service of that Region."""
    east = Service(service.kms.in_region("us-east-1"), service.audit, service.clock, service.directory)
    here, there = [(await each.call("DescribeKey", key_id=ALIAS)).key_metadata for each in (service, east)]
    assert here.key_id != there.key_id
    through = replace(service.callers.alice, via_service="s3.us-east-1.amazonaws.com")
    await east.call("Encrypt", through, key_id="alias/aws/s3", plaintext=b"t")
    with pytest.raises(AccessDeniedException):
        await service.call("Encrypt", through, key_id="alias/aws/s3", plaintext=b"t")
