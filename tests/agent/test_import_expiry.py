"""Imported material that expires or is deleted, through the pipeline: what is left of key and material."""

from typing import Any

import pytest

from agent.api.enums import ExpirationModel, ImportState, ImportType, KeyState
from agent.api.errors import KMSInvalidStateException, NotFoundException, ValidationException
from importing import (
    FOREVER,
    bring,
    create_external_key,
    import_key,
    materials,
    on_disk,
    parameters,
    state,
)
from services import START, Service

DAY = 86_400
ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
EXPIRES = ExpirationModel.KEY_MATERIAL_EXPIRES
NEW = ImportType.NEW_KEY_MATERIAL


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"),
        (
            {"expiration_model": EXPIRES},
            "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
        ),
        (
            {"expiration_model": FOREVER, "valid_to": START + DAY},
            "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
        ),
        *(
            ({"valid_to": date}, "The validTo date must be in the future, and at most 365 days from now")
            for date in (START, START - 1, 0, -1e300, START + 365 * DAY + 1, 1e300)
        ),
    ],
)
async def test_expiries_that_are_refused(service: Service, members: dict[str, Any], text: str) -> None:
    """An expiry needs a date, within a year; without one no date is taken."""
    got = await parameters(service, (await create_external_key(service)).key_id)
    with pytest.raises(ValidationException) as caught:
        await service.call("ImportKeyMaterial", **got.members(ONE), **members)
    assert caught.value.message == text


async def test_material_expires(service: Service) -> None:
    """From its date on the key waits for import, even before the job has deleted the material and said so."""
    made = await create_external_key(service)
    key = made.key_id
    got = await parameters(service, key)
    identifier = await bring(service, got, ONE, valid_to=START + 365 * DAY)
    identifier = await bring(service, got, ONE, valid_to=START + DAY / 2)
    described = (await service.call("DescribeKey", key_id=key)).key_metadata
    assert (described.expiration_model, described.valid_to) == (EXPIRES, START + DAY / 2)
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    service.clock.advance(days=0.5, seconds=-1)
    await service.do_jobs()
    assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"
    service.clock.advance(seconds=1)
    wrapped = service.kms.store.materials("local", key)[0].wrapped
    for _ in range(2):
        with pytest.raises(KMSInvalidStateException) as caught:
            await service.call("Decrypt", ciphertext_blob=blob)
        assert caught.value.message == f"{made.arn} is pending import."
        assert await state(service, key) is KeyState.PENDING_IMPORT
        await service.do_jobs()
    (record,) = [line for line in service.records() if line["eventName"] == "DeleteExpiredKeyMaterial"]
    assert (record["eventType"], record["userIdentity"]["invokedBy"]) == ("AwsServiceEvent", "AWS Internal")
    assert record["serviceEventDetails"] == {"keyId": key, "keyMaterialId": identifier}
    assert [resource["ARN"] for resource in record["resources"]] == [made.arn]
    assert service.kms.store.materials("local", key)[0].wrapped == b""
    assert not on_disk(service, wrapped)
    described = (await service.call("DescribeKey", key_id=key)).key_metadata
    assert (described.expiration_model, described.valid_to) == (None, None)
    assert await bring(service, await parameters(service, key), ONE) == identifier
    assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"


@pytest.mark.parametrize("operation", ["DisableKey", "ScheduleKeyDeletion"])
async def test_expiry_in_other_states(service: Service, operation: str) -> None:
    """A disabled key loses its material as well, one that is pending deletion stays that."""
    key = (await create_external_key(service)).key_id
    await bring(service, await parameters(service, key), ONE, valid_to=START + DAY)
    await service.call(operation, key_id=key)
    before = service.key(key).key_state
    service.clock.advance(days=1)
    await service.do_jobs()
    assert service.kms.store.materials("local", key)[0].wrapped == b""
    pending = before is KeyState.PENDING_DELETION
    assert service.key(key).key_state is (before if pending else KeyState.PENDING_IMPORT)
    if pending:
        await service.call("CancelKeyDeletion", key_id=key)
        assert await state(service, key) is KeyState.PENDING_IMPORT
        await bring(service, await parameters(service, key), ONE)
        assert await state(service, key) is KeyState.ENABLED


async def test_several_materials_expire(service: Service) -> None:
    """Each expires by itself, all in one round if need be; the earliest date is the key's."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    first = await bring(service, got, ONE, valid_to=START + 3 * DAY)
    second = await bring(service, got, TWO, import_type=NEW, valid_to=START + 2 * DAY)
    assert (await service.call("DescribeKey", key_id=key)).key_metadata.valid_to == START + 3 * DAY
    await service.rotate(key)
    assert (await service.call("DescribeKey", key_id=key)).key_metadata.valid_to == START + 2 * DAY
    service.clock.advance(days=3)
    await service.do_jobs()
    expired = [line for line in service.records() if line["eventName"] == "DeleteExpiredKeyMaterial"]
    assert {line["serviceEventDetails"]["keyMaterialId"] for line in expired} == {first, second}
    got = await parameters(service, key)
    await bring(service, got, ONE)
    assert await state(service, key) is KeyState.PENDING_IMPORT
    await bring(service, got, TWO)
    assert await state(service, key) is KeyState.ENABLED


async def test_waiting_material_expires(service: Service) -> None:
    """Material that never became current leaves no trace, and its key goes on without it."""
    made = await create_external_key(service)
    key = made.key_id
    got = await parameters(service, key)
    first = await bring(service, got, ONE)
    await bring(service, got, TWO, import_type=NEW, valid_to=START + 60)
    service.clock.advance(seconds=60)
    for _ in range(2):
        with pytest.raises(KMSInvalidStateException) as caught:
            await service.call("RotateKeyOnDemand", key_id=key)
        assert caught.value.message == f"No available key material pending rotation for the key: {made.arn}."
        await service.do_jobs()
    assert [*await materials(service, key)] == [first]
    assert await state(service, key) is KeyState.ENABLED
    await bring(service, got, THREE, import_type=NEW)


async def test_deleted_material(service: Service) -> None:
    """The key waits for import at once, the bytes are gone from disk, and the same bytes bring it back."""
    made = await import_key(service, ONE)
    key = made.key_id
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    wrapped = service.kms.store.materials("local", key)[0].wrapped
    assert on_disk(service, wrapped)
    for _ in range(2):
        deleted = await service.call("DeleteImportedKeyMaterial", key_id=key)
        assert (deleted.key_id, deleted.key_material_id) == (made.arn, made.current_key_material_id)
        assert await state(service, key) is KeyState.PENDING_IMPORT
    assert not on_disk(service, wrapped)
    (entry,) = (await materials(service, key)).values()
    assert (entry.import_state, entry.key_material_state) == (ImportState.PENDING_IMPORT, "CURRENT")
    assert (entry.expiration_model, entry.valid_to) == (None, None)
    with pytest.raises(KMSInvalidStateException):
        await service.call("Decrypt", ciphertext_blob=blob)
    await bring(service, await parameters(service, key), ONE)
    assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"


async def test_deleting_what_was_never_imported(service: Service) -> None:
    """It succeeds and changes nothing; a material that the key does not know is not found."""
    made = await create_external_key(service)
    deleted = await service.call("DeleteImportedKeyMaterial", key_id=made.key_id)
    assert (deleted.key_id, deleted.key_material_id) == (made.arn, None)
    other = await import_key(service, ONE)
    for unknown in ("0" * 64, other.current_key_material_id):
        with pytest.raises(NotFoundException) as caught:
            await service.call("DeleteImportedKeyMaterial", key_id=made.key_id, key_material_id=unknown)
        assert caught.value.message == (
            f"Key material (id: {unknown}) is not associated with KMS key {made.arn}."
        )
    assert await state(service, other.key_id) is KeyState.ENABLED
