"""Deletions and automatic rotations when they are due."""

import logging

import pytest
import trio
import trio.testing

from agent import jobs
from agent.api.enums import KeyState, RotationType
from agent.api.errors import AccessDeniedException, NotFoundException
from agent.keys.key import Key
from agent.operations.kms import Kms
from agent.store.errors import StoreUnavailableError
from services import REGION, START, Service

DAY = 86_400


async def test_a_key_is_deleted_when_its_window_ends(service: Service) -> None:
    """Not a second earlier; key, material and aliases go, other keys stay, and the deed is recorded."""
    key, other = await service.create_key(), await service.create_key()
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=key.key_id)
    blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
    await service.call("ScheduleKeyDeletion", key_id=key.key_id, pending_window_in_days=7)
    before = len(service.records())
    service.clock.advance(days=7, seconds=-1)
    await jobs.run_due(service.kms, service.audit)
    assert service.key(key.key_id).key_state is KeyState.PENDING_DELETION
    assert len(service.records()) == before
    service.clock.advance(seconds=1)
    await jobs.run_due(service.kms, service.audit)
    (record,) = service.records()[before:]
    assert (record["eventName"], record["eventType"]) == ("DeleteKey", "AwsServiceEvent")
    assert record["userIdentity"]["invokedBy"] == "AWS Internal"
    assert record["serviceEventDetails"] == {"keyId": key.key_id}
    assert [resource["ARN"] for resource in record["resources"]] == [key.arn]
    for name in (key.key_id, "alias/a"):
        with pytest.raises(NotFoundException):
            await service.call("DescribeKey", key_id=name)
    with pytest.raises(AccessDeniedException):
        await service.call("Decrypt", ciphertext_blob=blob)
    assert service.kms.store.materials("local", key.key_id) == ()
    await service.call("GenerateDataKey", key_id=other.key_id, key_spec="AES_256")


async def test_a_cancelled_deletion_does_not_happen(service: Service) -> None:
    """Neither long after its date nor when the cancellation slips in between looking and deleting."""
    first, second = await service.create_key(), await service.create_key()
    for key in (first, second):
        await service.call("ScheduleKeyDeletion", key_id=key.key_id)
    await service.call("CancelKeyDeletion", key_id=first.key_id)
    service.clock.advance(days=400)
    stale = service.key(second.key_id)
    await service.call("CancelKeyDeletion", key_id=second.key_id)
    await jobs._do(service.kms, service.audit, stale, "DeleteKey", jobs._delete)
    await jobs.run_due(service.kms, service.audit)
    assert {service.key(key.key_id).key_state for key in (first, second)} == {KeyState.DISABLED}
    record = service.records()[-1]
    assert (record["eventName"], record["errorCode"]) == ("DeleteKey", "KMSInvalidStateException")


async def test_automatic_rotation(service: Service) -> None:
    """The material changes once per period, the schedule goes on, and each rotation is recorded."""
    made = await service.create_key()
    key = made.key_id
    await service.call("EnableKeyRotation", key_id=key, rotation_period_in_days=90)
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    for period in (1, 2):
        previous = service.key(key).current_material_id
        service.clock.advance(days=90, seconds=-1)
        await jobs.run_due(service.kms, service.audit)
        assert service.key(key).current_material_id == previous
        service.clock.advance(seconds=1)
        for _ in range(2):
            await jobs.run_due(service.kms, service.audit)
        current = service.key(key).current_material_id
        assert current != previous
        record = service.records()[-1]
        assert (record["eventName"], record["eventType"]) == ("RotateKey", "AwsServiceEvent")
        assert record["serviceEventDetails"] == {
            "rotationType": "AUTOMATIC",
            "keyId": key,
            "keyOrigin": "AWS_KMS",
            "previousKeyMaterialId": previous,
            "currentKeyMaterialId": current,
        }
        status = await service.call("GetKeyRotationStatus", key_id=key)
        assert status.next_rotation_date == START + (period + 1) * 90 * DAY
    rotations = (await service.call("ListKeyRotations", key_id=key)).rotations
    assert [entry.rotation_type for entry in rotations] == [RotationType.AUTOMATIC] * 2
    assert [entry.rotation_date for entry in rotations] == [START + 90 * DAY, START + 180 * DAY]
    assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"
    assert service.key(key).on_demand_rotation_count == 0


async def test_a_disabled_key_rotates_when_it_is_enabled(service: Service) -> None:
    """What became due meanwhile happens once, at the first round after."""
    key = (await service.create_key()).key_id
    await service.call("EnableKeyRotation", key_id=key, rotation_period_in_days=90)
    await service.call("DisableKey", key_id=key)
    service.clock.advance(days=1000)
    await jobs.run_due(service.kms, service.audit)
    assert len(service.kms.store.materials("local", key)) == 1
    await service.call("EnableKey", key_id=key)
    for _ in range(3):
        await jobs.run_due(service.kms, service.audit)
    assert len(service.kms.store.materials("local", key)) == 2
    assert service.key(key).next_rotation_date == START + 1090 * DAY


async def test_the_managed_key_rotates_every_year(service: Service) -> None:
    """Without anyone having asked for it."""
    key = (await service.call("DescribeKey", key_id="alias/aws/kmsfs")).key_metadata.key_id
    service.clock.advance(days=365)
    await jobs.run_due(service.kms, service.audit)
    assert len(service.kms.store.materials("local", key)) == 2


async def test_rounds_go_on_after_a_failure(
    service: Service,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A round that fails is logged and made up for a minute later."""
    key = (await service.create_key()).key_id
    await service.call("ScheduleKeyDeletion", key_id=key, pending_window_in_days=7)
    service.clock.advance(days=7)
    failures = iter([StoreUnavailableError("The disk is full.")])
    deleted = trio.Event()

    def delete(kms: Kms, due: Key) -> jobs.Details:
        for failure in failures:
            raise failure
        details = jobs._delete(kms, due)
        trio.from_thread.run_sync(deleted.set)
        return details

    monkeypatch.setattr(jobs, "_DEEDS", (("DeleteKey", jobs._is_deletion_due, delete), *jobs._DEEDS[1:]))
    with caplog.at_level(logging.ERROR):
        async with trio.open_nursery() as nursery:
            await nursery.start(jobs.run, service.kms, service.audit)
            await deleted.wait()
            nursery.cancel_scope.cancel()
    assert "The disk is full." in caplog.text
    assert service.kms.store.key("local", key) is None
    assert autojump_clock.current_time() >= jobs.INTERVAL_SECONDS


async def test_every_region_is_looked_after(service: Service) -> None:
    """Jobs of an agent that serves several Regions do what is due in each."""
    key = (await service.create_key()).key_id
    await service.call("ScheduleKeyDeletion", key_id=key)
    service.clock.advance(days=31)
    await jobs.run_due(service.kms.in_region("eu-west-1"), service.audit)
    assert service.kms.store.keys(REGION) == ()
