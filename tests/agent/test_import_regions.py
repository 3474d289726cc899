"""Imported material of multi-Region keys: it comes to the primary first, and to each replica by itself."""

from typing import Any

import pytest

from agent.api.enums import ImportType, KeyState
from agent.api.errors import (
    InvalidImportTokenException,
    KMSInvalidStateException,
    UnsupportedOperationException,
)
from importing import FOREVER, create_external_key, materials, parameters, state
from services import Service

ONE, TWO = (bytes([number]) * 32 for number in (1, 2))
NEW, EXISTING = ImportType.NEW_KEY_MATERIAL, ImportType.EXISTING_KEY_MATERIAL


async def bring(service: Service, key_id: str, material: bytes, kind: ImportType | None = None) -> str:
    """Import material into the key of a Region; return its id."""
    got = await parameters(service, key_id)
    members: dict[str, Any] = {**got.members(material), "import_type": kind, "expiration_model": FOREVER}
    identifier: str = (await service.call("ImportKeyMaterial", **members)).key_material_id
    return identifier


async def a_family(service: Service) -> tuple[Service, Service, str]:
    """Return a primary and its replica, both with their first material."""
    primary = Service(service.kms.in_region("us-east-1"), service.audit, service.clock, service.directory)
    replica = Service(service.kms.in_region("eu-west-1"), service.audit, service.clock, service.directory)
    key = (await create_external_key(primary, multi_region=True)).key_id
    first = await bring(primary, key, ONE)
    await primary.call("ReplicateKey", key_id=key, replica_region="eu-west-1")
    service.clock.advance(seconds=2)
    assert await state(replica, key) is KeyState.PENDING_IMPORT
    assert await bring(replica, key, ONE) == first
    return primary, replica, key


async def places(service: Service, key: str) -> list[tuple[str, str]]:
    """Return the place of each material, and whether it is there."""
    listed = (await materials(service, key)).values()
    return [(str(entry.key_material_state), str(entry.import_state)) for entry in listed]


async def test_new_material_comes_to_the_primary_first(service: Service) -> None:
    """A replica takes no material that its primary does not know, and no rotation of its own."""
    primary, replica, key = await a_family(service)
    for operation in (bring(replica, key, TWO, NEW), replica.rotate(key)):
        with pytest.raises(UnsupportedOperationException, match="is not a multi-region primary key"):
            await operation
    first = ("CURRENT", "IMPORTED")
    waiting = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
    second = await bring(primary, key, TWO, NEW)
    assert await places(primary, key) == [first, (waiting, "IMPORTED")]
    assert await places(replica, key) == [first, (waiting, "PENDING_IMPORT")]
    assert await state(replica, key) is KeyState.ENABLED
    with pytest.raises(KMSInvalidStateException, match="No available key material pending rotation"):
        await primary.rotate(key)
    assert await bring(replica, key, TWO) == second
    for region in (primary, replica):
        assert await places(region, key) == [first, ("PENDING_ROTATION", "IMPORTED")]
    await primary.rotate(key)
    for region in (primary, replica):
        assert await places(region, key) == [("NON_CURRENT", "IMPORTED"), first]


async def test_waiting_material_is_deleted_everywhere(service: Service) -> None:
    """Deleted from the primary it is gone from the replica; deleted from a replica, only from there."""
    primary, replica, key = await a_family(service)
    second = await bring(primary, key, TWO, NEW)
    await bring(replica, key, TWO, EXISTING)
    await primary.call("RotateKeyOnDemand", key_id=key)
    await replica.call("DeleteImportedKeyMaterial", key_id=key, key_material_id=second)
    await primary.do_jobs()
    assert [place for place, _ in await places(primary, key)] == [
        "CURRENT",
        "PENDING_MULTI_REGION_IMPORT_AND_ROTATION",
    ]
    assert await state(replica, key) is KeyState.ENABLED
    await bring(replica, key, TWO, EXISTING)
    await primary.call("DeleteImportedKeyMaterial", key_id=key, key_material_id=second)
    for region in (primary, replica):
        assert await places(region, key) == [("CURRENT", "IMPORTED")]
        assert await state(region, key) is KeyState.ENABLED


async def test_each_region_loses_its_own(service: Service) -> None:
    """What one Region's key has lost, the others have still; each gets it back by itself."""
    primary, replica, key = await a_family(service)
    sealed = await primary.call("Encrypt", key_id=key, plaintext=b"t")
    await primary.call("DeleteImportedKeyMaterial", key_id=key)
    assert await state(primary, key) is KeyState.PENDING_IMPORT
    opened = await replica.call("Decrypt", key_id=key, ciphertext_blob=sealed.ciphertext_blob)
    assert opened.plaintext == b"t"
    await bring(primary, key, ONE)
    assert await state(primary, key) is KeyState.ENABLED


async def test_a_token_is_for_one_region(service: Service) -> None:
    """The token of a key in one Region does not import into its relative in another."""
    primary, replica, key = await a_family(service)
    got = await parameters(primary, key)
    with pytest.raises(InvalidImportTokenException):
        await replica.call("ImportKeyMaterial", **got.members(ONE), expiration_model=FOREVER)
