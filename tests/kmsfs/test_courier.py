"""Damage told to a real agent's audit log: while it runs, while it is away, and where nobody records it."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from agent.api.errors import UnknownOperationException
from agent.api.operations import CREATE_KEY, DISABLE_KEY, SCHEDULE_KEY_DELETION
from agent.api.shapes.keys import CreateKeyRequest, DisableKeyRequest, ScheduleKeyDeletionRequest
from agent.audit.reading import lines
from agent.client import AgentUnavailableError
from kmsfs import courier
from kmsfs.counters import Counters
from kmsfs.courier import Courier
from kmsfs.errors import CorruptFileError
from kmsfs.inodes import ROOT_INODE, Directory, Inodes
from kmsfs.livedescription import LiveDescription
from kmsfs.reporting import Reports
from kmsfs.volume import Policy, VolumeDescription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agents import RunningAgent
    from kmsfs.kms import Kms

VOLUME_ID = os.urandom(16)
PATIENCE_SECONDS = 60


def damaged(*inodes: int) -> Reports:
    """Return the reports of a mount that has met damaged files."""
    reports = Reports(Inodes(Directory(ROOT_INODE, None, b"")), Counters())
    for inode in inodes:
        reports.report(CorruptFileError(inode, 3, "tag"))
    return reports


def made(kms: Kms, key_arn: str, reports: Reports) -> Courier:
    """Return a courier for a volume under that key."""
    description = VolumeDescription(VOLUME_ID, b"", (Policy(0, key_arn),))
    return Courier(kms, LiveDescription(description, -1, b""), reports)


def key_of(agent: RunningAgent) -> str:
    """Return a new key's ARN."""
    with agent.client() as client:
        return client.call(CREATE_KEY, CreateKeyRequest()).key_metadata.arn or ""


def told(agent: RunningAgent) -> list[dict[str, Any]]:
    """Return the records of reports."""
    found = (json.loads(line) for line in lines(agent.audit_path))
    return [record for record in found if record["eventName"] == "ReportIntegrityFailure"]


@asynccontextmanager
async def running(made: Courier) -> AsyncIterator[None]:
    """Let a courier run in the background."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come true."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another process
            await trio.sleep(0.01)


async def test_what_is_damaged_is_recorded(running_agent: RunningAgent) -> None:
    """Each failure is one record: the key, the volume, the path on the store, what of it, and when."""
    reports = damaged(7, 8, 7)
    arn = key_of(running_agent)
    with running_agent.client() as client:
        one = made(client, arn, reports)
        async with running(one):
            await until(lambda: not reports.untold)
            reports.report(CorruptFileError(9, None, "truncated"))
            await until(lambda: one.recorded == 3)
    records = told(running_agent)
    assert [record["additionalEventData"]["path"] for record in records] == ["inode 7", "inode 8", "inode 9"]
    assert records[0]["resources"][0]["ARN"] == arn
    data = records[0]["additionalEventData"]
    assert (data["volume"], data["kind"], data["detail"]) == (VOLUME_ID.hex(), "content", "chunk 3: tag")
    assert one.summary() == {"state": courier.RECORDED, "recorded": 3, "refused": 0}


async def test_the_agent_is_away(running_agent: RunningAgent) -> None:
    """What cannot be told is kept, and told once when the agent is back."""
    reports = damaged(7)
    arn = key_of(running_agent)
    running_agent.stop()
    with running_agent.client() as client:
        one = made(client, arn, reports)
        async with running(one):
            await until(lambda: one.state.startswith("waiting"))
            assert len(reports.untold) == 1
            await trio.to_thread.run_sync(running_agent.start)
            await until(lambda: not reports.untold)
    assert len(told(running_agent)) == 1


async def test_the_end_of_a_mount(running_agent: RunningAgent) -> None:
    """What is left when a mount ends is told then; with the agent away it is given up, and at once."""
    reports = damaged(*range(50))
    arn = key_of(running_agent)
    with running_agent.client() as client:
        one = made(client, arn, reports)
        await one.finish()
        assert (one.recorded, len(reports.untold), len(told(running_agent))) == (50, 0, 50)
        running_agent.stop()
        reports.report(CorruptFileError(99, None, "truncated"))
        await one.finish()
        assert len(reports.untold) == 1


async def test_more_than_may_be_told_at_once(running_agent: RunningAgent) -> None:
    """Beyond the agent's rate, what is left waits."""
    reports = damaged(*range(150))
    with running_agent.client() as client:
        one = made(client, key_of(running_agent), reports)
        await one.finish()
    assert one.recorded >= 100
    assert one.recorded + len(reports.untold) == 150
    assert "ThrottlingException" in one.state


async def test_refused(running_agent: RunningAgent) -> None:
    """A key that is gone keeps nothing: what is refused is counted, and not tried for ever."""
    reports = damaged(7, 8)
    arn = key_of(running_agent)
    with running_agent.client() as client:
        client.call(DISABLE_KEY, DisableKeyRequest(key_id=arn))
        client.call(SCHEDULE_KEY_DELETION, ScheduleKeyDeletionRequest(key_id=arn))
        one = made(client, arn, reports)
        await one.finish()
        assert one.recorded == 2
        reports.report(CorruptFileError(9, None, "truncated"))
        gone = made(client, arn[:-12] + "0" * 12, reports)
        await gone.finish()
    assert (gone.refused, len(reports.untold)) == (1, 0)
    assert gone.state.startswith("refused: NotFoundException")


class WithoutAudit:
    """A service that answers as AWS KMS does to what it does not know."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, _operation: object, _request: object) -> NoReturn:
        """Refuse."""
        self.asked += 1
        raise UnknownOperationException("")


async def test_a_service_that_records_none() -> None:
    """It is asked once; from then on damage is in the mount's own log only."""
    service, reports = WithoutAudit(), damaged(7, 8, 9)
    one = made(service, "arn:aws:kms:eu-west-1:111122223333:key/k", reports)
    async with running(one):
        await until(lambda: not reports.untold)
    assert (service.asked, one.recorded, one.state) == (1, 0, courier.LOGGED)


async def test_a_volume_without_a_kms_key() -> None:
    """Nobody keeps an audit log of a customer's key: there is nobody to tell."""
    service, reports = WithoutAudit(), damaged(7)
    one = made(service, "", reports)
    await one.finish()
    assert (service.asked, len(reports.untold), one.state) == (0, 0, courier.LOGGED)


class Away:
    """A service that nobody can reach."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, _operation: object, _request: object) -> NoReturn:
        """Fail."""
        self.asked += 1
        raise AgentUnavailableError("unix:///nowhere", "nobody is there")


async def test_the_end_does_not_wait_for_the_same_twice() -> None:
    """An agent that was away a moment ago does not hold the end of a mount up once more."""
    service, reports = Away(), damaged(7)
    one = made(service, "arn:aws:kms:local:000000000000:key/k", reports)
    async with running(one):
        await until(lambda: one.state.startswith("waiting"))
    await one.finish()
    assert (service.asked, len(reports.untold)) == (1, 1)
