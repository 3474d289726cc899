"""Multi-Region keys, through the pipeline: replicas, the primary Region, what is shared and what is not."""

import json
import re
from typing import Any, Final

import pytest

from agent import dispatch, jobs
from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    AlreadyExistsException,
    DisabledException,
    IncorrectKeyMaterialException,
    InvalidArnException,
    KMSInvalidStateException,
    NotFoundException,
    ServiceError,
    TagException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.keys import KeyMetadata, Tag
from importing import FOREVER, parameters
from services import ACCOUNT, START, Service

DAY: Final = 86_400
EAST, WEST, HOME = "us-east-1", "eu-west-1", "local"
MRK: Final = re.compile(r"mrk-[0-9a-f]{32}")


def in_region(service: Service, region: str) -> Service:
    """The same service as asked for another Region."""
    return Service(service.kms.in_region(region), service.audit, service.clock, service.directory)


def arn(region: str, key_id: str) -> str:
    """Return the ARN of a key in a Region."""
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{key_id}"


async def described(service: Service, key_id: str) -> KeyMetadata:
    """Return what DescribeKey tells."""
    metadata: KeyMetadata = (await service.call("DescribeKey", key_id=key_id)).key_metadata
    return metadata


async def family(service: Service, **members: object) -> tuple[Service, Service, str]:
    """Return a primary in us-east-1 and a replica in eu-west-1 that is ready."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    key = (await east.create_key(multi_region=True, **members)).key_id
    await east.call("ReplicateKey", key_id=key, replica_region=WEST)
    service.clock.advance(seconds=2)
    return east, west, key


async def test_a_primary_tells_of_itself(service: Service) -> None:
    """Its id begins with mrk-, and its metadata names it as the primary, without replicas."""
    east = in_region(service, EAST)
    made = await east.create_key(multi_region=True)
    assert MRK.fullmatch(made.key_id)
    body = await east.send("DescribeKey", json.dumps({"KeyId": made.key_id}).encode())
    metadata = json.loads(body)["KeyMetadata"]
    assert metadata["MultiRegion"] is True
    assert metadata["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": arn(EAST, made.key_id), "Region": EAST},
        "ReplicaKeys": [],
    }


async def test_replicate_key(service: Service) -> None:
    """The answer is the replica as it is being made, with a policy, description and tags of its own."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    tag = Tag(tag_key="at", tag_value="primary")
    key = (await east.create_key(multi_region=True, description="primary", tags=(tag,))).key_id
    service.clock.advance(seconds=10)
    response = await east.call("ReplicateKey", key_id=arn(EAST, key), replica_region=WEST)
    made = response.replica_key_metadata
    assert (made.key_id, made.arn, made.creation_date) == (key, arn(WEST, key), START + 10)
    assert (made.description, response.replica_tags) == ("", ())
    assert (made.key_state, made.enabled, made.current_key_material_id) == (KeyState.CREATING, False, None)
    assert response.replica_policy == (await west.call("GetKeyPolicy", key_id=key)).policy
    relatives = made.multi_region_configuration
    assert relatives is not None
    assert (relatives.multi_region_key_type, relatives.primary_key.arn) == ("REPLICA", arn(EAST, key))
    assert [replica.region for replica in relatives.replica_keys] == [WEST]
    with pytest.raises(KMSInvalidStateException, match="is creating"):
        await west.call("Encrypt", key_id=key, plaintext=b"t")
    await west.call("CreateAlias", alias_name="alias/replica", target_key_id=key)
    service.clock.advance(seconds=2)
    ready = await described(west, "alias/replica")
    assert (ready.key_state, ready.enabled) == (KeyState.ENABLED, True)
    assert ready.current_key_material_id == (await described(east, key)).current_key_material_id
    of_primary = (await described(east, key)).multi_region_configuration
    assert of_primary is not None
    assert of_primary.replica_keys == relatives.replica_keys
    assert (await east.call("ListAliases", key_id=key)).aliases == ()


async def test_a_replica_s_own_properties(service: Service) -> None:
    """Description, tags and state are each key's own, from the beginning and later."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    key = (await east.create_key(multi_region=True, description="first")).key_id
    tag = Tag(tag_key="at", tag_value="replica")
    response = await east.call(
        "ReplicateKey", key_id=key, replica_region=WEST, description="second", tags=(tag,)
    )
    assert (response.replica_key_metadata.description, response.replica_tags) == ("second", (tag,))
    service.clock.advance(seconds=2)
    await west.call("UpdateKeyDescription", key_id=key, description="third")
    await west.call("DisableKey", key_id=key)
    assert (await described(east, key)).description == "first"
    assert (await described(east, key)).key_state is KeyState.ENABLED
    assert (await east.call("ListResourceTags", key_id=key)).tags == ()
    await east.call("Encrypt", key_id=key, plaintext=b"t")
    with pytest.raises(DisabledException):
        await west.call("Encrypt", key_id=key, plaintext=b"t")


async def test_what_one_encrypts_the_other_decrypts(service: Service) -> None:
    """In both directions, with and without a KeyId; the answer names the key that did it."""
    east, west, key = await family(service)
    context = {"purpose": "test"}
    for here, there, region in ((east, west, WEST), (west, east, EAST)):
        made = await here.call("Encrypt", key_id=key, plaintext=b"secret", encryption_context=context)
        for name in ({}, {"key_id": key}, {"key_id": arn(region, key)}):
            opened = await there.call(
                "Decrypt", ciphertext_blob=made.ciphertext_blob, encryption_context=context, **name
            )
            assert (opened.plaintext, opened.key_id) == (b"secret", arn(region, key))
    moved = await west.call(
        "ReEncrypt",
        ciphertext_blob=made.ciphertext_blob,
        source_encryption_context=context,
        destination_key_id=key,
    )
    assert (moved.source_key_id, moved.key_id) == (arn(WEST, key), arn(WEST, key))


@pytest.mark.parametrize(
    ("spec", "usage", "operation", "members", "check", "result"),
    [
        (
            KeySpec.HMAC_256,
            KeyUsage.GENERATE_VERIFY_MAC,
            "GenerateMac",
            {"mac_algorithm": "HMAC_SHA_256", "message": b"m"},
            "VerifyMac",
            "mac",
        ),
        (
            KeySpec.ECC_NIST_P256,
            KeyUsage.SIGN_VERIFY,
            "Sign",
            {"signing_algorithm": "ECDSA_SHA_256", "message": b"m"},
            "Verify",
            "signature",
        ),
    ],
)
async def test_other_specs_are_replicated_too(
    service: Service,
    spec: KeySpec,
    usage: KeyUsage,
    operation: str,
    members: dict[str, Any],
    check: str,
    result: str,
) -> None:
    """A MAC or signature made in one Region verifies in the other."""
    east, west, key = await family(service, key_spec=spec, key_usage=usage)
    made = getattr(await east.call(operation, key_id=key, **members), result)
    assert (await west.call(check, key_id=key, **members, **{result: made})).key_id == arn(WEST, key)


async def test_single_region_keys_stay_in_their_region(service: Service) -> None:
    """Another Region knows nothing of the key or of its ciphertexts."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    made = await east.create_key()
    blob = (await east.call("Encrypt", key_id=made.key_id, plaintext=b"t")).ciphertext_blob
    with pytest.raises(NotFoundException) as caught:
        await west.call("Encrypt", key_id=made.key_id, plaintext=b"t")
    assert caught.value.message == f"Key '{arn(WEST, made.key_id)}' does not exist"
    with pytest.raises(AccessDeniedException, match="does not exist in this region"):
        await west.call("Decrypt", ciphertext_blob=blob)


@pytest.mark.parametrize("multi_region", [False, True])
async def test_a_request_signed_for_one_region_names_no_key_of_another(
    service: Service, *, multi_region: bool
) -> None:
    """The key ARN has to be of the Region that the request is for, replicas included."""
    east = in_region(service, EAST)
    made = await east.create_key(multi_region=multi_region)
    body = json.dumps({"KeyId": made.arn}).encode()
    with pytest.raises(NotFoundException) as caught:
        await dispatch.handle(
            service.kms,
            service.audit,
            service.callers.root,
            "DescribeKey",
            body,
            "request",
            "test",
            region=WEST,
        )
    assert caught.value.message == f"Invalid arn {EAST}"


async def replicate_refusals(east: Service, key: str, single: str) -> list[tuple[dict[str, Any], Any, str]]:
    """Return requests of ReplicateKey that are refused, with exception and text."""
    await east.call("CreateAlias", alias_name="alias/a", target_key_id=key)
    return [
        (
            {"key_id": key, "replica_region": EAST},
            ValidationException,
            f"{EAST} cannot have a replica because it contains the primary.",
        ),
        (
            {"key_id": single, "replica_region": HOME},
            UnsupportedOperationException,
            f"{arn(EAST, single)} is not a multi-region primary key.",
        ),
        (
            {"key_id": key, "replica_region": WEST},
            AlreadyExistsException,
            f"{arn(WEST, key)} already exists.",
        ),
        ({"key_id": key, "replica_region": "sa-east-1"}, UnsupportedOperationException, "sa-east-1 is not"),
        ({"key_id": key, "replica_region": "Not A Region"}, ValidationException, "replicaRegion"),
        (
            {"key_id": "alias/a", "replica_region": HOME},
            InvalidArnException,
            "Key Aliases are not supported for this operation.",
        ),
        (
            {"key_id": key, "replica_region": HOME, "tags": (Tag(tag_key="aws:a", tag_value=""),)},
            TagException,
            "Tags beginning with aws: are reserved",
        ),
    ]


async def test_replicate_key_refuses(service: Service) -> None:
    """What cannot be replicated, or not there, is refused in AWS's words; nothing is made."""
    east, west, key = await family(service)
    single = (await east.create_key()).key_id
    for members, error, text in await replicate_refusals(east, key, single):
        with pytest.raises(error, match=re.escape(text)):
            await east.call("ReplicateKey", **members)
    with pytest.raises(UnsupportedOperationException) as caught:
        await west.call("ReplicateKey", key_id=key, replica_region=HOME)
    assert caught.value.message == f"{arn(WEST, key)} is not a multi-region primary key."
    await east.call("DisableKey", key_id=key)
    with pytest.raises(DisabledException):
        await east.call("ReplicateKey", key_id=key, replica_region=HOME)
    assert service.kms.store.keys(HOME) == ()
    assert [found.key_id for found in service.kms.store.keys(WEST)] == [key]


async def test_update_primary_region(service: Service) -> None:
    """The replica becomes the primary and the primary its replica; cryptography goes on meanwhile."""
    east, west, key = await family(service)
    await east.call("ReplicateKey", key_id=key, replica_region=HOME)
    service.clock.advance(seconds=2)
    await east.call("EnableKeyRotation", key_id=key, rotation_period_in_days=90)
    await east.call("UpdatePrimaryRegion", key_id=key, primary_region=WEST)
    blob = (await east.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    assert (await west.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"
    for here in (east, west):
        assert (await described(here, key)).key_state is KeyState.UPDATING
        for operation in ("DisableKey", "ScheduleKeyDeletion"):
            with pytest.raises(KMSInvalidStateException, match="is updating"):
                await here.call(operation, key_id=key)
    with pytest.raises(KMSInvalidStateException):
        await west.call("ReplicateKey", key_id=key, replica_region=HOME)
    assert (await described(service, key)).key_state is KeyState.ENABLED
    service.clock.advance(seconds=2)
    for here, kind in ((east, "REPLICA"), (west, "PRIMARY"), (service, "REPLICA")):
        metadata = await described(here, key)
        relatives = metadata.multi_region_configuration
        assert relatives is not None
        assert metadata.key_state is KeyState.ENABLED
        assert relatives.multi_region_key_type == kind
        assert relatives.primary_key.region == WEST
        assert [replica.region for replica in relatives.replica_keys] == [HOME, EAST]
        status = await here.call("GetKeyRotationStatus", key_id=key)
        assert (status.key_rotation_enabled, status.rotation_period_in_days) == (True, 90)
    await west.call("DisableKeyRotation", key_id=key)
    with pytest.raises(UnsupportedOperationException):
        await east.call("EnableKeyRotation", key_id=key)


@pytest.mark.parametrize(
    ("region", "error"),
    [(HOME, NotFoundException), ("sa-east-1", NotFoundException), (EAST, UnsupportedOperationException)],
)
async def test_update_primary_region_needs_a_replica(
    service: Service, region: str, error: type[ServiceError]
) -> None:
    """A Region without one cannot take over, nor the one that is primary already."""
    east, west, key = await family(service)
    with pytest.raises(error):
        await east.call("UpdatePrimaryRegion", key_id=key, primary_region=region)
    with pytest.raises(UnsupportedOperationException, match="is not a multi-region primary key"):
        await west.call("UpdatePrimaryRegion", key_id=key, primary_region=EAST)
    single = (await east.create_key()).key_id
    with pytest.raises(UnsupportedOperationException, match="is not a multi-region primary key"):
        await east.call("UpdatePrimaryRegion", key_id=single, primary_region=WEST)


async def test_both_keys_must_be_ready_for_a_new_primary_region(service: Service) -> None:
    """A disabled replica does not become the primary."""
    east, west, key = await family(service)
    await west.call("DisableKey", key_id=key)
    with pytest.raises(DisabledException) as caught:
        await east.call("UpdatePrimaryRegion", key_id=key, primary_region=WEST)
    assert caught.value.message == f"{arn(WEST, key)} is disabled."
    assert (await described(east, key)).key_state is KeyState.ENABLED


async def test_a_primary_is_deleted_after_its_replicas(service: Service) -> None:
    """Its waiting period begins when the last replica is gone, and shows as days until then."""
    east, west, key = await family(service)
    await east.call("ReplicateKey", key_id=key, replica_region=HOME)
    await east.call("EnableKeyRotation", key_id=key)
    service.clock.advance(seconds=2)
    answer = await east.call("ScheduleKeyDeletion", key_id=key, pending_window_in_days=7)
    assert (answer.key_state, answer.deletion_date) == (KeyState.PENDING_REPLICA_DELETION, None)
    assert (answer.key_id, answer.pending_window_in_days) == (arn(EAST, key), 7)
    waiting = await described(east, key)
    assert (waiting.deletion_date, waiting.pending_deletion_window_in_days) == (None, 7)
    assert (await east.call("GetKeyRotationStatus", key_id=key)).key_rotation_enabled is True
    with pytest.raises(KMSInvalidStateException, match="is pending replica deletion"):
        await east.call("Encrypt", key_id=key, plaintext=b"t")
    await west.call("Encrypt", key_id=key, plaintext=b"t")
    await west.call("ScheduleKeyDeletion", key_id=key, pending_window_in_days=7)
    await service.call("ScheduleKeyDeletion", key_id=key, pending_window_in_days=8)
    assert (await west.call("GetKeyRotationStatus", key_id=key)).key_rotation_enabled is False
    service.clock.advance(days=7)
    await jobs.run_due(service.kms, service.audit)
    with pytest.raises(NotFoundException):
        await described(west, key)
    assert (await described(east, key)).key_state is KeyState.PENDING_REPLICA_DELETION
    service.clock.advance(days=1)
    await jobs.run_due(service.kms, service.audit)
    due = await described(east, key)
    assert (due.key_state, due.deletion_date) == (KeyState.PENDING_DELETION, service.clock() + 7 * DAY)
    assert due.pending_deletion_window_in_days is None
    service.clock.advance(days=7)
    await jobs.run_due(service.kms, service.audit)
    assert [service.kms.store.keys(region) for region in (HOME, EAST, WEST)] == [(), (), ()]
    deleted = [
        record["resources"][0]["ARN"] for record in service.records() if record["eventName"] == "DeleteKey"
    ]
    assert deleted == [arn(region, key) for region in (WEST, HOME, EAST)]


async def test_cancelled_deletions(service: Service) -> None:
    """Primary and replica can both be kept; both are disabled then."""
    east, west, key = await family(service)
    for here in (east, west):
        await here.call("ScheduleKeyDeletion", key_id=key)
    for here in (east, west):
        assert (await here.call("CancelKeyDeletion", key_id=key)).key_id == (await described(here, key)).arn
        metadata = await described(here, key)
        assert (metadata.key_state, metadata.pending_deletion_window_in_days) == (KeyState.DISABLED, None)


async def test_a_replica_can_be_made_again(service: Service) -> None:
    """What it encrypted is not lost with it: primary and new replica decrypt it."""
    east, west, key = await family(service)
    blob = (await west.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    await west.call("ScheduleKeyDeletion", key_id=key, pending_window_in_days=7)
    with pytest.raises(AlreadyExistsException):
        await east.call("ReplicateKey", key_id=key, replica_region=WEST)
    service.clock.advance(days=7)
    await jobs.run_due(service.kms, service.audit)
    assert (await east.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"
    await east.call("ReplicateKey", key_id=key, replica_region=WEST)
    service.clock.advance(seconds=2)
    assert (await west.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"


async def test_automatic_rotation_reaches_all_regions(service: Service) -> None:
    """The primary rotates, in one step for all; a disabled primary keeps all from rotating."""
    east, west, key = await family(service)
    await east.call("EnableKeyRotation", key_id=key, rotation_period_in_days=90)
    first = (await described(west, key)).current_key_material_id
    service.clock.advance(days=90)
    for _ in range(2):
        await jobs.run_due(service.kms, service.audit)
    second = (await described(west, key)).current_key_material_id
    assert second != first
    assert (await described(east, key)).current_key_material_id == second
    assert [record["eventName"] for record in service.records()].count("RotateKey") == 1
    rotations = [(await here.call("ListKeyRotations", key_id=key)).rotations for here in (east, west)]
    assert rotations[0] == rotations[1]
    await east.call("DisableKey", key_id=key)
    service.clock.advance(days=90)
    await jobs.run_due(service.kms, service.audit)
    assert (await described(west, key)).current_key_material_id == second
    await east.call("EnableKey", key_id=key)
    await jobs.run_due(service.kms, service.audit)
    assert (await described(west, key)).current_key_material_id not in {first, second}


@pytest.mark.parametrize("operation", ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"])
async def test_rotation_is_the_primary_s(service: Service, operation: str) -> None:
    """A replica shows the settings of its primary, and does not take others."""
    east, west, key = await family(service)
    await east.call("EnableKeyRotation", key_id=key, rotation_period_in_days=100)
    with pytest.raises(UnsupportedOperationException) as caught:
        await west.call(operation, key_id=key)
    assert caught.value.message == f"{arn(WEST, key)} is not a multi-region primary key."
    here, there = [await region.call("GetKeyRotationStatus", key_id=key) for region in (east, west)]
    assert here == there


async def brought(service: Service, key_id: str, material: bytes, **members: str) -> None:
    """Import material that stays into a key of the service's Region."""
    got = await parameters(service, key_id)
    await service.call("ImportKeyMaterial", **got.members(material), expiration_model=FOREVER, **members)


async def test_a_replica_waits_for_its_material_where_that_is_imported(service: Service) -> None:
    """It takes the primary's material and no other, and is deleted and brought back in each Region alone."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    key = (await east.create_key(multi_region=True, origin="EXTERNAL")).key_id
    with pytest.raises(KMSInvalidStateException, match="is pending import"):
        await east.call("ReplicateKey", key_id=key, replica_region=WEST)
    await brought(east, key, bytes(32))
    blob = (await east.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    made = (await east.call("ReplicateKey", key_id=key, replica_region=WEST)).replica_key_metadata
    assert made.key_state is KeyState.CREATING
    service.clock.advance(seconds=2)
    assert (await described(west, key)).key_state is KeyState.PENDING_IMPORT
    with pytest.raises(IncorrectKeyMaterialException):
        await brought(west, key, bytes(31) + b"1")
    await brought(west, key, bytes(32))
    assert (await described(west, key)).key_state is KeyState.ENABLED
    assert (await west.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"
    await west.call("DeleteImportedKeyMaterial", key_id=key)
    assert (await described(west, key)).key_state is KeyState.PENDING_IMPORT
    assert (await described(east, key)).key_state is KeyState.ENABLED


async def test_imported_material_rotates_once_every_region_has_it(service: Service) -> None:
    """New material comes to the primary first, and encrypts nowhere before the replica has it, too."""
    east, west = in_region(service, EAST), in_region(service, WEST)
    key = (await east.create_key(multi_region=True, origin="EXTERNAL")).key_id
    await brought(east, key, bytes(32))
    await east.call("ReplicateKey", key_id=key, replica_region=WEST)
    service.clock.advance(seconds=2)
    await brought(west, key, bytes(32))
    first = (await described(east, key)).current_key_material_id
    await brought(east, key, bytes(31) + b"1", import_type="NEW_KEY_MATERIAL")
    with pytest.raises(KMSInvalidStateException):
        await east.call("RotateKeyOnDemand", key_id=key)
    await brought(west, key, bytes(31) + b"1")
    await east.call("RotateKeyOnDemand", key_id=key)
    await jobs.run_due(service.kms, service.audit)
    second = (await described(east, key)).current_key_material_id
    assert second not in {first, None}
    assert (await described(west, key)).current_key_material_id == second
    blob = (await west.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    assert (await east.call("Decrypt", ciphertext_blob=blob)).key_material_id == second


def allow(action: str, **condition: str) -> dict[str, Any]:
    """Return a statement that allows an action, under conditions of equality."""
    names = {name.replace("_", ":"): value for name, value in condition.items()}
    return {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": {"StringEquals": names}}


async def test_a_replica_takes_permissions_in_both_regions(service: Service) -> None:
    """ReplicateKey on the primary, and in the replica's Region CreateKey, and TagResource for tags."""
    east, alice = in_region(service, EAST), service.callers.alice
    key = (await east.create_key(multi_region=True)).key_id
    tag = Tag(tag_key="a", tag_value="b")
    members = {"key_id": key, "replica_region": WEST, "tags": (tag,)}
    steps = [
        ("kms:ReplicateKey", allow("kms:ReplicateKey", kms_ReplicaRegion=WEST)),
        ("kms:CreateKey", allow("kms:CreateKey", aws_RequestedRegion=EAST)),
        ("kms:CreateKey", allow("kms:CreateKey", aws_RequestedRegion=WEST)),
        ("kms:TagResource", allow("kms:TagResource", aws_RequestedRegion=WEST)),
    ]
    for number, (missing, statement) in enumerate(steps):
        with pytest.raises(AccessDeniedException, match=missing):
            await east.call("ReplicateKey", alice, **members)
        service.allow(alice, statement, name=f"step{number}")
    with pytest.raises(AccessDeniedException, match="kms:ReplicateKey"):
        await east.call("ReplicateKey", alice, **members | {"replica_region": HOME})
    assert (await east.call("ReplicateKey", alice, **members)).replica_tags == (tag,)


async def test_a_new_primary_takes_permission_on_both_keys(service: Service) -> None:
    """Who may do it with the primary only is refused, with the replica's ARN."""
    east, west, key = await family(service)
    service.allow(service.callers.alice, {"Effect": "Allow", "Action": "kms:*", "Resource": arn(EAST, key)})
    members = {"key_id": key, "primary_region": WEST}
    with pytest.raises(AccessDeniedException, match=arn(WEST, key)):
        await east.call("UpdatePrimaryRegion", service.callers.alice, **members)
    assert (await described(west, key)).key_state is KeyState.ENABLED
    everywhere = arn("*", key)
    service.allow(service.callers.alice, {"Effect": "Allow", "Action": "kms:*", "Resource": everywhere})
    await east.call("UpdatePrimaryRegion", service.callers.alice, **members)


async def test_the_last_use_is_each_key_s_own(service: Service) -> None:
    """Using the primary does not count as use of its replica."""
    east, west, key = await family(service)
    await east.call("Encrypt", key_id=key, plaintext=b"t")
    used, unused = [await here.call("GetKeyLastUsage", key_id=key) for here in (east, west)]
    assert used.key_last_usage.operation == "Encrypt"
    assert unused.key_last_usage is None or unused.key_last_usage.operation is None


async def test_one_record_names_all_keys_that_change(service: Service) -> None:
    """ReplicateKey and UpdatePrimaryRegion are recorded with the keys of both Regions."""
    east, _, key = await family(service)
    await east.call("UpdatePrimaryRegion", key_id=key, primary_region=WEST)
    replicated, moved = service.records()[-2:]
    for record, name in ((replicated, "ReplicateKey"), (moved, "UpdatePrimaryRegion")):
        assert record["eventName"] == name
        assert {resource["ARN"] for resource in record["resources"]} == {arn(EAST, key), arn(WEST, key)}
