"""Rotation of key material, through the pipeline."""

from typing import Any

import pytest
import trio
import trio.testing

from agent import jobs
from agent.api.enums import (
    IncludeKeyMaterial,
    KeyMaterialState,
    KeySpec,
    KeyUsage,
    RotationType,
)
from agent.api.errors import (
    ConflictException,
    DisabledException,
    LimitExceededException,
    UnsupportedOperationException,
)
from agent.api.shapes.rotation import GetKeyRotationStatusResponse
from services import START, Service

DAY = 86_400
ALL = IncludeKeyMaterial.ALL_KEY_MATERIAL


async def test_rotated_keys_open_what_they_ever_sealed(service: Service) -> None:
    """After each rotation new ciphertexts name new material, and all old ones still open."""
    key = (await service.create_key()).key_id
    context = {"a": "b"}
    sealed = {}
    for number in range(4):
        plaintext = f"generation {number}".encode()
        made = await service.call("Encrypt", key_id=key, plaintext=plaintext, encryption_context=context)
        sealed[plaintext] = made.ciphertext_blob
        await service.rotate(key)
    materials = []
    for plaintext, blob in sealed.items():
        opened = await service.call("Decrypt", ciphertext_blob=blob, encryption_context=context)
        assert opened.plaintext == plaintext
        materials.append(opened.key_material_id)
    assert len(set(materials)) == 4
    listed = (await service.call("ListKeyRotations", key_id=key, include_key_material=ALL)).rotations
    assert [entry.key_material_id for entry in listed][:4] == materials
    data_key = await service.call("GenerateDataKey", key_id=key, key_spec="AES_256")
    assert data_key.key_material_id == listed[4].key_material_id == service.key(key).current_material_id
    again = await service.call(
        "ReEncrypt",
        ciphertext_blob=sealed[b"generation 0"],
        destination_key_id=key,
        source_encryption_context=context,
    )
    assert again.source_key_material_id == materials[0]
    assert again.destination_key_material_id == listed[4].key_material_id


async def test_list_key_rotations(service: Service) -> None:
    """Rotations are listed oldest first with date and cause; the first material only on request."""
    made = await service.create_key()
    key = made.key_id
    assert (await service.call("ListKeyRotations", key_id=key)).rotations == ()
    (first,) = (await service.call("ListKeyRotations", key_id=key, include_key_material=ALL)).rotations
    assert (first.key_id, first.key_material_id) == (key, made.current_key_material_id)
    assert first.key_material_state is KeyMaterialState.CURRENT
    assert (first.rotation_date, first.rotation_type) == (None, None)
    for _ in range(3):
        service.clock.advance(days=1)
        await service.rotate(key)
    page = await service.call("ListKeyRotations", key_id=key, limit=2)
    rest = await service.call("ListKeyRotations", key_id=key, limit=2, marker=page.next_marker)
    assert (page.truncated, rest.truncated) == (True, False)
    entries = page.rotations + rest.rotations
    assert [entry.rotation_date for entry in entries] == [START + day * DAY for day in (1, 2, 3)]
    assert {entry.rotation_type for entry in entries} == {RotationType.ON_DEMAND}
    assert [entry.key_material_state for entry in entries] == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]
    everything = (await service.call("ListKeyRotations", key_id=key, include_key_material=ALL)).rotations
    assert everything[1:] == entries
    assert everything[0].key_material_state is KeyMaterialState.NON_CURRENT


async def test_rotation_status_follows_enable_and_disable(service: Service) -> None:
    """Re-enabling without a period keeps the one in force; after disabling it is 365 days again."""
    key = (await service.create_key()).key_id
    steps: list[tuple[str, dict[str, int], int | None]] = [
        ("EnableKeyRotation", {}, 365),
        ("EnableKeyRotation", {"rotation_period_in_days": 90}, 90),
        ("EnableKeyRotation", {}, 90),
        ("EnableKeyRotation", {"rotation_period_in_days": 2560}, 2560),
        ("DisableKeyRotation", {}, None),
        ("DisableKeyRotation", {}, None),
        ("EnableKeyRotation", {}, 365),
    ]
    status = await service.call("GetKeyRotationStatus", key_id=key)
    assert (status.key_rotation_enabled, status.key_id) == (False, key)
    for operation, members, period in steps:
        await service.call(operation, key_id=key, **members)
        status = await service.call("GetKeyRotationStatus", key_id=key)
        assert status.key_rotation_enabled is (period is not None)
        assert status.rotation_period_in_days == period
        assert status.next_rotation_date == (None if period is None else START + period * DAY)
        assert status.on_demand_rotation_start_date is None


async def test_rotation_status_while_deletion_is_pending(service: Service) -> None:
    """It is false until the deletion is cancelled, then what it was."""
    key = (await service.create_key()).key_id
    await service.call("EnableKeyRotation", key_id=key)
    await service.call("ScheduleKeyDeletion", key_id=key)
    status = await service.call("GetKeyRotationStatus", key_id=key)
    assert (status.key_rotation_enabled, status.next_rotation_date) == (False, None)
    await service.call("CancelKeyDeletion", key_id=key)
    assert (await service.call("GetKeyRotationStatus", key_id=key)).key_rotation_enabled is True


async def test_twenty_five_on_demand_rotations(service: Service) -> None:
    """The twenty-sixth in a key's life is refused in AWS's words; the key works on."""
    made = await service.create_key()
    for _ in range(25):
        await service.rotate(made.key_id)
    with pytest.raises(LimitExceededException) as caught:
        await service.call("RotateKeyOnDemand", key_id=made.key_id)
    assert caught.value.message == (
        "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations "
        f"can be performed for this key: {made.arn}"
    )
    await service.call("GenerateDataKey", key_id=made.key_id, key_spec="AES_256")


async def test_on_demand_rotation_leaves_the_schedule_alone(service: Service) -> None:
    """The next automatic rotation stays when it was; shortly before it, on-demand rotation must wait."""
    key = (await service.create_key()).key_id
    await service.call("EnableKeyRotation", key_id=key, rotation_period_in_days=90)
    service.clock.advance(days=89)
    await service.rotate(key)
    status = await service.call("GetKeyRotationStatus", key_id=key)
    assert status.next_rotation_date == START + 90 * DAY
    service.clock.advance(days=1, seconds=-19 * 60)
    with pytest.raises(ConflictException):
        await service.call("RotateKeyOnDemand", key_id=key)


async def test_disabled_keys_do_not_rotate(service: Service) -> None:
    """Neither on demand nor may automatic rotation be switched while a key is disabled."""
    made = await service.create_key()
    await service.call("DisableKey", key_id=made.key_id)
    for operation in ("EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"):
        with pytest.raises(DisabledException) as caught:
            await service.call(operation, key_id=made.key_id)
        assert caught.value.message == f"{made.arn} is disabled."


@pytest.mark.parametrize(
    ("spec", "usage"),
    [
        (KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC),
        (KeySpec.ECC_NIST_P256, KeyUsage.SIGN_VERIFY),
        (KeySpec.ML_KEM_768, KeyUsage.ENCAPSULATE_DECAPSULATE),
    ],
)
async def test_other_specs_do_not_rotate(service: Service, spec: KeySpec, usage: KeyUsage) -> None:
    """For an HMAC key enabling is refused without a word, disabling is no news, and it never rotated."""
    key = (await service.create_key(key_spec=spec, key_usage=usage)).key_id
    refused: list[tuple[str, dict[str, Any]]] = [
        ("EnableKeyRotation", {}),
        ("RotateKeyOnDemand", {}),
        ("ListKeyRotations", {"include_key_material": ALL}),
    ]
    for operation, members in refused:
        with pytest.raises(UnsupportedOperationException) as caught:
            await service.call(operation, key_id=key, **members)
        assert caught.value.message == ""
    await service.call("DisableKeyRotation", key_id=key)
    status = await service.call("GetKeyRotationStatus", key_id=key)
    assert status == GetKeyRotationStatusResponse(key_rotation_enabled=False, key_id=key)
    listed = await service.call("ListKeyRotations", key_id=key)
    assert (listed.rotations, listed.truncated) == ((), False)
    await service.call("DisableKey", key_id=key)
    for operation in ("EnableKeyRotation", "RotateKeyOnDemand", "DisableKeyRotation"):
        with pytest.raises(DisabledException):  # the state comes before the spec
            await service.call(operation, key_id=key)


async def test_a_rotation_on_demand_takes_its_time(service: Service) -> None:
    """Until it is done its start is told and the old material serves; asking again is the same rotation."""
    made = await service.create_key()
    key = made.key_id
    for _ in range(3):
        assert (await service.call("RotateKeyOnDemand", key_id=key)).key_id == key
        status = await service.call("GetKeyRotationStatus", key_id=key)
        assert (status.key_rotation_enabled, status.on_demand_rotation_start_date) == (False, START)
        service.clock.advance(seconds=10)
    data_key = await service.call("GenerateDataKey", key_id=key, key_spec="AES_256")
    assert data_key.key_material_id == made.current_key_material_id
    assert (await service.call("ListKeyRotations", key_id=key)).rotations == ()
    await service.do_jobs()
    assert (await service.call("GetKeyRotationStatus", key_id=key)).on_demand_rotation_start_date is None
    (rotation,) = (await service.call("ListKeyRotations", key_id=key)).rotations
    assert (rotation.rotation_type, rotation.rotation_date) == (RotationType.ON_DEMAND, START + 30)
    assert service.key(key).on_demand_rotation_count == 1
    (done,) = [record for record in service.records() if record["eventName"] == "RotateKey"]
    assert done["serviceEventDetails"] == {
        "rotationType": "ON_DEMAND",
        "keyId": key,
        "keyOrigin": "AWS_KMS",
        "previousKeyMaterialId": made.current_key_material_id,
        "currentKeyMaterialId": rotation.key_material_id,
    }


@pytest.mark.parametrize("operation", ["DisableKey", "ScheduleKeyDeletion"])
async def test_a_rotation_goes_on(service: Service, operation: str) -> None:
    """What was begun is done, even if the key may no longer be used meanwhile."""
    key = (await service.create_key()).key_id
    await service.call("RotateKeyOnDemand", key_id=key)
    await service.call(operation, key_id=key)
    state = service.key(key).key_state
    await service.do_jobs()
    assert (service.key(key).on_demand_rotation_count, service.key(key).key_state) == (1, state)


async def test_both_rotations_at_once(service: Service) -> None:
    """A rotation on demand that was still waiting when the automatic one came due: both take place."""
    key = (await service.create_key()).key_id
    await service.call("EnableKeyRotation", key_id=key, rotation_period_in_days=90)
    await service.call("RotateKeyOnDemand", key_id=key)
    service.clock.advance(days=90)
    await service.do_jobs()
    rotations = (await service.call("ListKeyRotations", key_id=key)).rotations
    assert [entry.rotation_type for entry in rotations] == [RotationType.ON_DEMAND, RotationType.AUTOMATIC]


@pytest.mark.timeout(60)
async def test_the_jobs_hear_of_a_rotation_at_once(
    service: Service,
    mock_clock: trio.testing.MockClock,  # stands still: the jobs never come round by themselves
) -> None:
    """A rotation does not wait for the next round of the jobs, nor does one asked for before they began."""
    key = (await service.create_key()).key_id
    await service.call("RotateKeyOnDemand", key_id=key)
    async with trio.open_nursery() as nursery:
        await nursery.start(jobs.run, service.kms, service.audit)
        for count in (1, 2, 3):
            while service.key(key).on_demand_rotation_count < count:
                await trio.testing.wait_all_tasks_blocked()
            await service.call("RotateKeyOnDemand", key_id=key)
        nursery.cancel_scope.cancel()
    assert mock_clock.current_time() == 0
