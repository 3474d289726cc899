"""Owns the audit log of a running agent: entries, and group commit off the event loop.

Records that arrive while one batch is being made durable form the next batch, so one fdatasync carries as
many records as there are requests waiting. Knows nothing of operations or of how the file is laid out.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import trio

from agent.api.errors import ServiceError
from agent.audit.chain import MAX_LINE_BYTES
from agent.audit.entry import AuditEntry
from agent.audit.errors import AuditUnavailableError
from agent.audit.journal import Journal
from agent.keys.principal import Principal

_CHAIN_BYTES: Final = 256  # room for the chain's member in a line
_MAX_RECORD_BYTES: Final = MAX_LINE_BYTES - _CHAIN_BYTES
_CLOSED: Final = "The audit log is closed: the agent is stopping. Try again once it runs."


class _Batch:
    """Records that become durable together."""

    __slots__ = ("done", "failure", "records")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.done = trio.Event()
        self.failure: str | None = None


class AuditLog:
    """An open audit log. `run` must be running in a nursery that outlives every entry.

    Args:
        journal: the open log file; the audit log closes it.
        region: the Region that records name.
        account_id: the account that records name.
        now: the clock, seconds since the epoch.
    """

    def __init__(self, journal: Journal, region: str, account_id: str, now: Callable[[], float]) -> None:
        self._journal = journal
        self._region = region
        self._account_id = account_id
        self._now = now
        self._batch = _Batch()
        self._wake = trio.Event()
        self._running = False
        self._open_entries = 0
        # A thread of its own: slow operations must not keep the log waiting for one.
        self._thread = trio.CapacityLimiter(1)

    @classmethod
    def open(cls, path: Path, *, region: str, account_id: str, now: Callable[[], float] = time.time) -> Self:
        """Open or create the log at `path` and take up its chain.

        Raises:
            AuditUnavailableError: it cannot be opened, is in use, or is not what the agent left.
        """
        return cls(Journal.open(path), region, account_id, now)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit batches until cancelled, then those of the entries still open, and close the log.

        Raises:
            AuditUnavailableError: the head file could not be written at the end.
        """
        self._running = True
        task_status.started()
        try:
            while True:
                await self._commit_next()
        finally:
            with trio.CancelScope(shield=True):
                await self._finish()

    async def append(self, record: Mapping[str, object]) -> None:
        """Append a record; it is durable when this returns. Cancelling the wait does not take it back.

        Raises:
            AuditUnavailableError: it is not durable; the request it belongs to must fail.
        """
        content = msgspec.json.encode(record)
        if len(content) > _MAX_RECORD_BYTES:
            raise AuditUnavailableError("The audit record would be too long; send a shorter request.")
        if not self._running:
            raise AuditUnavailableError(_CLOSED)
        batch = self._batch
        batch.records.append(content)
        self._wake.set()
        await batch.done.wait()
        if batch.failure is not None:
            raise AuditUnavailableError(batch.failure)

    def entry(
        self, principal: Principal | None, operation_name: str, request_id: str, source: str
    ) -> "EntryContext":
        """Return a context whose entry is durable on exit, with the outcome, on errors too.

        A `principal` of None makes it an event of the service itself.
        """
        return EntryContext(
            self,
            AuditEntry(
                principal=principal,
                event_name=operation_name,
                request_id=request_id,
                event_id=str(uuid.uuid4()),
                event_time=self._now(),
                source=source,
                region=self._region,
                account_id=self._account_id,
            ),
        )

    def begin_entry(self) -> None:
        """Count an entry in, so that `run` waits for it.

        Raises:
            AuditUnavailableError: the log is closed, so nothing may begin.
        """
        if not self._running:
            raise AuditUnavailableError(_CLOSED)
        self._open_entries += 1

    def end_entry(self) -> None:
        """Count an entry out."""
        self._open_entries -= 1
        self._wake.set()

    async def _finish(self) -> None:
        """Wait for the entries still open, then close."""
        try:
            while self._open_entries or self._batch.records:
                await self._commit_next()
        finally:
            self._running = False
            self._batch.failure = _CLOSED
            self._batch.done.set()
            await trio.to_thread.run_sync(self._journal.close, limiter=self._thread)

    async def _commit_next(self) -> None:
        """Wait for something to do, then make the waiting batch durable, which nothing interrupts."""
        await self._wake.wait()
        self._wake = trio.Event()
        if not self._batch.records:
            return
        batch, self._batch = self._batch, _Batch()
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(self._journal.write, batch.records, limiter=self._thread)
            except AuditUnavailableError as error:
                batch.failure = str(error)
            except BaseException:
                batch.failure = "The audit log failed unexpectedly; see the agent's own log."
                raise
            finally:
                batch.done.set()


class EntryContext:
    """The life of one entry: begun before its request does anything, durable before its answer leaves."""

    __slots__ = ("_entry", "_log")

    def __init__(self, log: AuditLog, entry: AuditEntry) -> None:
        self._log = log
        self._entry = entry

    async def __aenter__(self) -> AuditEntry:
        self._log.begin_entry()
        return self._entry

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception is not None:
            _record_failure(self._entry, exception)
        try:
            with trio.CancelScope(shield=True):
                await self._log.append(self._entry.to_record())
        finally:
            self._log.end_entry()


def _record_failure(entry: AuditEntry, exception: BaseException) -> None:
    """Say how a request failed; of our own bugs only that there was one, for their text may hold anything."""
    if isinstance(exception, ServiceError):
        entry.error_code = exception.code
        entry.error_message = exception.message or None
    elif isinstance(exception, trio.Cancelled):
        entry.error_code = "RequestCanceled"
        entry.error_message = "The caller went away, or the agent stopped, before there was an answer."
    else:
        entry.error_code = "KMSInternalException"
