"""The pipeline itself: what is recorded of every request, and what happens when something below fails."""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from agent import dispatch
from agent.api.errors import (
    AccessDeniedException,
    DisabledException,
    DryRunOperationException,
    InvalidCiphertextException,
    KMSInternalException,
    NotFoundException,
    SerializationException,
    ServiceError,
    ValidationException,
)
from agent.api.shapes.keys import Tag
from agent.audit.errors import AuditUnavailableError
from agent.audit.log import AuditLog
from agent.seal.barrier import Barrier
from agent.store.errors import StoreUnavailableError
from agent.store.protocol import Store, StoreTransaction
from services import Service

SECRET = b"hunter2 " * 4


def last(service: Service) -> dict[str, Any]:
    """Return the last audit record."""
    return service.records()[-1]


def read_all(directory: Path) -> bytes:
    """Return the content of all files in a directory."""
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_every_answer_has_its_record(service: Service) -> None:
    """Each call leaves one record with caller, parameters, key and whether it changed anything."""
    service.allow(service.callers.alice, {"Effect": "Allow", "Action": "kms:*", "Resource": "*"})
    key = await service.create_key(service.callers.alice, description="spool")
    record = last(service)
    assert record["userIdentity"]["arn"] == service.callers.alice.arn
    assert (record["eventName"], record["readOnly"]) == ("CreateKey", False)
    assert record["requestParameters"] == {"description": "spool"}
    assert record["responseElements"]["keyMetadata"]["arn"] == key.arn
    assert (record["requestID"], record["sourceIPAddress"]) == ("request-1", "test")
    assert [resource["ARN"] for resource in record["resources"]] == [key.arn]
    await service.call(
        "GenerateDataKey", key_id=key.key_id, key_spec="AES_256", encryption_context={"a": "b"}
    )
    record = last(service)
    assert record["requestParameters"] == {
        "keyId": key.key_id,
        "keySpec": "AES_256",
        "encryptionContext": {"a": "b"},
    }
    assert record["additionalEventData"] == {"keyMaterialId": key.current_key_material_id}
    assert (record["readOnly"], record["responseElements"]) == (True, None)
    assert "errorCode" not in record
    await service.call("DisableKey", key_id=key.key_id)
    assert last(service)["responseElements"] == {"keyId": key.arn}
    assert len(service.records()) == 3


async def test_re_encrypt_records_both_keys(service: Service) -> None:
    """Both keys are resources of the event, and both materials are named."""
    source, destination = await service.create_key(), await service.create_key()
    blob = (await service.call("Encrypt", key_id=source.key_id, plaintext=b"t")).ciphertext_blob
    await service.call("ReEncrypt", ciphertext_blob=blob, destination_key_id=destination.key_id)
    record = last(service)
    assert [resource["ARN"] for resource in record["resources"]] == [source.arn, destination.arn]
    assert record["additionalEventData"] == {
        "sourceKeyMaterialId": source.current_key_material_id,
        "destinationKeyMaterialId": destination.current_key_material_id,
    }


async def test_refusals_are_recorded_too(service: Service) -> None:
    """Denied, failed, malformed and dry-run requests leave a record with AWS's code and text."""
    key = await service.create_key()
    off = await service.create_key()
    await service.call("DisableKey", key_id=off.key_id)
    bob = service.callers.bob
    cases: list[tuple[str, dict[str, Any], Any, type[ServiceError], list[str]]] = [
        ("DescribeKey", {"KeyId": key.key_id}, bob, AccessDeniedException, [key.arn]),
        ("DescribeKey", {"KeyId": "alias/none"}, None, NotFoundException, []),
        ("DescribeKey", {}, None, ValidationException, []),
        ("DescribeKey", {"KeyId": 5}, None, SerializationException, []),
        ("Encrypt", {"KeyId": off.arn, "Plaintext": "dA=="}, None, DisabledException, [off.arn]),
        ("Decrypt", {"CiphertextBlob": "dA=="}, None, InvalidCiphertextException, []),
        (
            "GenerateDataKey",
            {"KeyId": key.arn, "KeySpec": "AES_256", "DryRun": True},
            None,
            DryRunOperationException,
            [key.arn],
        ),
    ]
    for operation, members, caller, error, resources in cases:
        before = len(service.records())
        with pytest.raises(error) as caught:
            await service.send(operation, json.dumps(members).encode(), caller)
        assert len(service.records()) == before + 1
        record = last(service)
        assert (record["eventName"], record["errorCode"]) == (operation, error.code)
        assert record.get("errorMessage", "") == caught.value.message
        assert [resource["ARN"] for resource in record["resources"]] == resources


async def test_no_plaintext_and_no_ciphertext_is_recorded(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes through, neither audit log nor program log nor store file has it."""
    caplog.set_level(logging.DEBUG)
    key = (await service.create_key()).key_id
    secrets = [SECRET]
    sealed = await service.call("Encrypt", key_id=key, plaintext=SECRET)
    data_key = await service.call("GenerateDataKey", key_id=key, key_spec="AES_256")
    secrets += [data_key.plaintext, sealed.ciphertext_blob[60:]]
    secrets.append((await service.call("GenerateRandom", number_of_bytes=32)).plaintext)
    await service.call("Decrypt", ciphertext_blob=sealed.ciphertext_blob)
    await service.call("ReEncrypt", ciphertext_blob=sealed.ciphertext_blob, destination_key_id=key)
    material = service.kms.store.material("local", service.key(key).current_material_id)
    assert material is not None
    secrets.append(service.kms.barrier.unwrap_material(material))
    with pytest.raises(InvalidCiphertextException):
        await service.call("Decrypt", ciphertext_blob=sealed.ciphertext_blob, encryption_context={"a": "b"})
    body = {"KeyId": "", "Plaintext": base64.b64encode(SECRET).decode()}
    with pytest.raises(ValidationException):
        await service.send("Encrypt", json.dumps(body).encode())
    written = read_all(service.directory) + caplog.text.encode()
    for secret in secrets:
        for form in (
            secret,
            base64.b64encode(secret)[:-4],
            secret.hex().encode(),
            repr(secret).encode()[2:-1],
        ):
            assert form not in written


class FailingStore:
    """A store whose disk takes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the store has
        return getattr(self._store, name)

    @contextmanager
    def write(self) -> Iterator[StoreTransaction]:
        """Let everything be written, and then fail."""
        with self._store.write() as transaction:
            yield transaction
            raise StoreUnavailableError("The disk is full. Free some space.")


async def test_a_store_that_fails_is_told_and_changes_nothing(service: Service) -> None:
    """The caller hears what the operator must do; the key is as before; the event is recorded as failed."""
    key = (await service.create_key()).key_id
    before = service.key(key)
    service.kms = replace(service.kms, store=FailingStore(service.kms.store))
    for operation, members in (("DisableKey", {"key_id": key}), ("CreateKey", {})):
        with pytest.raises(KMSInternalException) as caught:
            await service.call(operation, **members)
        assert caught.value.message == "The disk is full. Free some space."
        assert last(service)["errorCode"] == "KMSInternalException"
    assert [*service.kms.store.keys("local")] == [before]


async def test_foreign_key_material_is_told(service: Service) -> None:
    """Material that another root key wrapped is an error of the service, not of the ciphertext."""
    key = (await service.create_key()).key_id
    service.kms = replace(service.kms, barrier=Barrier(bytes(32)))
    with pytest.raises(KMSInternalException, match="does not authenticate"):
        await service.call("GenerateDataKey", key_id=key, key_spec="AES_256")


async def test_nothing_is_answered_without_a_record(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the record cannot be made durable the request fails, and says why."""
    key = (await service.create_key()).key_id

    async def fail(_log: AuditLog, _record: object) -> None:
        await trio.lowlevel.checkpoint()
        raise AuditUnavailableError("The audit log's disk is full.")

    monkeypatch.setattr(AuditLog, "append", fail)
    for operation, members in (
        ("GenerateDataKey", {"key_id": key, "key_spec": "AES_256"}),
        ("Decrypt", {"ciphertext_blob": b"x"}),
    ):
        with pytest.raises(KMSInternalException) as caught:
            await service.call(operation, **members)
        assert caught.value.message == "The audit log's disk is full."


async def test_our_own_bugs_are_answered_without_details(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """An unforeseen exception becomes a KMSInternalException that says no more than where to look."""
    key = (await service.create_key()).key_id
    service.force(key, current_material_id="0" * 64)
    with pytest.raises(KMSInternalException) as caught:
        await service.call("GenerateDataKey", key_id=key, key_spec="AES_256")
    assert caught.value.message == (
        "The request failed inside the service; its log has more under request ID request-2."
    )
    assert "lost its current material" in caplog.text
    assert last(service)["errorCode"] == "KMSInternalException"
    assert "errorMessage" not in last(service)


async def test_concurrent_changes_do_not_undo_each_other(service: Service) -> None:
    """Changes of one key at the same moment all take effect: none works on what another has replaced."""
    key = (await service.create_key()).key_id
    async with trio.open_nursery() as nursery:
        for number in range(12):
            tag = (Tag(tag_key=f"tag {number}", tag_value=""),)
            nursery.start_soon(lambda tags=tag: service.call("TagResource", key_id=key, tags=tags))
        nursery.start_soon(lambda: service.call("RotateKeyOnDemand", key_id=key))
        nursery.start_soon(lambda: service.call("EnableKeyRotation", key_id=key))
        nursery.start_soon(lambda: service.call("UpdateKeyDescription", key_id=key, description="new"))
        nursery.start_soon(service.do_jobs)
    await service.do_jobs()
    after = service.key(key)
    assert (after.on_demand_rotation_count, after.rotation_period_days, after.description) == (1, 365, "new")
    assert len(after.tags) == 12
    materials = service.kms.store.materials("local", key)
    assert [material.generation for material in materials] == [0, 1]
    assert materials[-1].material_id == after.current_material_id


async def test_a_change_goes_on_when_its_caller_goes_away(service: Service) -> None:
    """A cancelled request is either not begun or done and recorded as done."""
    for delay in (0, 1):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.create_key)
                for _ in range(delay):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
    recorded = [record for record in service.records() if record["eventName"] == "CreateKey"]
    assert sum("errorCode" not in record for record in recorded) == len(service.kms.store.keys("local"))


def test_the_operation_name_is_not_believed() -> None:
    """An operation's name comes from a header: what it is quoted in must not grow with it."""

    async def ask() -> None:
        await dispatch.handle(None, None, None, "x" * 10_000, b"", "r", "s")  # type: ignore[arg-type]  # not reached

    with pytest.raises(ServiceError) as caught:
        trio.run(ask)
    assert len(caught.value.message) < 200
