"""Owns the table's row of ReportIntegrityFailure."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import AGENT_SERVICE, KEY, Operation
from agent.api.shapes.base import Empty
from agent.api.shapes.integrity import ReportIntegrityFailureRequest

REPORT_INTEGRITY_FAILURE: Final = Operation(
    "ReportIntegrityFailure",
    ReportIntegrityFailureRequest,
    Empty,
    # Whoever may read what is stored under a key may say that it is damaged: there is nothing more to permit.
    "kms:Decrypt",
    (*KEY, errors.InvalidGrantTokenException),
    service=AGENT_SERVICE,
)
