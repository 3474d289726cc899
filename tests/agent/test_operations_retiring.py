"""Whom a grant serves and who may pass it on or end it, through the pipeline."""

from dataclasses import replace
from typing import Any, Final

import pytest

from agent.api.enums import GrantOperation
from agent.api.errors import (
    InvalidGrantTokenException,
    NotFoundException,
    ValidationException,
)
from agent.api.shapes.grants import CreateGrantResponse, GrantConstraints
from agent.keys.principal import Principal
from agent.operations import grants as operations
from granting import DESCRIBE, ROOT, SERVICE, USER, VOLUME, grant, may
from services import ACCOUNT, Service

ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/backup"
ALLOW: Final = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
DENY: Final = {"Effect": "Deny", "Action": "kms:RetireGrant", "Resource": "*"}


def session(name: str = "night") -> Principal:
    """Return a session of the role."""
    return Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/{name}",
        ACCOUNT,
        f"backup:{name}",
        kind="AssumedRole",
        role_arn=ROLE,
    )


async def grant_a_look(service: Service, key_id: str, **members: object) -> CreateGrantResponse:
    """Make a grant, to bob to look at the key unless something else is said."""
    return await grant(service, key_id, **({"operations": DESCRIBE} | members))


async def may_look(service: Service, caller: Principal, key_id: str) -> bool:
    """Tell whether somebody may describe a key."""
    return await may(service, caller, "DescribeKey", key_id=key_id)


@pytest.mark.parametrize("by_token", [True, False])
@pytest.mark.parametrize(
    ("who", "terms", "permitted"),
    [
        ("bob", {}, False),
        ("bob", {"operations": (GrantOperation.RETIRE_GRANT,)}, True),
        ("alice", {}, False),
        ("alice", {"operations": (GrantOperation.RETIRE_GRANT,)}, False),
        ("alice", {"retiring_principal": USER + "alice"}, True),
        ("bob", {"retiring_principal": USER + "alice"}, False),
        ("root", {"retiring_principal": USER + "alice"}, True),
        ("owner", {}, True),
        ("foreigner", {}, False),
    ],
)
async def test_the_grant_says_who_retires_it(
    service: Service, who: str, terms: dict[str, Any], *, by_token: bool, permitted: bool
) -> None:
    """The retiring principal may, a grantee who was given that, and the account; a token helps nobody."""
    key = await service.create_key()
    made = await grant_a_look(service, key.key_id, **terms)
    named = {"grant_token": made.grant_token} if by_token else {"key_id": key.arn, "grant_id": made.grant_id}
    assert await may(service, getattr(service.callers, who), "RetireGrant", **named) is permitted
    left = (await service.call("ListGrants", key_id=key.key_id)).grants
    assert bool(left) is not permitted


async def test_a_grantee_retires_its_own_grant_only(service: Service) -> None:
    """RetireGrant in one grant says nothing about another."""
    key, bob = await service.create_key(), service.callers.bob
    await grant_a_look(service, key.key_id, operations=(GrantOperation.RETIRE_GRANT,))
    other = await grant_a_look(service, key.key_id)
    assert not await may(service, bob, "RetireGrant", grant_token=other.grant_token)
    assert not await may(service, bob, "RetireGrant", key_id=key.arn, grant_id=other.grant_id)


async def test_policies_take_and_do_not_give(service: Service) -> None:
    """Identity policies pass the account's permission on; a Deny there or on the key stops anybody."""
    key, bob, alice = await service.create_key(), service.callers.bob, service.callers.alice
    made = await grant_a_look(service, key.key_id, retiring_principal=USER + "alice")
    token = {"grant_token": made.grant_token}
    service.allow(alice, DENY)
    assert not await may(service, alice, "RetireGrant", **token)
    service.allow(alice, ALLOW)
    account = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    await service.put_policy(key.key_id, account, {**DENY, "Principal": "*"})
    for caller in (alice, bob, service.callers.root):
        assert not await may(service, caller, "RetireGrant", **token)
    await service.put_policy(key.key_id, account, {**ALLOW, "Principal": {"AWS": USER + "bob"}})
    assert not await may(service, bob, "RetireGrant", **token)
    service.allow(bob, ALLOW)
    assert await may(service, bob, "RetireGrant", **token)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"grant_id": "0" * 64},
        {"key_id": "KEY"},
        {"grant_token": "TOKEN", "key_id": "KEY"},
        {"grant_token": "TOKEN", "grant_id": "0" * 64},
        {"grant_token": "TOKEN", "key_id": "KEY", "grant_id": "0" * 64},
    ],
)
async def test_a_grant_is_named_once(service: Service, members: dict[str, str]) -> None:
    """RetireGrant takes a token, or a key and an id, and neither less nor more."""
    with pytest.raises(ValidationException):
        await service.call("RetireGrant", **members)


async def test_retiring_takes_a_key_arn(service: Service) -> None:
    """A bare key id is refused in AWS's words."""
    key_id = (await service.create_key()).key_id
    made = await grant_a_look(service, key_id)
    with pytest.raises(NotFoundException) as caught:
        await service.call("RetireGrant", key_id=key_id, grant_id=made.grant_id)
    assert caught.value.message == f"Invalid arn {key_id}"


TAKING_TOKENS: Final[tuple[tuple[str, dict[str, object]], ...]] = (
    ("DescribeKey", {}),
    ("Encrypt", {"plaintext": b"t"}),
    ("GenerateDataKey", {"number_of_bytes": 32}),
    ("GenerateDataKeyWithoutPlaintext", {"number_of_bytes": 32}),
    ("CreateGrant", {"grantee_principal": ROOT, "operations": DESCRIBE}),
)


@pytest.mark.parametrize(("operation", "members"), TAKING_TOKENS, ids=[name for name, _ in TAKING_TOKENS])
async def test_tokens_are_checked(service: Service, operation: str, members: dict[str, object]) -> None:
    """A request with a token is carried out while its grant is in force and refused in all other cases."""
    key_id, other = (await service.create_key()).key_id, (await service.create_key()).key_id
    made, elsewhere = await grant_a_look(service, key_id), await grant_a_look(service, other)
    request = {"key_id": key_id, **members}
    await service.call(operation, grant_tokens=(made.grant_token, elsewhere.grant_token), **request)
    for token in ("token", made.grant_token[:-1], made.grant_token + "=", made.grant_token + " "):
        with pytest.raises(InvalidGrantTokenException):
            await service.call(operation, grant_tokens=(elsewhere.grant_token, token), **request)
    await service.call("RevokeGrant", key_id=key_id, grant_id=made.grant_id)
    with pytest.raises(InvalidGrantTokenException):
        await service.call(operation, grant_tokens=(made.grant_token,), **request)
    with pytest.raises(InvalidGrantTokenException):
        await service.call("RetireGrant", grant_token=made.grant_token)


async def test_a_token_is_of_one_region(service: Service) -> None:
    """In another Region, where there is another keyspace, a token names nothing."""
    made = await grant_a_look(service, (await service.create_key()).key_id)
    service.kms = service.kms.in_region("us-east-1")
    other = (await service.create_key()).key_id
    with pytest.raises(InvalidGrantTokenException):
        await service.call("DescribeKey", key_id=other, grant_tokens=(made.grant_token,))
    with pytest.raises(InvalidGrantTokenException):
        await service.call("RetireGrant", grant_token=made.grant_token)


async def test_a_token_gives_nothing_to_others(service: Service) -> None:
    """Who is not the grantee may do no more with a token of the grant."""
    key_id = (await service.create_key()).key_id
    made = await grant_a_look(service, key_id)
    for who, permitted in (("bob", True), ("alice", False)):
        caller = getattr(service.callers, who)
        request = {"key_id": key_id, "grant_tokens": (made.grant_token,)}
        assert await may(service, caller, "DescribeKey", **request) is permitted


BOTH: Final = (GrantOperation.CREATE_GRANT, GrantOperation.DECRYPT)
EQUALS: Final = GrantConstraints(encryption_context_equals={"a": "1", "b": "2"})
SUBSET: Final = GrantConstraints(encryption_context_subset={"a": "1"})
WIDER: Final = GrantConstraints(encryption_context_subset={"b": "2"})
BOUND: Final = GrantConstraints(source_arn=VOLUME)


@pytest.mark.parametrize(
    ("constraints", "derived", "derived_constraints", "permitted"),
    [
        (None, (GrantOperation.DECRYPT,), None, True),
        (None, BOTH, None, True),
        (None, BOTH, EQUALS, True),
        (None, (GrantOperation.ENCRYPT,), None, False),
        (None, (*BOTH, GrantOperation.DESCRIBE_KEY), None, False),
        (EQUALS, BOTH, EQUALS, True),
        (EQUALS, BOTH, None, False),
        (EQUALS, BOTH, SUBSET, False),
        (SUBSET, BOTH, SUBSET, True),
        (SUBSET, BOTH, EQUALS, True),
        (SUBSET, BOTH, GrantConstraints(encryption_context_subset={"a": "1", "b": "2"}), True),
        (SUBSET, BOTH, WIDER, False),
        (SUBSET, BOTH, GrantConstraints(encryption_context_equals={}), False),
        (SUBSET, BOTH, None, False),
    ],
)
async def test_a_grant_is_passed_on_in_part_only(
    service: Service,
    constraints: GrantConstraints | None,
    derived: tuple[GrantOperation, ...],
    derived_constraints: GrantConstraints | None,
    *,
    permitted: bool,
) -> None:
    """What a grant with CreateGrant permits can be passed on, under its constraint or a stricter one."""
    key_id, bob = (await service.create_key()).key_id, service.callers.bob
    await grant_a_look(service, key_id, operations=BOTH, constraints=constraints)
    request = {
        "key_id": key_id,
        "grantee_principal": USER + "alice",
        "operations": derived,
        "constraints": derived_constraints,
    }
    assert not await may(service, service.callers.alice, "CreateGrant", **request)
    assert await may(service, bob, "CreateGrant", **request) is permitted


async def test_a_role_s_grant_serves_its_sessions(service: Service) -> None:
    """A role's grant is for every session, a session's for that one, the account's needs a policy."""
    key_id = (await service.create_key()).key_id
    night, day = session("night"), session("day")
    role = await grant_a_look(service, key_id, grantee_principal=ROLE)
    assert await may_look(service, night, key_id)
    assert await may_look(service, day, key_id)
    await service.call("RevokeGrant", key_id=key_id, grant_id=role.grant_id)
    await grant_a_look(service, key_id, grantee_principal=night.arn)
    assert await may_look(service, night, key_id)
    assert not await may_look(service, day, key_id)
    await grant_a_look(service, key_id, grantee_principal=ACCOUNT)
    assert not await may_look(service, day, key_id)
    service.allow(day, ALLOW)
    assert await may_look(service, day, key_id)
    (of_account,) = (await service.call("ListGrants", key_id=key_id, grantee_principal=ACCOUNT)).grants
    assert of_account.grantee_principal == ROOT


async def test_a_deny_beats_a_grant(service: Service) -> None:
    """An identity policy or a key policy that denies stops a grantee."""
    key_id, bob = (await service.create_key()).key_id, service.callers.bob
    await grant_a_look(service, key_id)
    service.allow(bob, {"Effect": "Deny", "Action": "kms:DescribeKey", "Resource": "*"})
    assert not await may_look(service, bob, key_id)


async def test_a_service_s_grant_is_for_one_resource(service: Service) -> None:
    """A service is permitted while it asks on behalf of the resource in the constraint, and not otherwise."""
    key_id = (await service.create_key()).key_id
    made = await grant_a_look(
        service,
        key_id,
        grantee_principal=None,
        grantee_service_principal=SERVICE,
        retiring_service_principal=SERVICE,
        constraints=BOUND,
    )
    plain = service.callers.bob
    asking = replace(plain, via_service=SERVICE)
    assert not await may_look(service, plain, key_id)
    assert not await may_look(service, replace(plain, source_arn=VOLUME), key_id)
    assert not await may_look(service, asking, key_id)
    assert not await may_look(service, replace(asking, source_arn=VOLUME + "2"), key_id)
    assert not await may_look(service, replace(asking, via_service="x" + SERVICE, source_arn=VOLUME), key_id)
    assert await may_look(service, replace(asking, source_arn=VOLUME), key_id)
    assert not await may(service, plain, "RetireGrant", grant_token=made.grant_token)
    assert await may(service, asking, "RetireGrant", grant_token=made.grant_token)


async def test_a_login_given_to_somebody_else_inherits_no_grant(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant to a login of this machine is for its user id, and for requests signed as that user."""
    bob = service.callers.bob
    monkeypatch.setattr(operations, "uid_of", {"bob": bob.uid}.get)
    key_id = (await service.create_key()).key_id
    made = await grant_a_look(service, key_id, operations=(GrantOperation.RETIRE_GRANT, *DESCRIBE))
    another = replace(bob, uid=4711, principal_id="uid-4711")
    assert await may_look(service, bob, key_id)
    assert await may_look(service, replace(bob, uid=None), key_id)
    assert not await may_look(service, another, key_id)
    assert not await may(service, another, "RetireGrant", grant_token=made.grant_token)
    assert await may(service, bob, "RetireGrant", grant_token=made.grant_token)
