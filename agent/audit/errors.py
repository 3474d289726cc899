"""Owns the errors of the audit log. Knows nothing of who prints them."""


class AuditUnavailableError(Exception):
    """A record cannot be made durable, so its request must fail; the message says why and what to do next."""


class AuditVerificationError(Exception):
    """The audit log is not what the agent wrote.

    Args:
        line_number: the first line that is wrong, counted from 1; None if it is not a line.
        reason: what is wrong with it.
    """

    def __init__(self, line_number: int | None, reason: str) -> None:
        super().__init__(reason if line_number is None else f"line {line_number}: {reason}")
        self.line_number = line_number
        self.reason = reason
