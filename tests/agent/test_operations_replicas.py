"""Multi-Region keys, through the pipeline: primaries, replicas, and what each of them has of its own."""

import json
import re
from typing import Any, Final

import pytest

from agent import dispatch
from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    AlreadyExistsException,
    DisabledException,
    InvalidArnException,
    KMSInvalidStateException,
    NotFoundException,
    TagException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.keys import Tag
from regions import EAST, HOME, WEST, arn, described, family, in_region
from services import START, Service

MRK: Final = re.compile(r"mrk-[0-9a-f]{32}")


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
