"""The running audit log: what is answered is durable, and what cannot be made durable is not answered."""
# ruff: noqa: ASYNC240 -- these tests look at files between two steps, and nothing else runs meanwhile

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from agent.api.errors import DisabledException, InvalidCiphertextException
from agent.audit.entry import AuditEntry
from agent.audit.errors import AuditUnavailableError
from agent.audit.journal import HEAD_INTERVAL
from agent.audit.log import AuditLog
from agent.audit.verify import verify
from auditlogs import open_journal, open_log
from samples import ALICE, a_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log is made."""
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[AuditLog]:
    """A running audit log; whether it can be closed well is not asked, for tests spoil it."""
    opened = open_log(path)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(opened.run)
            yield opened
            nursery.cancel_scope.cancel()
    except* AuditUnavailableError:
        pass


def records(path: Path) -> list[dict[str, object]]:
    """Return what a log holds just now."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def succeed(log: AuditLog, name: str = "DescribeKey") -> None:
    """Record a request that went well."""
    async with log.entry(ALICE, name, "request", "unix") as entry:
        entry.add_resource(a_key().arn)


async def test_durable_on_exit(log: AuditLog, path: Path) -> None:
    """When an entry's block has ended its record is in the file, with the outcome."""
    async with log.entry(ALICE, "GenerateDataKey", "request-1", "unix") as entry:
        entry.add_resource(a_key().arn)
        assert not records(path)
    (record,) = records(path)
    assert (record["eventName"], record["requestID"], record["eventTime"]) == (
        "GenerateDataKey",
        "request-1",
        "2027-01-15T08:00:00Z",
    )
    assert "errorCode" not in record
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_refusals_are_recorded(log: AuditLog, path: Path) -> None:
    """A request that fails is recorded with AWS's code and text, and its error goes on to the caller."""
    with pytest.raises(DisabledException):
        await fail(log, DisabledException("k is disabled."))
    with pytest.raises(InvalidCiphertextException):
        await fail(log, InvalidCiphertextException())
    first, second = records(path)
    assert (first["errorCode"], first["errorMessage"]) == ("DisabledException", "k is disabled.")
    assert second["errorCode"] == "InvalidCiphertextException"
    assert "errorMessage" not in second


async def test_bugs_are_recorded_without_their_text(log: AuditLog, path: Path) -> None:
    """An unforeseen error is recorded as an internal one: its text may hold anything."""
    with pytest.raises(ValueError, match="plaintext"):
        await fail(log, ValueError("plaintext"))
    (record,) = records(path)
    assert record["errorCode"] == "KMSInternalException"
    assert "plaintext" not in path.read_text()


async def test_cancelled_requests_are_recorded(log: AuditLog, path: Path) -> None:
    """A request whose caller goes away is recorded, however far it had got."""
    with trio.CancelScope() as scope:
        async with log.entry(ALICE, "CreateKey", "request", "unix"):
            scope.cancel()
            await trio.sleep_forever()
    (record,) = records(path)
    assert record["errorCode"] == "RequestCanceled"


async def test_group_commit(log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that wait at the same time share a sync, and each is in the log once."""
    syncs = []
    sync = os.fdatasync

    def counted(fd: int) -> None:
        syncs.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", counted)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(succeed, log, f"DescribeKey{number}")
    assert len(syncs) <= 3
    assert sorted(str(record["eventName"]) for record in records(path)) == sorted(
        f"DescribeKey{number}" for number in range(200)
    )
    assert verify(path).records == 200


async def test_stopping_waits_for_open_entries(path: Path) -> None:
    """When everything is cancelled at once, requests under way are recorded before the log closes."""
    log = open_log(path)
    begun = trio.Event()

    async def request() -> None:
        async with log.entry(ALICE, "CreateKey", "request", "unix"):
            begun.set()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    for _ in range(20):
                        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        nursery.start_soon(request)
        await begun.wait()
        nursery.cancel_scope.cancel()
    assert [record["eventName"] for record in records(path)] == ["CreateKey"]
    assert json.loads(path.with_suffix(".head").read_bytes())["sequence"] == 1
    with pytest.raises(AuditUnavailableError, match="closed"):
        await succeed(log)


async def test_nothing_begins_without_the_log(path: Path) -> None:
    """A request does not begin while the log does not run."""
    log = open_log(path)
    reached = False
    with pytest.raises(AuditUnavailableError, match="closed"):
        async with log.entry(ALICE, "CreateKey", "request", "unix"):
            reached = True
    assert not reached
    log._journal.close()


def remove(path: Path) -> None:
    """Remove the log."""
    path.unlink()


def replace(path: Path) -> None:
    """Put another file, with the same content, in the log's place."""
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


def cut(path: Path) -> None:
    """Cut the last byte."""
    os.truncate(path, path.stat().st_size - 1)


def add(path: Path) -> None:
    """Add a line of somebody else's."""
    with path.open("ab") as file:
        file.write(b"{}\n")


def link(path: Path) -> None:
    """Put a symbolic link in the log's place."""
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


@pytest.mark.parametrize(
    ("tamper", "refusal"),
    [
        (remove, "is gone"),
        (replace, "replaced"),
        (link, "replaced"),
        (cut, "something else"),
        (add, "something else"),
    ],
)
async def test_tampering_while_running(
    log: AuditLog, path: Path, tamper: Callable[[Path], None], refusal: str
) -> None:
    """A log that is removed, exchanged, cut or added to is noticed at the next record, and requests fail."""
    await succeed(log)
    original = path.read_bytes()
    tamper(path)
    with pytest.raises(AuditUnavailableError, match=refusal):
        await succeed(log)
    assert log.condition.startswith("failing: ")
    path.unlink(missing_ok=True)
    path.with_suffix(".moved").unlink(missing_ok=True)
    path.write_bytes(original)
    with pytest.raises(AuditUnavailableError):
        await succeed(log)


async def test_an_endless_record(log: AuditLog, path: Path) -> None:
    """A record longer than a line may be is refused, and the log goes on."""
    with pytest.raises(AuditUnavailableError, match="too long"):
        async with log.entry(ALICE, "Encrypt", "request", "unix") as entry:
            entry.request_parameters = {"x": "y" * (4 * 1024 * 1024)}
    await succeed(log)
    assert verify(path).records == 1


async def test_the_head_file_is_kept_up(log: AuditLog, path: Path) -> None:
    """While the log runs its head file is at most an interval behind."""
    for _ in range(8):
        async with trio.open_nursery() as nursery:
            for _ in range(HEAD_INTERVAL // 4):
                nursery.start_soon(succeed, log)
    assert verify(path).records == 2 * HEAD_INTERVAL
    assert json.loads(path.with_suffix(".head").read_bytes())["sequence"] > HEAD_INTERVAL


def test_one_agent_only(path: Path) -> None:
    """A second agent on the same log is refused."""
    journal = open_journal(path)
    with pytest.raises(AuditUnavailableError, match="in use by another"):
        open_journal(path)
    journal.close()
    open_journal(path).close()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """A symbolic link planted in the log's place is refused."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailableError, match="cannot be opened"):
        open_journal(path)
    assert not (tmp_path / "elsewhere").exists()


async def fail(log: AuditLog, error: Exception) -> AuditEntry:
    """Record a request that fails."""
    async with log.entry(ALICE, "Decrypt", "request", "unix"):
        raise error
