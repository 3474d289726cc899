"""Answers to requests whose caller could not be made out, and their record.

CloudTrail has no such records. Here there are some, because nobody else watches this port; bounded, so that
strangers cannot fill the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from agent.api.errors import KMSInternalException
from agent.audit.errors import AuditUnavailableError
from agent.endpoint import asked_for, refusal
from agent.keys.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.api.errors import ServiceError
    from agent.audit.log import AuditLog
    from agent.http import Reply, Request

BURST: Final = 20
PER_SECOND: Final = 1.0


class RefusalDesk:
    """Refuses, and records it: ``BURST`` at once, then ``PER_SECOND``. A record tells how many were left out.

    Args:
        audit: Where they are recorded.
        now: A clock that nobody sets, in seconds.
    """

    def __init__(self, audit: AuditLog, now: Callable[[], float] = trio.current_time) -> None:
        self._audit = audit
        self._now = now
        self._room = float(BURST)
        self._counted_at = now()
        self._left_out = 0

    async def refuse(
        self, error: ServiceError, caller: Principal, request: Request, request_id: str, source: str
    ) -> Reply:
        """Return the answer once it is recorded, unless there have been too many to record.

        Args:
            error: What the caller is told.
            caller: What is known of them, see ``unknown_caller``.
            request: What they asked.
            request_id: The request's.
            source: Where it came from.
        """
        if self._has_room():
            try:
                await self._record(error, caller, asked_for(request), request_id, source)
            except AuditUnavailableError as failure:
                return refusal(KMSInternalException(str(failure)), request_id)
        return refusal(error, request_id)

    def _has_room(self) -> bool:
        now = self._now()
        self._room = min(BURST, self._room + (now - self._counted_at) * PER_SECOND)
        self._counted_at = now
        if self._room < 1:
            self._left_out += 1
            return False
        self._room -= 1
        return True

    async def _record(
        self, error: ServiceError, caller: Principal, name: str, request_id: str, source: str
    ) -> None:
        left_out, self._left_out = self._left_out, 0
        async with self._audit.entry(caller, name, request_id, source) as entry:
            entry.error_code = error.code
            entry.error_message = error.message or None
            if left_out:
                entry.additional_event_data = {"refusalsNotRecorded": left_out}


def unknown_caller(*, access_key_id: str | None = None, uid: int | None = None) -> Principal:
    """Return a caller of whom nothing is certain but, on a Unix socket, the uid.

    Args:
        access_key_id: What the caller says to have signed with.
        uid: The user id that the kernel told.
    """
    principal_id = "" if uid is None else f"uid-{uid}"
    return Principal("", "", principal_id, uid, access_key_id=access_key_id)
