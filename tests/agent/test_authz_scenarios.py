"""What key policies, identity policies and conditions are for: the rules of use, through real requests."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from agent.api.errors import AccessDeniedException
from agent.api.shapes.keys import Tag
from agent.keys.identity import PrincipalProfile
from agent.keys.principal import Principal
from services import ACCOUNT, Service

ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
ADMINISTRATION: Final = [
    "kms:Describe*",
    "kms:Enable*",
    "kms:Disable*",
    "kms:Get*",
    "kms:List*",
    "kms:Put*",
    "kms:TagResource",
    "kms:ScheduleKeyDeletion",
    "kms:CancelKeyDeletion",
]
USE: Final = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
ANY: Final = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
ROLE: Final = Principal(
    f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s1",
    ACCOUNT,
    "app:s1",
    kind="AssumedRole",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/app",
)
ZOE: Final = Principal("arn:aws:iam::444455556666:user/zoe", "444455556666", "zoe")


def to(principal: object, action: object, effect: str = "Allow", **elements: object) -> dict[str, Any]:
    """Return a statement of a key policy."""
    return {
        "Effect": effect,
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": "*",
        **elements,
    }


async def may(service: Service, caller: Principal, operation: str, **members: object) -> bool:
    """Tell whether a request is permitted; it must not fail otherwise."""
    try:
        await service.call(operation, caller, **members)
    except AccessDeniedException:
        return False
    return True


async def test_administrators_manage_and_users_use(service: Service) -> None:
    """With the console's two-role policy, who manages cannot use, who uses cannot manage, root neither."""
    key = (await service.create_key()).key_id
    alice, bob = service.callers.alice, service.callers.bob
    await service.put_policy(key, to(alice.arn, ADMINISTRATION), to(bob.arn, USE))
    manage: list[tuple[str, dict[str, Any]]] = [
        ("GetKeyPolicy", {}),
        ("EnableKeyRotation", {}),
        ("DisableKey", {}),
        ("EnableKey", {}),
        ("ScheduleKeyDeletion", {}),
        ("CancelKeyDeletion", {}),
        ("EnableKey", {}),
    ]
    use: list[tuple[str, dict[str, Any]]] = [
        ("Encrypt", {"plaintext": b"t"}),
        ("GenerateDataKey", {"key_spec": "AES_256"}),
    ]
    for operation, members in manage:
        assert not await may(service, bob, operation, key_id=key, **members)
        assert not await may(service, service.callers.root, operation, key_id=key, **members)
        assert await may(service, alice, operation, key_id=key, **members)
    for operation, members in use:
        assert not await may(service, alice, operation, key_id=key, **members)
        assert not await may(service, service.callers.root, operation, key_id=key, **members)
        assert await may(service, bob, operation, key_id=key, **members)
    assert await may(service, alice, "DescribeKey", key_id=key)
    assert await may(service, bob, "DescribeKey", key_id=key)


async def test_an_explicit_deny_is_told(service: Service) -> None:
    """The refusal names the kind of policy that denies."""
    key = await service.create_key()
    bob = service.callers.bob
    service.allow(bob, ANY)
    await service.put_policy(key.key_id, to(ROOT, "kms:*"), to(bob.arn, "kms:Encrypt", "Deny"))
    with pytest.raises(AccessDeniedException) as caught:
        await service.call("Encrypt", bob, key_id=key.key_id, plaintext=b"t")
    assert caught.value.message == (
        f"User: {bob.arn} is not authorized to perform: kms:Encrypt on resource: {key.arn} "
        "with an explicit deny in a resource-based policy"
    )
    service.allow(bob, ANY, {**ANY, "Effect": "Deny", "Action": "kms:Describe*"})
    with pytest.raises(AccessDeniedException, match="with an explicit deny in an identity-based policy"):
        await service.call("DescribeKey", bob, key_id=key.key_id)


async def test_access_by_tags(service: Service) -> None:
    """Where the tag of the key is that of the caller, the caller may; tagging and untagging decides."""
    alice = replace(service.callers.alice, tags={"Team": "red"})
    tag = (Tag(tag_key="team", tag_value="red"),)
    key = (await service.create_key(tags=tag)).key_id
    other = (await service.create_key(tags=(Tag(tag_key="team", tag_value="blue"),))).key_id
    same = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    service.allow(alice, {**ANY, "Condition": same})
    assert await may(service, alice, "Encrypt", key_id=key, plaintext=b"t")
    assert not await may(service, alice, "Encrypt", key_id=other, plaintext=b"t")
    assert not await may(service, replace(alice, tags={}), "Encrypt", key_id=key, plaintext=b"t")
    await service.call("UntagResource", key_id=key, tag_keys=("team",))
    assert not await may(service, alice, "Encrypt", key_id=key, plaintext=b"t")


async def test_tags_that_a_request_may_bring(service: Service) -> None:
    """Conditions can require tags of new keys, and limit which tag keys are given and taken."""
    alice = service.callers.alice
    service.allow(
        alice,
        {**ANY, "Action": "kms:CreateKey", "Condition": {"StringLike": {"aws:RequestTag/cost": "?*"}}},
        {
            **ANY,
            "Action": "kms:*tagResource",
            "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["cost", "team"]}},
        },
    )
    cost = Tag(tag_key="cost", tag_value="42")
    bypass = {"bypass_policy_lockout_safety_check": True}
    assert not await may(service, alice, "CreateKey", **bypass)
    assert not await may(service, alice, "CreateKey", tags=(cost, Tag(tag_key="x", tag_value="")), **bypass)
    assert await may(service, alice, "CreateKey", tags=(cost,), **bypass)
    key = (await service.create_key()).key_id
    assert await may(service, alice, "TagResource", key_id=key, tags=(cost,))
    assert not await may(service, alice, "UntagResource", key_id=key, tag_keys=("x",))
    assert await may(service, alice, "UntagResource", key_id=key, tag_keys=("cost",))


async def test_access_by_aliases(service: Service) -> None:
    """By the alias in the request, or by any alias that the key has."""
    alice, bob = service.callers.alice, service.callers.bob
    key = (await service.create_key()).key_id
    await service.call("CreateAlias", alias_name="alias/app-1", target_key_id=key)
    service.allow(alice, {**ANY, "Condition": {"StringLike": {"kms:RequestAlias": "alias/app-*"}}})
    service.allow(
        bob, {**ANY, "Condition": {"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/app-*"}}}
    )
    by_alias_arn = f"arn:aws:kms:local:{ACCOUNT}:alias/app-1"
    for name, alice_may in (("alias/app-1", True), (by_alias_arn, True), (key, False)):
        assert await may(service, alice, "Encrypt", key_id=name, plaintext=b"t") is alice_may
        assert await may(service, bob, "Encrypt", key_id=name, plaintext=b"t")
    await service.call("DeleteAlias", alias_name="alias/app-1")
    assert not await may(service, bob, "Encrypt", key_id=key, plaintext=b"t")


async def test_use_through_a_service_only(service: Service) -> None:
    """With kms:ViaService a key serves those whom a service asks for, and nobody directly."""
    alice = service.callers.alice
    key = (await service.create_key()).key_id
    via = {"StringEquals": {"kms:ViaService": "kmsfs.local.local", "kms:CallerAccount": ACCOUNT}}
    await service.put_policy(key, to("*", USE, Condition=via))
    assert not await may(service, alice, "Encrypt", key_id=key, plaintext=b"t")
    asked_for = replace(alice, via_service="kmsfs.local.local")
    assert await may(service, asked_for, "Encrypt", key_id=key, plaintext=b"t")
    other = replace(alice, via_service="other.local.local")
    assert not await may(service, other, "Encrypt", key_id=key, plaintext=b"t")


async def test_encryption_contexts_decide(service: Service) -> None:
    """A key can be for one encryption context: its value, and that it has no other keys."""
    alice = service.callers.alice
    key = (await service.create_key()).key_id
    condition = {
        "StringEquals": {"kms:EncryptionContext:App": "spool"},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["app"]},
    }
    await service.put_policy(key, to(alice.arn, USE, Condition=condition))
    for context, permitted in (
        ({"app": "spool"}, True),
        ({"app": "other"}, False),
        ({"app": "spool", "more": "x"}, False),
        ({"App": "spool"}, False),
        ({}, False),
    ):
        request = {"key_id": key, "plaintext": b"t", "encryption_context": context}
        assert await may(service, alice, "Encrypt", **request) is permitted
    blob = (
        await service.call("Encrypt", alice, key_id=key, plaintext=b"t", encryption_context={"app": "spool"})
    ).ciphertext_blob
    moved = {"ciphertext_blob": blob, "destination_key_id": key, "source_key_id": key}
    right, wrong = {"app": "spool"}, {"app": "x"}
    assert await may(
        service,
        alice,
        "ReEncrypt",
        source_encryption_context=right,
        destination_encryption_context=right,
        **moved,
    )
    assert not await may(
        service,
        alice,
        "ReEncrypt",
        source_encryption_context=right,
        destination_encryption_context=wrong,
        **moved,
    )


async def test_a_parameter_left_out_counts_with_its_value_in_force(service: Service) -> None:
    """A limit on the rotation period holds for the period that a request keeps by not naming one."""
    key = (await service.create_key()).key_id
    await service.put_policy(
        key,
        to(ROOT, "kms:*"),
        to(
            ROOT,
            "kms:EnableKeyRotation",
            "Deny",
            Condition={"NumericGreaterThan": {"kms:RotationPeriodInDays": "180"}},
        ),
        to(
            ROOT,
            "kms:ScheduleKeyDeletion",
            "Deny",
            Condition={"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}},
        ),
    )
    root = service.callers.root
    assert not await may(service, root, "EnableKeyRotation", key_id=key)
    assert await may(service, root, "EnableKeyRotation", key_id=key, rotation_period_in_days=180)
    assert await may(service, root, "EnableKeyRotation", key_id=key)
    assert not await may(service, root, "ScheduleKeyDeletion", key_id=key, pending_window_in_days=7)
    assert await may(service, root, "ScheduleKeyDeletion", key_id=key)


async def test_which_keys_may_be_made(service: Service) -> None:
    """Conditions on a key that does not exist yet see what it would be, defaults included."""
    alice = service.callers.alice
    service.allow(
        alice,
        {
            **ANY,
            "Action": "kms:CreateKey",
            "Condition": {
                "StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyOrigin": "AWS_KMS"},
                "Bool": {"kms:MultiRegion": "false"},
            },
        },
    )
    bypass = {"bypass_policy_lockout_safety_check": True}
    assert await may(service, alice, "CreateKey", **bypass)
    assert await may(service, alice, "CreateKey", key_spec="SYMMETRIC_DEFAULT", **bypass)
    assert not await may(service, alice, "CreateKey", multi_region=True, **bypass)
    assert not await may(service, alice, "CreateKey", origin="EXTERNAL", **bypass)
    assert not await may(
        service, alice, "CreateKey", key_spec="HMAC_256", key_usage="GENERATE_VERIFY_MAC", **bypass
    )


async def test_time_and_transport_and_address(service: Service) -> None:
    """Where, how and when a request comes decides; the local socket has no address."""
    alice = service.callers.alice
    key = (await service.create_key()).key_id
    condition = {
        "DateLessThan": {"aws:CurrentTime": "2027-02-01T00:00:00Z"},
        "Bool": {"aws:SecureTransport": "true"},
        "IpAddressIfExists": {"aws:SourceIp": "203.0.113.0/24"},
    }
    await service.put_policy(key, to(alice.arn, USE, Condition=condition))
    request = {"key_id": key, "plaintext": b"t"}
    assert await may(service, alice, "Encrypt", **request)
    assert await may(service, replace(alice, source_ip="203.0.113.7"), "Encrypt", **request)
    assert not await may(service, replace(alice, source_ip="198.51.100.7"), "Encrypt", **request)
    assert not await may(service, replace(alice, secure_transport=False), "Encrypt", **request)
    service.clock.advance(days=60)
    assert not await may(service, alice, "Encrypt", **request)


async def test_callers_of_another_account(service: Service) -> None:
    """The key's policy and the caller's must both allow, and only what is for other accounts at all."""
    key = await service.create_key()
    request = {"key_id": key.arn, "plaintext": b"t"}
    await service.put_policy(key.key_id, to(ROOT, "kms:*"), to("444455556666", "kms:*"))
    with pytest.raises(AccessDeniedException) as caught:
        await service.call("Encrypt", ZOE, **request)
    assert caught.value.message == (
        f"User: {ZOE.arn} is not authorized to perform: kms:Encrypt on resource: {key.arn} "
        "because no identity-based policy allows the kms:Encrypt action"
    )
    service.allow(ZOE, ANY)
    assert await may(service, ZOE, "Encrypt", **request)
    assert await may(service, ZOE, "DescribeKey", key_id=key.arn)
    assert not await may(service, ZOE, "DisableKey", key_id=key.arn)
    assert not await may(service, ZOE, "ListKeys")
    await service.put_policy(key.key_id, to(ROOT, "kms:*"))
    with pytest.raises(AccessDeniedException, match="on this resource because the resource does not exist"):
        await service.call("Encrypt", ZOE, **request)


async def test_sessions_of_roles(service: Service) -> None:
    """A session has its role's policies, and no more than its session policy."""
    key = (await service.create_key()).key_id
    request = {"key_id": key, "plaintext": b"t"}
    assert not await may(service, ROLE, "Encrypt", **request)
    service.allow(ROLE, ANY)
    assert await may(service, ROLE, "Encrypt", **request)
    policy = '{"Statement":{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}}'
    narrow = replace(ROLE, session_policies=(policy,))
    with pytest.raises(AccessDeniedException, match="because no session policy allows the kms:Encrypt"):
        await service.call("Encrypt", narrow, **request)


async def test_a_guard_limits_everybody(service: Service) -> None:
    """What the agent's guard does not allow or denies, not even root may do, whatever else allows it."""
    key = (await service.create_key()).key_id
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:ScheduleKeyDeletion", "Resource": "*"},
    ]
    document = {"Version": "2012-10-17", "Statement": statements}
    service.kms = replace(service.kms, guard=json.dumps(document))
    assert await may(service, service.callers.root, "Encrypt", key_id=key, plaintext=b"t")
    with pytest.raises(AccessDeniedException, match="with an explicit deny in a service control policy"):
        await service.call("ScheduleKeyDeletion", key_id=key)
    document["Statement"] = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    service.kms = replace(service.kms, guard=json.dumps(document))
    with pytest.raises(AccessDeniedException, match="no service control policy allows the kms:ListKeys"):
        await service.call("ListKeys")


async def test_what_was_allowed_is_asked_again_when_a_policy_changes(service: Service) -> None:
    """Each policy that has a say counts from the moment that it is put, though the same was asked before."""
    key, alice = (await service.create_key()).key_id, service.callers.alice
    named: dict[str, Any] = {"key_id": key, "plaintext": b"t"}
    use = {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}

    async def allowed() -> bool:
        """Ask, twice: what is remembered is what was decided."""
        first = await may(service, alice, "Encrypt", **named)
        assert await may(service, alice, "Encrypt", **named) is first
        return first

    assert not await allowed()
    service.allow(alice, use)
    assert await allowed()
    await service.put_policy(key, to(ROOT, "kms:PutKeyPolicy"))
    assert not await allowed()
    await service.put_policy(key, to(ROOT, "kms:*"), to(alice.arn, "kms:Encrypt", "Deny"))
    assert not await allowed()
    await service.put_policy(key, to(ROOT, "kms:*"))
    assert await allowed()
    boundary = json.dumps({"Version": "2012-10-17", "Statement": [{**use, "Action": "kms:Decrypt"}]})
    with service.kms.store.write() as transaction:
        transaction.put(PrincipalProfile(alice.arn, boundary=boundary))
    assert not await allowed()
    with service.kms.store.write() as transaction:
        transaction.put(PrincipalProfile(alice.arn))
    assert await allowed()
    alice = replace(alice, session_policies=(boundary,))
    assert not await allowed()
    alice = service.callers.alice
    service.kms = replace(service.kms, guard=boundary)
    assert not await allowed()
    service.kms = replace(service.kms, guard=None)
    assert await allowed()
