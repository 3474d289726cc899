"""A key management service that counts what it is asked, and hands it on to a real agent."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from kmsfs.connect import AgentSource

if TYPE_CHECKING:
    from agent.api.operations import Operation, Request, Response


class Asked:
    """A service, for as long as its agent runs; any thread may call.

    Args:
        url: of the agent.
    """

    def __init__(self, url: str) -> None:
        self.counts: Counter[str] = Counter()
        self._source = AgentSource(url)
        self._lock = threading.Lock()

    def call(self, operation: Operation[Request, Response], request: Request) -> Response:
        """Carry out one operation."""
        with self._lock:
            self.counts[operation.name] += 1
        return self._source.call(operation, request)

    def close(self) -> None:
        """Close the connections, now or when the calls under way are done."""
        self._source.close()
