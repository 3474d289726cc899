"""Owns the audit log of a running agent: group commit off the event loop, and what happens when it fails.

Records that arrive while one batch is being made durable form the next batch, so one fdatasync carries as
many records as there are requests waiting. Knows nothing of operations or of how the files are laid out.

While the log cannot be written nothing begins: a request is refused before it does anything. What was already
running when it broke gets KMSInternalException; records of changes that had been made by then are owed, and
are written first once the log works again.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec
import trio

from agent.audit import usage as usages
from agent.audit.chain import GENESIS, MAX_LINE_BYTES
from agent.audit.context import EntryContext
from agent.audit.entry import AuditEntry
from agent.audit.errors import AuditUnavailableError
from agent.audit.health import Health
from agent.audit.journal import HOUR_SECONDS, Journal
from agent.audit.usage import UsageIndex
from agent.crypto.digestkey import DigestKey
from agent.ids import new_id
from agent.keys.principal import Principal

_LOG: Final = logging.getLogger(__name__)

DIGEST_LABEL: Final = b"kms-agent audit digest 1"
"""What the private key of digests is derived from the root key with."""

_CHAIN_BYTES: Final = 512  # room in a line for the chain's member and for an addendum
_MAX_RECORD_BYTES: Final = MAX_LINE_BYTES - _CHAIN_BYTES
_CLOSED: Final = "The audit log is closed: the agent is stopping. Try again once it runs."
_UNFORESEEN: Final = "The audit log failed unexpectedly; see the agent's own log."
_TICK_SECONDS: Final = 60  # the longest that a digest is late after the clock was set
# CloudTrail's word for events that come later than they should ("addendum" in its record contents).
_LATE: Final = b',"addendum":{"reason":"DELIVERY_DELAY"}}'


class _Batch:
    """Records that become durable together, the entries they are of, and the tasks that wait for it."""

    __slots__ = ("_waiting", "entries", "failure", "records")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.entries: list[AuditEntry] = []
        self.failure: str | None = None
        self._waiting: list[trio.lowlevel.Task] = []

    async def wait(self) -> None:
        """Wait until the batch is done, which nothing interrupts.

        An event behind a shield says the same, and takes longer; every request comes by here.
        """
        self._waiting.append(trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(_never_abort)

    def finish(self) -> None:
        """Let everybody go on who waits."""
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            trio.lowlevel.reschedule(task)


def _never_abort(_raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class AuditLog:
    """An open audit log. `run` must be running in a nursery that outlives every entry.

    Args:
        path: where it lies.
        journal: the open log; the audit log closes it.
        key: what digests and checkpoints are signed with.
        usage: the index of last uses as of the journal's end.
        region: the Region that records name unless their entry says another.
        account_id: the account that records name.
        now: the clock, seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        journal: Journal,
        key: DigestKey,
        usage: UsageIndex,
        region: str,
        account_id: str,
        now: Callable[[], float],
    ) -> None:
        self.usage = usage
        self._path = path
        self._journal = journal
        self._key = key
        self._region = region
        self._account_id = account_id
        self._now = now
        self._health = Health()
        self._batch = _Batch()
        self._owed: list[bytes] = []
        self._wake = trio.Event()
        self._seal_again = 0.0
        self._running = False
        self._finishing = False
        self._open_entries = 0
        # A thread of its own: slow operations must not keep the log waiting for one.
        self._thread = trio.CapacityLimiter(1)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        digest_seed: bytes,
        region: str,
        account_id: str,
        now: Callable[[], float] = time.time,
    ) -> Self:
        """Open or create the log at `path` and take up its chain.

        Args:
            path: the file that is written; the others lie beside it.
            digest_seed: 32 bytes, the private key of digests.
            region: the Region that records name.
            account_id: the account that records name.
            now: the clock.

        Raises:
            AuditUnavailableError: it cannot be opened, is in use, or is not what the agent left.
        """
        key = DigestKey(digest_seed)
        journal = Journal.open(path, key=key, account_id=account_id, now=now())
        try:
            usage = usages.rebuild(path, key.public_key, journal.end, now())
        except OSError as error:
            journal.close()
            raise AuditUnavailableError(f"{path} cannot be read: {error.strerror}.") from error
        if journal.end == GENESIS:
            # Expected once in an agent's life: whoever removed a log should at least be heard of.
            _LOG.info("audit: a log begins at %s; none was there", path)
        return cls(path, journal, key, usage, region, account_id, now)

    @property
    def condition(self) -> str:
        """How the log is, for people: `writing`, or `failing: ` and the cause."""
        return self._health.text

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit batches and write digests until cancelled, then finish the entries still open, and close.

        Raises:
            AuditUnavailableError: the log could not be closed as it should.
        """
        self._running = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick)
                task_status.started()
                while True:
                    await self._commit_next()
                    await self._seal_if_due()
        finally:
            with trio.CancelScope(shield=True):
                await self._finish()

    def entry(
        self,
        principal: Principal | None,
        operation_name: str,
        request_id: str,
        source: str,
        region: str | None = None,
    ) -> EntryContext:
        """Return a context whose entry is durable on exit, with the outcome, on errors too.

        A `principal` of None makes it an event of the service itself.
        """
        return EntryContext(
            self,
            AuditEntry(
                principal=principal,
                event_name=operation_name,
                request_id=request_id,
                event_id=new_id(),
                event_time=self._now(),
                source=source,
                region=region or self._region,
                account_id=self._account_id,
            ),
        )

    async def begin_entry(self) -> None:
        """Count an entry in, so that `run` waits for it.

        Raises:
            AuditUnavailableError: the log is closed or cannot be written, so nothing may begin.
        """
        if not self._running:
            raise AuditUnavailableError(_CLOSED)
        self._open_entries += 1
        if self._health.records is not None:
            try:
                await self._recover()
            except AuditUnavailableError:
                self.end_entry()
                raise

    def end_entry(self) -> None:
        """Count an entry out."""
        self._open_entries -= 1
        if self._finishing:
            self._wake.set()

    async def append(self, entry: AuditEntry) -> None:
        """Append an entry's record; durable when this returns. The wait for it cannot be cancelled.

        Raises:
            AuditUnavailableError: it is not durable; the request it belongs to must fail.
        """
        record = msgspec.json.encode(entry.to_record())
        if len(record) > _MAX_RECORD_BYTES:
            raise AuditUnavailableError("The audit record would be too long; send a shorter request.")
        if not self._running:
            raise AuditUnavailableError(_CLOSED)
        batch = self._batch
        batch.records.append(record)
        batch.entries.append(entry)
        self._wake.set()
        await batch.wait()
        if batch.failure is not None:
            raise AuditUnavailableError(batch.failure)

    async def _tick(self) -> None:
        """Wake the log at each full hour, for its digest, and more often in case the clock was set."""
        while True:
            if self._health.records is not None:
                with contextlib.suppress(AuditUnavailableError):
                    await self._recover()
            self._wake.set()
            await trio.sleep(min(_TICK_SECONDS, HOUR_SECONDS - self._now() % HOUR_SECONDS))

    async def _recover(self) -> None:
        """See whether a log that failed can be written again.

        Raises:
            AuditUnavailableError: it cannot.
        """
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(self._revive, limiter=self._thread)
            except AuditUnavailableError as error:
                self._health.report_records(str(error))
                raise
            self._health.report_records(None)

    async def _finish(self) -> None:
        """Wait for the entries still open, then close."""
        self._finishing = True
        try:
            while self._open_entries or self._batch.records:
                await self._commit_next()
        finally:
            self._running = False
            self._batch.failure = _CLOSED
            self._batch.finish()
            await trio.to_thread.run_sync(self._close, limiter=self._thread)

    async def _commit_next(self) -> None:
        """Wait for something to do, then make the waiting batch durable, which nothing interrupts."""
        await self._wake.wait()
        self._wake = trio.Event()
        if not self._batch.records:
            return
        batch, self._batch = self._batch, _Batch()
        with trio.CancelScope(shield=True):
            try:
                shortage = await trio.to_thread.run_sync(self._commit, batch.records, limiter=self._thread)
            except AuditUnavailableError as error:
                batch.failure = str(error)
                self._health.report_records(batch.failure)
                self._owe(batch)
            except BaseException:
                batch.failure = _UNFORESEEN
                self._health.report_records(batch.failure)
                raise
            else:
                self._health.report_records(shortage)
                self._note_uses(batch)
            finally:
                batch.finish()

    def _commit(self, records: list[bytes]) -> str | None:
        """Make records durable; return why those to come might not be."""
        self._write(records)
        try:
            self._journal.make_ready()
        except AuditUnavailableError as error:
            return str(error)
        return None

    def _revive(self) -> None:
        """See whether the log can be written again, and write what it owes."""
        self._journal.make_ready()
        self._write([])

    def _write(self, records: list[bytes]) -> None:
        """Write what is owed, then records."""
        owed = list(self._owed)
        if owed or records:
            self._journal.write([*owed, *records])
            # Not clear(): others may have been added meanwhile.
            del self._owed[: len(owed)]

    def _owe(self, batch: _Batch) -> None:
        """Remember the records of changes that were made."""
        for entry, record in zip(batch.entries, batch.records, strict=True):
            if entry.is_change:
                self._owed.append(record[:-1] + _LATE)

    def _note_uses(self, batch: _Batch) -> None:
        for entry in batch.entries:
            if entry.error_code is None:
                self.usage.note(
                    entry.event_name, entry.resources, entry.event_time, entry.event_id, entry.request_id
                )

    async def _seal_if_due(self) -> None:
        """Write a digest if it is time; one that fails is tried again a minute later."""
        now = self._now()
        if not self._journal.is_due(now) or trio.current_time() < self._seal_again:
            return
        usage = self.usage.copy()
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(self._seal, now, usage, limiter=self._thread)
            except AuditUnavailableError as error:
                self._seal_again = trio.current_time() + _TICK_SECONDS
                self._health.report_digests(str(error))
            else:
                self._health.report_digests(None)

    def _seal(self, now: float, usage: UsageIndex) -> None:
        self._journal.seal(now)
        self._write_checkpoint(usage)

    def _close(self) -> None:
        try:
            self._write([])
            self._write_checkpoint(self.usage)
        finally:
            self._journal.close()

    def _write_checkpoint(self, usage: UsageIndex) -> None:
        """Keep the last uses; without them the next start has more to read, and nothing is lost."""
        try:
            usages.write_checkpoint(self._path, usage.checkpoint(self._journal.end, self._key))
        except OSError as error:
            _LOG.warning("audit: the last uses are not kept apart from the log: %s", error.strerror)
