"""Owns the life of one entry: begun before its request does anything, durable before its answer leaves."""

import logging
from types import TracebackType
from typing import Final, Protocol

import trio

from agent.api.errors import ServiceError
from agent.audit.entry import AuditEntry
from agent.audit.errors import AuditUnavailableError

_LOG: Final = logging.getLogger(__name__)


class Recorder(Protocol):
    """What an entry is recorded in."""

    async def begin_entry(self) -> None:
        """Count an entry in, or refuse it."""

    async def append(self, entry: AuditEntry) -> None:
        """Make an entry durable, whoever cancels the wait for it."""

    def end_entry(self) -> None:
        """Count an entry out."""


class EntryContext:
    """An entry around its request.

    Args:
        log: where it is recorded.
        entry: what is known before the request is looked at.
    """

    __slots__ = ("_entry", "_log")

    def __init__(self, log: Recorder, entry: AuditEntry) -> None:
        self._log = log
        self._entry = entry

    async def __aenter__(self) -> AuditEntry:
        await self._log.begin_entry()
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
            await self._log.append(self._entry)
        except AuditUnavailableError as error:
            if self._entry.is_change:
                entry = self._entry
                _LOG.critical(
                    "audit: not recorded: %s, request %s, took effect on %s",
                    entry.event_name,
                    entry.request_id,
                    ", ".join(entry.resources) or "nothing",
                )
                raise AuditUnavailableError(
                    f"{self._entry.event_name} took effect, but its record could not be written: {error} "
                    "Look at the state of things before you ask again."
                ) from error
            raise
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
