"""Owns ReportIntegrityFailure: who keeps data under a key tells the audit log that some of it is damaged.

The deed is the record, which the pipeline makes. A report is about a volume that the encryption context
names, so that who may decrypt for one volume only cannot speak for another; and there are so many of them in
a second, so that a whole store that went bad does not crowd out the rest of the log.
"""

from typing import Final

from agent.api.errors import ThrottlingException, ValidationException
from agent.api.rows.integrity import REPORT_INTEGRITY_FAILURE
from agent.api.shapes.base import Empty
from agent.api.shapes.integrity import ReportIntegrityFailureRequest
from agent.audit.layout import timestamp
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import KeyTarget, Target
from agent.throttle import Rate

RATE: Final = Rate(per_second=10, burst=100)
"""How many reports one caller may make of what is stored under one key."""
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999


def check_report(request: ReportIntegrityFailureRequest) -> None:
    """Refuse a report on a volume that the encryption context does not name, or of no time."""
    if request.volume not in request.encryption_context.values():
        raise ValidationException("Volume must be one of the values of EncryptionContext.")
    if request.observed_at is not None and not 0 <= request.observed_at <= _LAST_SECOND:
        raise ValidationException("ObservedAt must be in seconds since the epoch.")


def report_targets(request: ReportIntegrityFailureRequest) -> tuple[Target, ...]:
    """Return the key, which the caller must be allowed to decrypt with in the context that it names."""
    return (KeyTarget(REPORT_INTEGRITY_FAILURE.action, request.key_id),)


def report_integrity_failure(
    kms: Kms, caller: Caller, keys: Keys, _request: ReportIntegrityFailureRequest
) -> Empty:
    """Let a report be recorded, whatever state its key is in, unless too many came before it.

    Raises:
        ThrottlingException: it may be made again a little later.
    """
    (key,) = keys
    if not kms.throttle.take((caller.arn, key.arn, REPORT_INTEGRITY_FAILURE.name), RATE, kms.now()):
        raise ThrottlingException("Rate exceeded")
    return Empty()


def told(request: ReportIntegrityFailureRequest) -> dict[str, object]:
    """Return what the record of a report tells."""
    shown: dict[str, object] = {"volume": request.volume, "path": request.path, "kind": request.kind}
    if request.detail is not None:
        shown["detail"] = request.detail
    if request.observed_at is not None:
        shown["observedAt"] = timestamp(request.observed_at)
    return shown


HANDLERS: Final = (
    handler.Handler(
        REPORT_INTEGRITY_FAILURE, report_targets, report_integrity_failure, check_report, told=told
    ),
)
