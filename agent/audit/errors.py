"""Owns the errors of the audit log. Knows nothing of who prints them."""


class AuditUnavailableError(Exception):
    """A record cannot be made durable, so its request must fail; the message says why and what to do next."""


class AuditVerificationError(Exception):
    """The audit log is not what the agent wrote, or there is nothing to check it with."""
