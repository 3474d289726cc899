"""Owns telling the key management service of damage, so that its audit log has it: in the background.

Takes from the reports of a mount what is still to be told, one by one, in a worker thread; while nobody can
be asked, it waits. A service that has no such operation, as AWS KMS, is asked once. Knows nothing of FUSE.
"""

import logging
from math import inf
from typing import Final

import trio

from agent.api.errors import (
    KMSInternalException,
    ServiceError,
    ThrottlingException,
    UnknownOperationException,
)
from agent.api.rows.integrity import REPORT_INTEGRITY_FAILURE
from agent.api.shapes.integrity import ReportIntegrityFailureRequest
from agent.client import AgentError
from kmsfs.kms import Kms, volume_context
from kmsfs.livedescription import LiveDescription
from kmsfs.reporting import Failure, Reports

_LOG: Final = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_LAST_SECONDS: Final = 5.0
_PASSING: Final = (AgentError, ThrottlingException, KMSInternalException)

NOTHING: Final = "nothing to record"
RECORDED: Final = "recorded"
LOGGED: Final = "logged here only: the service records no damage"
WAITING: Final = "waiting: {}"
REFUSED: Final = "refused: {}"


class Courier:
    """Tells one service of the damage on one volume.

    Args:
        kms: the service; None where there is none.
        live: the description of the volume: which key, and which encryption context, it may speak of.
        reports: where damage is noted; what has been told is taken out.

    Attributes:
        recorded: how many failures the audit log has.
        refused: how many it will not have.
        state: how it stands, for people.
    """

    def __init__(self, kms: Kms | None, live: LiveDescription, reports: Reports) -> None:
        self.recorded = 0
        self.refused = 0
        self.state = NOTHING
        self._kms = kms
        self._live = live
        self._reports = reports
        self._is_known = True
        self._failed_at = -inf
        # One thread, and none of those that requests wait for.
        self._thread = trio.CapacityLimiter(1)

    async def run(self) -> None:
        """Tell whatever comes until cancelled; what is on its way then is still told."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            arrived = trio.Event()
            self._reports.raise_when_untold(arrived)
            await arrived.wait()
            if await self._tell_next():
                pause = _FIRST_PAUSE_SECONDS
            else:
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def finish(self) -> None:
        """Tell what is left, at the end of the mount, as far as that goes at once.

        Who could not be asked a moment ago is not asked again: it might take as long to fail.
        """
        untold = self._reports.untold
        if trio.current_time() - self._failed_at > _LAST_SECONDS:
            with trio.move_on_after(_LAST_SECONDS):
                while untold and await self._tell_next():
                    pass
        if untold:
            _LOG.warning(
                "the audit log of the keys lacks %d of the failures above: %s", len(untold), self.state
            )

    def summary(self) -> dict[str, object]:
        """Return what `kmsfs status` shows of it."""
        return {"state": self.state, "recorded": self.recorded, "refused": self.refused}

    async def _tell_next(self) -> bool:
        """Tell the oldest failure and be done with it; False if it has to be tried again later."""
        untold = self._reports.untold
        kms, description = self._kms, self._live.current
        key_arn = description.policies[0].key_arn
        if kms is None or not key_arn or not self._is_known:
            untold.popleft()
            self._note(LOGGED)
            return True
        request = _request(key_arn, description.volume_id, untold[0])
        refusal = await trio.to_thread.run_sync(_told, kms, request, limiter=self._thread)
        if isinstance(refusal, _PASSING):
            self._note(WAITING.format(_reason(refusal)))
            self._failed_at = trio.current_time()
            return False
        untold.popleft()
        if isinstance(refusal, UnknownOperationException):
            self._is_known = False
            self._note(LOGGED)
        elif refusal is not None:
            self.refused += 1
            self._note(REFUSED.format(_reason(refusal)))
        else:
            self.recorded += 1
            self._note(RECORDED)
        return True

    def _note(self, state: str) -> None:
        """Remember how it stands; say so in the log when that has changed."""
        if state != self.state:
            self.state = state
            level = logging.INFO if state in (RECORDED, LOGGED) else logging.WARNING
            _LOG.log(level, "damage in the audit log of the keys: %s", state)


def _request(key_arn: str, volume_id: bytes, failure: Failure) -> ReportIntegrityFailureRequest:
    return ReportIntegrityFailureRequest(
        key_id=key_arn,
        encryption_context=volume_context(volume_id),
        volume=volume_id.hex(),
        path=failure.path,
        kind=failure.kind,
        detail=failure.detail or None,
        observed_at=failure.seen_at,
    )


def _told(kms: Kms, request: ReportIntegrityFailureRequest) -> Exception | None:
    """Have one failure recorded; return why it was not. In a thread."""
    try:
        kms.call(REPORT_INTEGRITY_FAILURE, request)
    except (ServiceError, AgentError) as error:
        return error
    return None


def _reason(error: Exception) -> str:
    return f"{error.code}: {error.message}" if isinstance(error, ServiceError) else str(error)
