"""Owns how long requests wait for a key management service that does not answer.

A service that restarts is waited for; from when on it has been silent is counted once for all requests. So
the first of them wait, and later ones are refused after one attempt until it answers again. Runs in worker
threads. Knows nothing of keys.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from agent.client import AgentError
from kmsfs.errors import KeyUnavailableError
from kmsfs.kms import is_passing

# How long requests wait for a service that is silent, counted from its first silence.
WAIT_SECONDS: Final = 10

_FIRST_PAUSE_SECONDS: Final = 0.02
_MAX_PAUSE_SECONDS: Final = 0.5
_LOG: Final = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Patience:
    """The patience of one open volume with its service; threads share it.

    Args:
        wait_seconds: how long a silence is borne.
    """

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._silent_since: float | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Return what `question` returns, asking again while the service is silent.

        Raises:
            KeyUnavailableError: it refused, or was silent for too long.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            try:
                answer = question()
            except KeyUnavailableError as error:
                if not is_passing(error):
                    self._heard()
                    raise
                reason: Exception = error
            except AgentError as error:
                reason = error
            else:
                self._heard()
                return answer
            if self._closed.is_set() or self._is_over(reason, began) or self._closed.wait(pause):
                raise KeyUnavailableError(str(reason)) from reason
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed.set()

    def _heard(self) -> None:
        if self._silent_since is not None:
            with self._lock:
                was_silent, self._silent_since = self._silent_since is not None, None
            if was_silent:
                _LOG.info("the key management service answers again")

    def _is_over(self, reason: Exception, began: float) -> bool:
        """Say whether a silence that an attempt has met, which began then, has been borne for long enough."""
        with self._lock:
            is_first = self._silent_since is None
            since = self._silent_since = began if self._silent_since is None else self._silent_since
        if is_first:
            _LOG.warning("the key management service does not answer: %s", reason)
        return time.monotonic() - since >= self._wait_seconds
