"""Owns answering one request: the table, and the one boundary from errors to the errno that a program sees.

Knows what a handler may return or raise, and nothing of what a request is about; does not wait itself.
"""

import errno
import logging
from functools import partial
from typing import Final, NamedTuple

from kmsfs.errors import KmsfsError, WaitNeededError
from kmsfs.fuse import wire
from kmsfs.fuse.channel import Channel
from kmsfs.fuse.operations import HANDLERS, Operations
from kmsfs.fuse.wire import Opcode, Request
from kmsfs.waiting import Answer, Later

_LOG: Final = logging.getLogger(__name__)
# What the kernel accepts in an answer.
_MAX_ERRNO: Final = 511
# Nobody waits for an answer to these, and there is nothing to be done for them.
_UNANSWERED: Final = frozenset({Opcode.INTERRUPT, Opcode.DESTROY})


class Delayed(NamedTuple):
    """A request whose answer has to be waited for.

    Attributes:
        request: its header.
        later: what to wait for, and what is the answer then.
        asks: whether it waits for the agent, rather than for the store.
    """

    request: Request
    later: Later
    asks: bool = False


class Answering:
    """Answers the requests of one mount.

    Args:
        operations: whose methods the handlers are.
        channel: where answers go.
    """

    def __init__(self, operations: Operations, channel: Channel) -> None:
        self._operations = operations
        self._channel = channel

    def answer(self, message: memoryview) -> Delayed | None:
        """Answer a request at once where that can be done; else return what it waits for."""
        request, body = wire.parse(message)
        handler = HANDLERS.get(request.opcode)
        if handler is None:
            if request.opcode not in _UNANSWERED:
                self._channel.refuse(request.unique, errno.ENOSYS)
            return None
        try:
            answer = handler(self._operations, request, body)
        except WaitNeededError as wait:
            # The buffer is the next request's; this one will be looked at again.
            again = partial(handler, self._operations, request, memoryview(bytes(body)))
            return Delayed(request, Later(wait.work, again), asks=wait.asks_agent)
        except Exception as error:  # noqa: BLE001 - one request must not end the mount
            self._refuse(request, error)
            return None
        return self._tell(request, answer)

    def finish(self, delayed: Delayed) -> Delayed | None:
        """Answer a request that has been waited for; it may have to wait once more."""
        request, later = delayed.request, delayed.later
        try:
            answer = later.finish()
        except WaitNeededError as wait:
            return Delayed(request, Later(wait.work, later.finish), asks=wait.asks_agent)
        except Exception as error:  # noqa: BLE001 - one request must not end the mount
            self._refuse(request, error)
            return None
        return self._tell(request, answer)

    def fail(self, delayed: Delayed, error: Exception) -> None:
        """Answer a request whose wait has failed."""
        self._refuse(delayed.request, error)

    def _tell(self, request: Request, answer: Answer) -> Delayed | None:
        if isinstance(answer, Later):
            return Delayed(request, answer)
        if isinstance(answer, int):
            self._channel.refuse(request.unique, answer)
        elif answer is not None:
            try:
                self._channel.answer(request.unique, answer)
            except OSError as error:
                # Not of a form that the kernel takes. Without any answer the program would wait for ever.
                self._refuse(request, AssertionError(f"the kernel does not take an answer: {error}"))
        return None

    def _refuse(self, request: Request, error: Exception) -> None:
        """Answer with the errno that stands for whatever was raised."""
        number = self._errno(request, error)
        self._channel.refuse(request.unique, number if 0 < number <= _MAX_ERRNO else errno.EIO)

    def _errno(self, request: Request, error: Exception) -> int:
        if isinstance(error, OSError):
            return error.errno or errno.EIO
        if isinstance(error, KmsfsError):
            self._operations.core.reports.report(error, request.nodeid)
            return error.errno
        _LOG.error("request %d failed in a way that nobody foresaw", request.opcode, exc_info=error)
        self._operations.core.volume.counters.unforeseen_errors += 1
        return errno.EIO
