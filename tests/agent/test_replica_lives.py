"""The lives of multi-Region keys: a new primary, deletion in order, rotation and import in every Region."""

from typing import Final

import pytest

from agent import jobs
from agent.api.enums import KeyState
from agent.api.errors import (
    AccessDeniedException,
    AlreadyExistsException,
    DisabledException,
    IncorrectKeyMaterialException,
    KMSInvalidStateException,
    NotFoundException,
    ServiceError,
    UnsupportedOperationException,
)
from importing import FOREVER, parameters
from regions import EAST, HOME, WEST, arn, described, family, in_region
from services import Service

DAY: Final = 86_400


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
