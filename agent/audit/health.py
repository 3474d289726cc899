"""Owns what is known of the log's condition, and says in the agent's own log when it changes."""

import logging
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_WELL: Final = "writing"


class Health:
    """The condition of the log: whether records can be written, and whether digests can."""

    __slots__ = ("_digests", "records")

    def __init__(self) -> None:
        self.records: str | None = None
        self._digests: str | None = None

    def report_records(self, cause: str | None) -> None:
        """Take in why records cannot be written; None when they can."""
        if cause is not None and self.records is None:
            _LOG.error("audit: failing, so requests are refused: %s", cause)
        elif cause is not None and cause != self.records:
            _LOG.error("audit: still failing: %s", cause)
        elif cause is None and self.records is not None:
            _LOG.warning("audit: writing again; it was failing: %s", self.records)
        self.records = cause

    def report_digests(self, cause: str | None) -> None:
        """Take in why a digest that is due cannot be written; None when it was."""
        if cause is not None and cause != self._digests:
            _LOG.error("audit: a digest is due and waits: %s", cause)
        elif cause is None and self._digests is not None:
            _LOG.warning("audit: digests are written again")
        self._digests = cause

    @property
    def text(self) -> str:
        """The condition in a few words, for `kms-agent status`."""
        if self.records is not None:
            return f"failing: {self.records}"
        if self._digests is not None:
            return f"{_WELL}, but a digest waits: {self._digests}"
        return _WELL
