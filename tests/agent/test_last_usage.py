"""GetKeyLastUsage, and the index behind it: what the log says, at every moment and after every restart."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from agent.api.enums import KeyLastUsageOperation
from agent.api.errors import DryRunOperationException, InvalidArnException, NotFoundException, ServiceError
from agent.audit.layout import digest_paths, sealed_paths
from agent.audit.log import AuditLog
from agent.audit.usage import UsageIndex
from auditlogs import TIME, open_log
from samples import ALICE
from services import START, Service

REGION_KEY = "arn:aws:kms:local:111122223333:key/"
HOUR = 3600


async def test_the_last_successful_use(service: Service) -> None:
    """Operation, time and ids are those of the newest record of a use that went well."""
    key = await service.create_key()
    unused = await service.call("GetKeyLastUsage", key_id=key.key_id)
    assert unused.key_last_usage.operation is None
    assert (unused.tracking_start_date, unused.key_creation_date) == (START, START)
    service.clock.advance(seconds=90.5)
    blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"x")).ciphertext_blob
    service.clock.advance(seconds=10)
    await service.call("Decrypt", ciphertext_blob=blob)
    record = service.records()[-1]
    service.clock.advance(seconds=10)
    await service.call("DescribeKey", key_id=key.key_id)
    with pytest.raises(ServiceError):
        await service.call("Decrypt", ciphertext_blob=blob, encryption_context={"a": "b"})
    with pytest.raises(DryRunOperationException):
        await service.call("Encrypt", key_id=key.key_id, plaintext=b"x", dry_run=True)
    used = (await service.call("GetKeyLastUsage", key_id=key.arn)).key_last_usage
    assert used.operation is KeyLastUsageOperation.DECRYPT
    assert used.timestamp == START + 100
    assert (used.cloud_trail_event_id, used.kms_request_id) == (record["eventID"], record["requestID"])


async def test_re_encryption_counts_for_both(service: Service) -> None:
    """ReEncrypt is a use of the key it decrypts with and of the one it encrypts with."""
    source, destination, other = [(await service.create_key()).key_id for _ in range(3)]
    blob = (await service.call("Encrypt", key_id=source, plaintext=b"x")).ciphertext_blob
    await service.call("ReEncrypt", ciphertext_blob=blob, destination_key_id=destination)
    for key, operation in ((source, "ReEncrypt"), (destination, "ReEncrypt"), (other, None)):
        usage = (await service.call("GetKeyLastUsage", key_id=key)).key_last_usage
        assert usage.operation == operation


async def test_what_it_takes(service: Service) -> None:
    """A key's id or ARN; no alias, and no key that is not there."""
    key = (await service.create_key()).key_id
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=key)
    with pytest.raises(InvalidArnException, match="Key Aliases are not supported"):
        await service.call("GetKeyLastUsage", key_id="alias/a")
    with pytest.raises(NotFoundException):
        await service.call("GetKeyLastUsage", key_id="00000000-0000-0000-0000-000000000000")


@asynccontextmanager
async def running(path: Path, time: list[float]) -> AsyncIterator[AuditLog]:
    """Run a log for as long as the block runs."""
    log = open_log(path, lambda: time[0])
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        yield log
        nursery.cancel_scope.cancel()


async def use(log: AuditLog, key: str, name: str = "Encrypt") -> None:
    """Record a use of a key."""
    async with log.entry(ALICE, name, f"request of {key}", "unix") as entry:
        entry.add_resource(REGION_KEY + key)


def known(index: UsageIndex, *keys: str) -> list[float | None]:
    """Return when keys were last used, in hours since the log began."""
    uses = [index.last(REGION_KEY + key) for key in keys]
    return [None if found is None else (found.timestamp - TIME) / HOUR for found in uses]


async def test_restarts(tmp_path: Path) -> None:
    """After a clean stop, a kill, or the loss of the checkpoint the index says the same."""
    path, time = tmp_path / "audit.jsonl", [TIME]
    for hour in range(4):
        async with running(path, time) as log:
            for key in "abcd"[hour:]:
                await use(log, key)
            checkpoint = path.with_suffix(".usage").read_bytes() if hour else b""
            time[0] += HOUR
            await use(log, "e")
            expected = known(log.usage, *"abcde")
        for content in (path.with_suffix(".usage").read_bytes(), checkpoint, b"", b"{}", b"x" * 500):
            path.with_suffix(".usage").write_bytes(content)
            async with running(path, time) as log:
                assert known(log.usage, *"abcde") == expected
                assert log.usage.tracking_start == TIME
    assert len(sealed_paths(path)) >= 3


async def test_a_checkpoint_of_another_log(tmp_path: Path) -> None:
    """A checkpoint that is signed but does not belong to this log, or is ahead of it, is not believed."""
    path, time = tmp_path / "audit.jsonl", [TIME]
    async with running(path, time) as log:
        await use(log, "a")
    other = tmp_path / "other" / "audit.jsonl"
    for uses in (1, 2):
        async with running(other, time) as log:
            for _ in range(uses):
                await use(log, "b")
        path.with_suffix(".usage").write_bytes(other.with_suffix(".usage").read_bytes())
        async with running(path, time) as log:
            assert known(log.usage, "a", "b") == [0, None]


async def test_records_that_were_moved_away(tmp_path: Path) -> None:
    """What the checkpoint knows stays known; without it tracking begins with the oldest record left."""
    path, time = tmp_path / "audit.jsonl", [TIME]
    async with running(path, time) as log:
        for key in "abc":
            await use(log, key)
            time[0] += HOUR
        await use(log, "d")
    for old in (*sealed_paths(path)[:1], *digest_paths(path)[:2]):
        old.unlink()
    async with running(path, time) as log:
        assert known(log.usage, *"abcd") == [0, 1, 2, 3]
        assert log.usage.tracking_start == TIME
    path.with_suffix(".usage").unlink()
    async with running(path, time) as log:
        assert known(log.usage, *"abcd") == [None, None, 2, 3]
        assert log.usage.tracking_start == TIME + 2 * HOUR


async def test_a_deleted_key_is_forgotten(tmp_path: Path) -> None:
    """The index does not grow with keys that are no more."""
    path = tmp_path / "audit.jsonl"
    async with running(path, [TIME]) as log:
        await use(log, "a")
        await use(log, "a", "DeleteKey")
        assert known(log.usage, "a") == [None]
    async with running(path, [TIME]) as log:
        assert known(log.usage, "a") == [None]


async def test_a_use_counts_when_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its record is on disk a use is not told of, and from its answer on it is."""
    path = tmp_path / "audit.jsonl"
    seen = []
    async with running(path, [TIME]) as log:
        sync = os.fdatasync

        def looking(fd: int) -> None:
            seen.append(known(log.usage, "a"))
            sync(fd)

        monkeypatch.setattr(os, "fdatasync", looking)
        await use(log, "a")
        assert known(log.usage, "a") == [0]
    assert seen == [[None]]
    assert json.loads(path.read_bytes())["eventName"] == "Encrypt"
