"""Grants, through the pipeline: how one is made, what it permits, and how it ends."""

from dataclasses import replace
from typing import Any, Final

import pytest

from agent.api.enums import GrantOperation, KeyState
from agent.api.errors import (
    AccessDeniedException,
    DryRunOperationException,
    InvalidArnException,
    InvalidGrantIdException,
    LimitExceededException,
    NotFoundException,
    ServiceError,
    ValidationException,
)
from agent.api.shapes.grants import GrantConstraints, GrantListEntry
from agent.settings.quotas import Quotas
from granting import BOB, DECRYPT, ROOT, SERVICE, USER, VOLUME, equals, grant, listed, may, subset
from services import START, Service

UNKNOWN_ID: Final = "0" * 64
CONTEXT: Final = {"Department": "IT", "Purpose": "Test"}


async def test_a_grant_lives(service: Service) -> None:
    """It permits its operation from the moment it is made, is listed as it was asked for, and ends."""
    key, bob = await service.create_key(), service.callers.bob
    blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
    assert not await may(service, bob, "Decrypt", key_id=key.key_id, ciphertext_blob=blob)
    made = await grant(service, key.key_id, name="mail", retiring_principal=USER + "alice")
    assert (await service.call("Decrypt", bob, key_id=key.key_id, ciphertext_blob=blob)).plaintext == b"t"
    assert (await service.call("Decrypt", bob, ciphertext_blob=blob)).plaintext == b"t"
    assert not await may(service, bob, "Encrypt", key_id=key.key_id, plaintext=b"t")
    assert not await may(service, service.callers.alice, "Decrypt", ciphertext_blob=blob)
    assert await listed(service, key.key_id) == [
        GrantListEntry(
            key_id=key.arn,
            grant_id=made.grant_id,
            name="mail",
            creation_date=START,
            grantee_principal=BOB,
            retiring_principal=USER + "alice",
            issuing_account=ROOT,
            operations=DECRYPT,
        )
    ]
    await service.call("RevokeGrant", key_id=key.key_id, grant_id=made.grant_id)
    assert await listed(service, key.key_id) == []
    assert not await may(service, bob, "Decrypt", key_id=key.key_id, ciphertext_blob=blob)


REFUSED: Final[tuple[tuple[dict[str, Any], type[ServiceError], str], ...]] = (
    ({"grantee_principal": None}, ValidationException, "either GranteePrincipal or GranteeServicePrincipal"),
    ({"grantee_service_principal": SERVICE}, ValidationException, "but not both"),
    ({"operations": ()}, ValidationException, "at least one operation"),
    (
        {"retiring_principal": ROOT, "retiring_service_principal": SERVICE},
        ValidationException,
        "RetiringPrincipal or RetiringServicePrincipal, but not both",
    ),
    (
        {
            "grantee_principal": None,
            "grantee_service_principal": SERVICE,
            "retiring_principal": ROOT,
            "constraints": subset(a="b"),
        },
        ValidationException,
        "SourceArn",
    ),
    (
        {
            "grantee_principal": None,
            "grantee_service_principal": SERVICE,
            "constraints": GrantConstraints(source_arn=VOLUME),
        },
        ValidationException,
        "RetiringPrincipal",
    ),
    (
        {
            "constraints": GrantConstraints(
                encryption_context_equals=CONTEXT, encryption_context_subset=CONTEXT
            )
        },
        ValidationException,
        "but not both",
    ),
    ({"constraints": equals(**{str(number): "" for number in range(9)})}, ValidationException, "at most 8"),
    ({"constraints": subset(key="v" * 385)}, ValidationException, "at most 384"),
    ({"grant_tokens": ("token",) * 11}, ValidationException, "'grantTokens' failed to satisfy constraint"),
    *(
        (
            {member: principal},
            InvalidArnException,
            f"ARN does not refer to a valid principal: {principal}",
        )
        for member in ("grantee_principal", "retiring_principal")
        for principal in (
            "bob",
            "arn:aws:iam::12:root",
            "arn:aws:iam::000000000000:group/users",
            "arn:aws:iam::000000000000:user",
            "arn:aws:sts::000000000000:assumed-role/role",
            "arn:aws:kms:local:000000000000:key/k",
            "AIDAQABCDCSQRVMNSLVRD",
            "kmsfs.example.com",
        )
    ),
)


@pytest.mark.parametrize(("members", "error", "message"), REFUSED)
async def test_grants_that_make_no_sense(
    service: Service, members: dict[str, Any], error: type[ServiceError], message: str
) -> None:
    """A grant to nobody, to two, for nothing, or with constraints beyond the limits is refused."""
    key_id = (await service.create_key()).key_id
    with pytest.raises(error) as caught:
        await grant(service, key_id, **members)
    assert message in caught.value.message
    assert await listed(service, key_id) == []


async def test_limits_of_constraints_can_be_reached(service: Service) -> None:
    """Eight pairs with values of 384 characters are taken."""
    key_id = (await service.create_key()).key_id
    pairs = {str(number): "é" * 384 for number in range(8)}
    await grant(service, key_id, constraints=equals(**pairs))
    (entry,) = await listed(service, key_id)
    assert entry.constraints == equals(**pairs)


async def test_a_named_grant_is_made_once(service: Service) -> None:
    """The same request with a name gives the same grant and another token; a different one, another grant."""
    key_id = (await service.create_key()).key_id
    both = (GrantOperation.ENCRYPT, GrantOperation.DECRYPT)
    first = await grant(service, key_id, name="mail", operations=both, constraints=equals(b="2", a="1"))
    service.clock.advance(days=1)
    again = await grant(
        service, key_id, name="mail", operations=both[::-1] * 2, constraints=equals(a="1", b="2")
    )
    assert again.grant_id == first.grant_id
    assert again.grant_token != first.grant_token
    for token in (first.grant_token, again.grant_token):
        await service.call("DescribeKey", key_id=key_id, grant_tokens=(token,))
    others = [
        await grant(service, key_id, name="mail", operations=both, **change)
        for change in (
            {"constraints": equals(a="1")},
            {"constraints": subset(a="1", b="2")},
            {"constraints": equals(a="1", b="2"), "retiring_principal": ROOT},
            {"constraints": equals(a="1", b="2"), "grantee_principal": USER + "alice"},
        )
    ]
    unnamed = [await grant(service, key_id) for _ in range(2)]
    ids = {each.grant_id for each in (first, *others, *unnamed)}
    assert len(ids) == 7
    assert {entry.grant_id for entry in await listed(service, key_id)} == ids


async def test_a_key_has_a_limited_number_of_grants(service: Service) -> None:
    """One more than the limit is refused, a repeated one is not, and an ended one makes room."""
    service.kms = replace(service.kms, quotas=Quotas(grants_per_key=2))
    key_id = (await service.create_key()).key_id
    first, _ = await grant(service, key_id, name="first"), await grant(service, key_id)
    with pytest.raises(LimitExceededException):
        await grant(service, key_id)
    assert (await grant(service, key_id, name="first")).grant_id == first.grant_id
    await service.call("RevokeGrant", key_id=key_id, grant_id=first.grant_id)
    await grant(service, key_id)


@pytest.mark.parametrize("ending", ["RevokeGrant", "RetireGrant"])
async def test_a_dry_run_comes_last_and_changes_nothing(service: Service, ending: str) -> None:
    """A dry run of what would fail fails alike; one of what would succeed says so and does nothing."""
    key = await service.create_key()
    made = await grant(service, key.key_id)
    before = await listed(service, key.key_id)
    with pytest.raises(DryRunOperationException):
        await grant(service, key.key_id, dry_run=True)
    with pytest.raises(ValidationException):
        await grant(service, key.key_id, operations=(GrantOperation.SIGN,), dry_run=True)
    with pytest.raises(DryRunOperationException):
        await service.call(ending, key_id=key.arn, grant_id=made.grant_id, dry_run=True)
    with pytest.raises(NotFoundException):
        await service.call(ending, key_id=key.arn, grant_id=UNKNOWN_ID, dry_run=True)
    with pytest.raises(AccessDeniedException):
        await service.call(
            ending, service.callers.alice, key_id=key.arn, grant_id=made.grant_id, dry_run=True
        )
    assert await listed(service, key.key_id) == before


@pytest.mark.parametrize("ending", ["RevokeGrant", "RetireGrant"])
async def test_only_a_grant_of_the_key_can_be_ended(service: Service, ending: str) -> None:
    """An id that no grant has, that none can have, or of another key's grant, is refused in AWS's words."""
    key, other = await service.create_key(), await service.create_key()
    made = await grant(service, other.key_id)
    for grant_id, error, message in (
        (UNKNOWN_ID, NotFoundException, f"Grant ID {UNKNOWN_ID} not found"),
        (made.grant_id, NotFoundException, f"Grant ID {made.grant_id} not found"),
        ("x", InvalidGrantIdException, "Invalid grant ID x"),
        (UNKNOWN_ID[1:], InvalidGrantIdException, f"Invalid grant ID {UNKNOWN_ID[1:]}"),
    ):
        with pytest.raises(error) as caught:
            await service.call(ending, key_id=key.arn, grant_id=grant_id)
        assert caught.value.message == message
    assert len(await listed(service, other.key_id)) == 1


@pytest.mark.parametrize("state", KeyState)
@pytest.mark.parametrize("ending", ["RevokeGrant", "RetireGrant"])
async def test_a_grant_ends_whatever_the_state_of_its_key(
    service: Service, ending: str, state: KeyState
) -> None:
    """Grants can be listed and ended in every key state."""
    key = await service.create_key()
    made = await grant(service, key.key_id)
    service.force(key.key_id, state)
    assert len(await listed(service, key.key_id)) == 1
    await service.call(ending, key_id=key.arn, grant_id=made.grant_id)
    assert await listed(service, key.key_id) == []


async def test_a_grant_outlives_other_changes_and_not_its_key(service: Service) -> None:
    """Disabling and enabling the key keeps its grants; deleting it ends them."""
    key_id, bob = (await service.create_key()).key_id, service.callers.bob
    made = await grant(service, key_id, operations=(GrantOperation.DESCRIBE_KEY,))
    await service.call("DisableKey", key_id=key_id)
    await service.call("EnableKey", key_id=key_id)
    assert await may(service, bob, "DescribeKey", key_id=key_id)
    await service.call("ScheduleKeyDeletion", key_id=key_id, pending_window_in_days=7)
    assert await may(service, bob, "DescribeKey", key_id=key_id)
    service.clock.advance(days=8)
    await service.do_jobs()
    assert service.kms.store.grant("local", key_id, made.grant_id) is None
    assert service.kms.store.all_grants("local") == ()


async def test_what_is_recorded(service: Service) -> None:
    """The log names a grant where it is made and ended, its terms, and never a token."""
    key = await service.create_key()
    constraints = GrantConstraints(encryption_context_subset={"a": "b"}, source_arn=VOLUME)
    made = await grant(service, key.key_id, constraints=constraints, retiring_principal=ROOT)
    await service.call("DescribeKey", key_id=key.key_id, grant_tokens=(made.grant_token,))
    await service.call("RetireGrant", grant_token=made.grant_token)
    revoked = await grant(service, key.key_id)
    await service.call("RevokeGrant", key_id=key.key_id, grant_id=revoked.grant_id)
    _, created, _, retired, _, ended = service.records()
    assert created["requestParameters"] == {
        "keyId": key.key_id,
        "granteePrincipal": BOB,
        "retiringPrincipal": ROOT,
        "operations": ["Decrypt"],
        "constraints": {"encryptionContextSubset": {"a": "b"}, "sourceArn": VOLUME},
    }
    assert created["responseElements"] == {"keyId": key.arn, "grantId": made.grant_id}
    assert retired["requestParameters"] is None
    assert retired["responseElements"] == {"keyId": key.arn}
    assert retired["additionalEventData"] == {"grantId": made.grant_id}
    assert ended["requestParameters"] == {"keyId": key.key_id, "grantId": revoked.grant_id}
    for record in service.records()[1:]:
        assert [resource["ARN"] for resource in record["resources"]] == [key.arn]
        assert made.grant_token not in str(record)
    assert [record["readOnly"] for record in service.records()] == [False, False, True, False, False, False]
