"""Keys with several imported materials, through the pipeline: rotating to them, missing one of them."""

import pytest

from agent.api.enums import ImportType, KeyMaterialState, KeyState
from agent.api.errors import KMSInvalidStateException, ServiceError, UnsupportedOperationException
from importing import bring, create_external_key, import_key, materials, parameters, state
from services import START, Service

DAY = 86_400
ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
NEW, EXISTING = ImportType.NEW_KEY_MATERIAL, ImportType.EXISTING_KEY_MATERIAL


async def test_rotating_to_imported_material(service: Service) -> None:
    """New material waits until it is told; then it encrypts, and all the old material decrypts."""
    made = await create_external_key(service)
    key = made.key_id
    got = await parameters(service, key)
    with pytest.raises(KMSInvalidStateException) as caught:
        await service.call("RotateKeyOnDemand", key_id=key)
    assert caught.value.message == f"{made.arn} is pending import."
    first = await bring(service, got, ONE)
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"1")).ciphertext_blob
    with pytest.raises(KMSInvalidStateException) as caught:
        await service.call("RotateKeyOnDemand", key_id=key)
    assert caught.value.message == f"No available key material pending rotation for the key: {made.arn}."
    service.clock.advance(seconds=5)
    second = await bring(service, got, TWO, import_type=NEW, key_material_description="2026")
    assert second != first
    listed = await materials(service, key)
    assert [*listed] == [first, second]
    assert listed[second].key_material_state is KeyMaterialState.PENDING_ROTATION
    assert (listed[second].rotation_date, listed[second].rotation_type) == (None, None)
    assert (await service.call("ListKeyRotations", key_id=key)).rotations == ()
    with pytest.raises(KMSInvalidStateException) as caught:
        await bring(service, got, THREE, import_type=NEW)
    assert caught.value.message.endswith(
        f"cannot be imported into KMS key {made.arn}, because another key material (id: {second}) "
        "is pending rotation."
    )
    sealed = await service.call("Encrypt", key_id=key, plaintext=b"t")
    assert (await service.call("Decrypt", ciphertext_blob=sealed.ciphertext_blob)).key_material_id == first
    service.clock.advance(seconds=5)
    await service.call("RotateKeyOnDemand", key_id=key)
    assert (await service.call("DescribeKey", key_id=key)).key_metadata.current_key_material_id == first
    await service.do_jobs()
    assert (await service.call("DescribeKey", key_id=key)).key_metadata.current_key_material_id == second
    listed = await materials(service, key)
    assert [entry.key_material_state for entry in listed.values()] == ["NON_CURRENT", "CURRENT"]
    (rotation,) = (await service.call("ListKeyRotations", key_id=key)).rotations
    assert rotation == listed[second]
    assert (rotation.rotation_date, rotation.rotation_type) == (START + 10, "ON_DEMAND")
    assert rotation.key_material_description == "2026"
    assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"1"
    record = service.records()[-1]
    (record,) = [line for line in service.records() if line["eventName"] == "RotateKey"]
    assert record["serviceEventDetails"] == {
        "rotationType": "ON_DEMAND",
        "keyId": key,
        "keyOrigin": "EXTERNAL",
        "previousKeyMaterialId": first,
        "currentKeyMaterialId": second,
    }


async def test_every_material_is_needed(service: Service) -> None:
    """With one of several missing the key waits for import; each can be deleted, and must come back."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    first = await bring(service, got, ONE)
    second = await bring(service, got, TWO, import_type=NEW)
    await service.rotate(key)
    for identifier, material in ((first, ONE), (second, TWO)):
        await service.call("DeleteImportedKeyMaterial", key_id=key, key_material_id=identifier)
        assert await state(service, key) is KeyState.PENDING_IMPORT
        await bring(service, got, material, key_material_id=identifier)
        assert await state(service, key) is KeyState.ENABLED
    deleted = await service.call("DeleteImportedKeyMaterial", key_id=key)
    assert deleted.key_material_id == second


async def test_waiting_material_can_be_replaced(service: Service) -> None:
    """Until its rotation new material is not the key's own: deleted, it is forgotten, and the key goes on."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    first = await bring(service, got, ONE)
    second = await bring(service, got, TWO, import_type=NEW)
    assert await bring(service, got, TWO, import_type=EXISTING, valid_to=START + DAY) == second
    await service.call("DeleteImportedKeyMaterial", key_id=key, key_material_id=second)
    assert await state(service, key) is KeyState.ENABLED
    assert [*await materials(service, key)] == [first]
    third = await bring(service, got, THREE, import_type=NEW)
    await service.rotate(key)
    assert service.key(key).current_material_id == third


async def test_a_rotation_whose_material_was_taken_away(service: Service) -> None:
    """It ends without having happened, does not count, and the record says why."""
    made = await create_external_key(service)
    key = made.key_id
    got = await parameters(service, key)
    first = await bring(service, got, ONE)
    second = await bring(service, got, TWO, import_type=NEW)
    await service.call("RotateKeyOnDemand", key_id=key)
    await service.call("DeleteImportedKeyMaterial", key_id=key, key_material_id=second)
    await service.do_jobs()
    assert service.key(key).current_material_id == first
    assert service.key(key).on_demand_rotation_count == 0
    status = await service.call("GetKeyRotationStatus", key_id=key)
    assert status.on_demand_rotation_start_date is None
    (record,) = [line for line in service.records() if line["eventName"] == "RotateKey"]
    assert record["errorCode"] == "KMSInvalidStateException"


async def test_twenty_five_rotations_to_imported_material(service: Service) -> None:
    """The limit of a key's life is the same as for other keys."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    await bring(service, got, bytes(32))
    for number in range(1, 27):
        await bring(service, got, bytes([number]) * 32, import_type=NEW)
        if number < 26:
            await service.rotate(key)
    with pytest.raises(ServiceError) as caught:
        await service.rotate(key)
    assert caught.value.code == "LimitExceededException"
    assert len(await materials(service, key)) == 27


async def test_external_keys_do_not_rotate_by_themselves(service: Service) -> None:
    """Automatic rotation is refused in AWS's words, and the status is false."""
    made = await import_key(service, ONE)
    for operation in ("EnableKeyRotation", "DisableKeyRotation"):
        with pytest.raises(UnsupportedOperationException) as caught:
            await service.call(operation, key_id=made.key_id)
        assert caught.value.message == f"{made.arn} origin is EXTERNAL which is not valid for this operation."
    status = await service.call("GetKeyRotationStatus", key_id=made.key_id)
    assert (status.key_rotation_enabled, status.next_rotation_date) == (False, None)
    assert (await service.call("ListKeyRotations", key_id=made.key_id)).rotations == ()
