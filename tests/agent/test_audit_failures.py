"""When the log cannot be written: nothing is answered, nothing begins, it is said once, and it recovers."""

import json
import logging
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from agent.audit.errors import AuditUnavailableError
from agent.audit.layout import digest_paths, sealed_paths
from agent.audit.log import AuditLog
from agent.audit.reserve import RESERVE_BYTES
from agent.audit.verify import verify
from auditlogs import TIME, open_log
from samples import ALICE, a_key

TMPFS_BYTES = 16 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    mountpoint = tmp_path / "small"
    mountpoint.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", "-l", mountpoint], check=True)


@asynccontextmanager
async def running(log: AuditLog) -> AsyncIterator[AuditLog]:
    """Run a log for as long as the block runs."""
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        yield log
        nursery.cancel_scope.cancel()


def fill(disk: Path) -> Path:
    """Take all the room that is left, and return the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


async def succeed(log: AuditLog, name: str = "DescribeKey") -> None:
    """Record a request that goes well."""
    async with log.entry(ALICE, name, "request", "unix") as entry:
        entry.add_resource(a_key().arn)


async def until_refused(log: AuditLog) -> int:
    """Record until the log refuses; return how often it went well."""
    for count in range(100_000):
        try:
            async with log.entry(ALICE, "DescribeKey", "request", "unix") as entry:
                entry.request_parameters = {"filler": "x" * 65_536}
        except AuditUnavailableError:
            return count
    raise AssertionError("the disk was never full")


async def test_a_full_disk(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk requests are refused before they begin, it is said once, and space is all it needs."""
    path = small_disk / "log" / "audit.jsonl"
    async with running(open_log(path)) as log:
        await succeed(log)
        ballast = fill(small_disk)
        written = await until_refused(log)
        begun = False
        for _ in range(5):
            with pytest.raises(AuditUnavailableError, match="No space left"):
                async with log.entry(ALICE, "CreateKey", "request", "unix"):
                    begun = True
        assert not begun
        assert log.condition.startswith("failing: ")
        assert "No space left" in log.condition
        assert [record.levelno for record in caplog.records if "audit" in record.message] == [logging.ERROR]
        ballast.unlink()
        await succeed(log)
        assert log.condition == "writing"
        assert "writing again" in caplog.text
        report = verify(path)
    assert report.whole
    assert report.records == written + 2


async def test_what_runs_when_the_disk_becomes_full_is_recorded(small_disk: Path) -> None:
    """Room was taken ahead, so changes that are being made find their records' place."""
    path = small_disk / "log" / "audit.jsonl"
    async with running(open_log(path)) as log, AsyncExitStack() as open_entries:
        await succeed(log)
        for number in range(64):
            entry = await open_entries.enter_async_context(
                log.entry(ALICE, "CreateKey", f"r{number}", "unix")
            )
            entry.request_parameters = {"policy": "x" * (RESERVE_BYTES // 128)}
        ballast = fill(small_disk)
        await open_entries.aclose()
        assert verify(path).records == 65
        ballast.unlink()


@contextmanager
def limited(size_bytes: int) -> Iterator[None]:
    """Let no file become longer than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_change_without_a_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A change whose record fails is told as made, is in the agent's log, and is recorded once it can be."""
    path = tmp_path / "audit.jsonl"
    async with running(open_log(path)) as log:
        await succeed(log)
        size = path.stat().st_size
        async with trio.open_nursery() as nursery:
            begun = trio.Event()
            with limited(size + 100):
                nursery.start_soon(read_meanwhile, log, begun)
                await begun.wait()
                with pytest.raises(AuditUnavailableError, match="CreateKey took effect"):
                    await succeed(log, "CreateKey")
                assert path.stat().st_size == size
        assert "not recorded: CreateKey, request request, took effect" in caplog.text
        assert not verify(path).problems
        await succeed(log, "GenerateDataKey")
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [record["eventName"] for record in records] == ["DescribeKey", "CreateKey", "GenerateDataKey"]
    assert records[1]["addendum"] == {"reason": "DELIVERY_DELAY"}
    assert verify(path).whole


async def read_meanwhile(log: AuditLog, begun: trio.Event) -> None:
    """Try to record a read in the same batch; a read that fails is owed nothing."""
    begun.set()
    with pytest.raises(AuditUnavailableError, match="cannot be written"):
        await succeed(log, "Decrypt")


async def test_a_failed_sync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync nothing is called durable any more, even if the next one would succeed."""
    log = open_log(tmp_path / "audit.jsonl")

    def failing(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    async def spoil() -> None:
        async with running(log):
            await succeed(log)
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", failing)
                with pytest.raises(AuditUnavailableError, match="could not be made durable"):
                    await succeed(log)
            with pytest.raises(AuditUnavailableError, match="restart the agent"):
                await succeed(log)

    with pytest.raises(ExceptionGroup) as caught:
        await spoil()
    assert caught.group_contains(AuditUnavailableError, match="restart the agent")


@pytest.mark.parametrize("move", [lambda path, to: path.rename(to), lambda path, to: to.hardlink_to(path)])
async def test_a_file_that_comes_back(tmp_path: Path, move: Callable[[Path, Path], object]) -> None:
    """A log that was moved away by mistake and back again goes on: it is the same file, and as long."""
    path, away = tmp_path / "audit.jsonl", tmp_path / "away"
    async with running(open_log(path)) as log:
        await succeed(log)
        move(path, away)
        path.unlink(missing_ok=True)
        with pytest.raises(AuditUnavailableError, match="is gone"):
            await succeed(log)
        with pytest.raises(AuditUnavailableError, match="is gone"):
            await succeed(log)
        away.rename(path)
        await succeed(log)
    assert verify(path).records == 2


def make_immutable(path: Path, *, immutable: bool) -> bool:
    """Set or clear a file's immutable attribute; tell whether that could be done."""
    command = ["chattr", "+i" if immutable else "-i", path]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def immutable_directory(tmp_path: Path) -> Path:
    """A directory in which files can be made immutable."""
    probe = tmp_path / "probe"
    probe.touch()
    with probe.open("wb", buffering=0) as file:
        try:
            if make_immutable(probe, immutable=True):
                # tmpfs has the attribute, and writes all the same through what was open before.
                file.write(b"probe")
                pytest.skip("on this filesystem, files that were made immutable are written to")
            pytest.skip("this filesystem has no immutable files, or this user may not make them")
        except PermissionError:
            return tmp_path
        finally:
            make_immutable(probe, immutable=False)


async def test_a_log_that_may_not_be_written(immutable_directory: Path) -> None:
    """A log that becomes immutable fails requests, and goes on when it is no longer."""
    path = immutable_directory / "audit.jsonl"
    async with running(open_log(path)) as log:
        await succeed(log)
        make_immutable(path, immutable=True)
        try:
            for _ in range(3):
                with pytest.raises(AuditUnavailableError, match="not permitted"):
                    await succeed(log)
        finally:
            make_immutable(path, immutable=False)
        await succeed(log)
    assert verify(path).records == 2


async def test_a_digest_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records go on without it, it is said once, and the next one that can be written covers both hours."""
    path, time = tmp_path / "audit.jsonl", [TIME]
    async with running(open_log(path, lambda: time[0])) as log:
        await succeed(log)
        blocked = path.parent / "digests" / "audit-00000002-20270115T090000Z.json"
        blocked.mkdir()
        time[0] += 3600
        for _ in range(3):
            await succeed(log)
        assert log.condition.startswith("writing, but a digest waits: ")
        assert caplog.text.count("a digest is due") == 1
        blocked.rmdir()
        time[0] += 3600
        log._seal_again = 0
        await succeed(log)
        await until(lambda: log.condition == "writing")
    assert len(sealed_paths(path)) == 1
    assert len(digest_paths(path)) == 2
    assert verify(path).whole


async def until(reached: Callable[[], bool]) -> None:
    """Wait for something that the log does by itself."""
    with trio.fail_after(30):
        while not reached():  # noqa: ASYNC110 -- the log tells nobody
            await trio.sleep(0.01)


async def test_digests_are_written_without_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour in which nothing happens has its digest, too."""
    monkeypatch.setattr("agent.audit.log._TICK_SECONDS", 0.01)
    path, time = tmp_path / "audit.jsonl", [TIME + 60]
    async with running(open_log(path, lambda: time[0])):
        for hour in range(1, 4):
            time[0] = TIME + 3600 * hour + 0.5
            await until(lambda: len(digest_paths(path)) == hour + 1)  # noqa: B023 -- it is awaited here
    ends = [json.loads(digest.read_bytes())["digestEndTime"][11:] for digest in digest_paths(path)]
    assert ends == ["08:01:00Z", "09:00:00Z", "10:00:00Z", "11:00:00Z"]
    assert sealed_paths(path) == []
