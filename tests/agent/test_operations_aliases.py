"""Aliases, through the pipeline."""

from typing import Any

import pytest

from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AlreadyExistsException,
    KMSInvalidStateException,
    LimitExceededException,
    NotAuthorizedException,
    NotFoundException,
    ServiceError,
    ValidationException,
)
from agent.operations.managed import MANAGED_KEYS
from services import ACCOUNT, START, Service

PREFIX = f"arn:aws:kms:local:{ACCOUNT}:"
MANAGED = "alias/aws/kmsfs"
ALL_MANAGED = dict.fromkeys(MANAGED_KEYS)


async def names(service: Service, **members: object) -> dict[str, str | None]:
    """Return all aliases, with their targets."""
    answer = await service.call("ListAliases", **members)
    assert answer.truncated is False
    return {entry.alias_name: entry.target_key_id for entry in answer.aliases}


async def test_an_alias_lives(service: Service) -> None:
    """It is created, listed, moved and deleted; the keys stay as they are."""
    old, new = await service.create_key(), await service.create_key()
    name = "alias/mail/spool_1-x"
    await service.call("CreateAlias", alias_name=name, target_key_id=old.key_id)
    service.clock.advance(seconds=60)
    (entry,) = (await service.call("ListAliases", key_id=old.key_id)).aliases
    assert (entry.alias_name, entry.alias_arn, entry.target_key_id) == (name, PREFIX + name, old.key_id)
    assert (entry.creation_date, entry.last_updated_date) == (START, START)
    await service.call("UpdateAlias", alias_name=name, target_key_id=new.arn)
    (entry,) = (await service.call("ListAliases", key_id=new.arn)).aliases
    assert (entry.creation_date, entry.last_updated_date) == (START, START + 60)
    assert await names(service, key_id=old.key_id) == {}
    blob = (await service.call("Encrypt", key_id=name, plaintext=b"t")).ciphertext_blob
    assert (await service.call("Decrypt", ciphertext_blob=blob)).key_id == new.arn
    await service.call("DeleteAlias", alias_name=name)
    assert await names(service) == ALL_MANAGED
    assert (await service.call("DescribeKey", key_id=new.key_id)).key_metadata == new


@pytest.mark.parametrize("operation", ["CreateAlias", "UpdateAlias", "DeleteAlias"])
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "noprefix",
            ValidationException,
            (
                'Alias must start with the prefix "alias/". Please see '
                "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
            ),
        ),
        ("alias/", ValidationException, "Invalid identifier"),
        ("alias/a:b", ValidationException, "alias/a:b contains invalid characters for an alias"),
        (MANAGED, NotAuthorizedException, ""),
        ("alias/aws/novel", NotAuthorizedException, ""),
    ],
)
async def test_names_that_cannot_be_used(
    service: Service, operation: str, name: str, error: type[ServiceError], message: str
) -> None:
    """Names outside AWS's grammar, and those reserved to the service, are refused everywhere."""
    key = (await service.create_key()).key_id
    target = {} if operation == "DeleteAlias" else {"target_key_id": key}
    with pytest.raises(error) as caught:
        await service.call(operation, alias_name=name, **target)
    assert caught.value.message == message


@pytest.mark.parametrize("target", ["alias/other", PREFIX + "alias/other"])
async def test_an_alias_of_an_alias(service: Service, target: str) -> None:
    """An alias names a key, not another alias."""
    for operation in ("CreateAlias", "UpdateAlias"):
        with pytest.raises(ValidationException) as caught:
            await service.call(operation, alias_name="alias/a", target_key_id=target)
        assert caught.value.message == "Aliases must refer to keys. Not aliases"


async def test_a_name_is_taken_once(service: Service) -> None:
    """Not even for the same key may a name be created again; its case counts."""
    key = (await service.create_key()).key_id
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=key)
    await service.call("CreateAlias", alias_name="alias/A", target_key_id=key)
    with pytest.raises(AlreadyExistsException) as caught:
        await service.call("CreateAlias", alias_name="alias/a", target_key_id=key)
    assert caught.value.message == f"An alias with the name {PREFIX}alias/a already exists"


async def test_aliases_that_do_not_exist(service: Service) -> None:
    """They can be neither moved nor deleted, nor may they lead to a key that does not exist."""
    key = (await service.create_key()).key_id
    for operation, members in (("UpdateAlias", {"target_key_id": key}), ("DeleteAlias", {})):
        with pytest.raises(NotFoundException) as caught:
            await service.call(operation, alias_name="alias/none", **members)
        assert caught.value.message == f"Alias {PREFIX}alias/none is not found."
    with pytest.raises(NotFoundException):
        await service.call("CreateAlias", alias_name="alias/a", target_key_id="nowhere")


async def test_fifty_aliases_per_key(service: Service) -> None:
    """One more is refused, created or moved; moving one to where it is stays possible."""
    full, other = (await service.create_key()).key_id, (await service.create_key()).key_id
    for number in range(50):
        await service.call("CreateAlias", alias_name=f"alias/n{number}", target_key_id=full)
    await service.call("CreateAlias", alias_name="alias/other", target_key_id=other)
    await service.call("UpdateAlias", alias_name="alias/n0", target_key_id=full)
    for operation, name in (("CreateAlias", "alias/more"), ("UpdateAlias", "alias/other")):
        with pytest.raises(LimitExceededException):
            await service.call(operation, alias_name=name, target_key_id=full)


@pytest.mark.parametrize(
    "changes",
    [
        {"key_spec": KeySpec.RSA_2048},
        {"key_spec": KeySpec.HMAC_256, "key_usage": KeyUsage.GENERATE_VERIFY_MAC},
        {"key_usage": KeyUsage.SIGN_VERIFY},
    ],
)
async def test_an_alias_keeps_type_and_usage(service: Service, changes: dict[str, Any]) -> None:
    """A program that uses an alias shall not find another kind of key behind it."""
    old, new = (await service.create_key()).key_id, (await service.create_key()).key_id
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=old)
    service.force(new, **changes)
    with pytest.raises(ValidationException, match="same type"):
        await service.call("UpdateAlias", alias_name="alias/a", target_key_id=new)
    assert (await names(service))["alias/a"] == old


async def test_an_alias_may_change_between_specs_of_key_pairs(service: Service) -> None:
    """Of two keys that sign, or two that authenticate, each can take the other's name, whatever its spec."""
    for usage, specs in (
        (KeyUsage.SIGN_VERIFY, (KeySpec.RSA_2048, KeySpec.ECC_NIST_P256)),
        (KeyUsage.GENERATE_VERIFY_MAC, (KeySpec.HMAC_256, KeySpec.HMAC_512)),
    ):
        old, new = (await service.create_key()).key_id, (await service.create_key()).key_id
        for key_id, spec in zip((old, new), specs, strict=True):
            service.force(key_id, key_spec=spec, key_usage=usage)
        name = f"alias/{usage}"
        await service.call("CreateAlias", alias_name=name, target_key_id=old)
        await service.call("UpdateAlias", alias_name=name, target_key_id=new)
        assert (await names(service))[name] == new


async def test_an_alias_may_leave_a_key_that_is_pending_deletion(service: Service) -> None:
    """It may be moved away from one, deleted on one, but not moved or made to one."""
    old, new = (await service.create_key()).key_id, (await service.create_key()).key_id
    for name in ("alias/a", "alias/b"):
        await service.call("CreateAlias", alias_name=name, target_key_id=old)
    service.force(old, KeyState.PENDING_DELETION)
    await service.call("UpdateAlias", alias_name="alias/a", target_key_id=new)
    with pytest.raises(KMSInvalidStateException, match="is pending deletion"):
        await service.call("UpdateAlias", alias_name="alias/a", target_key_id=old)
    with pytest.raises(KMSInvalidStateException, match="is pending deletion"):
        await service.call("CreateAlias", alias_name="alias/c", target_key_id=old)
    await service.call("DeleteAlias", alias_name="alias/b")
    assert await names(service) == {"alias/a": new} | ALL_MANAGED


async def test_aliases_are_listed_by_name_in_pages(service: Service) -> None:
    """All aliases, the service's own included, in order; at most 100 on a page, 50 unless asked for."""
    keys = [(await service.create_key()).key_id for _ in range(3)]
    made = [f"alias/n{number:02}" for number in range(60)]
    for number, name in enumerate(made):
        await service.call("CreateAlias", alias_name=name, target_key_id=keys[number % 3])
    first = await service.call("ListAliases")
    rest = await service.call("ListAliases", marker=first.next_marker)
    listed = [entry.alias_name for entry in first.aliases + rest.aliases]
    assert (len(first.aliases), first.truncated, rest.truncated) == (50, True, False)
    assert listed == sorted([*ALL_MANAGED, *made])
    assert len((await service.call("ListAliases", limit=100)).aliases) == 66
    with pytest.raises(ValidationException) as caught:
        await service.call("ListAliases", limit=101)
    assert caught.value.message == (
        "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 100"
    )


async def test_listing_aliases_of_no_key(service: Service) -> None:
    """A filter by a key that does not exist is an error, not an empty listing."""
    with pytest.raises(NotFoundException):
        await service.call("ListAliases", key_id="12345678-1234-4234-8234-123456789012")
