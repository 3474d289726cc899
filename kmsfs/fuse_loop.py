"""Owns the FUSE session: pyfuse3's start and end, and how its event loop waits for the next request.

pyfuse3 takes its async library from the attribute `pyfuse3.trio`, which its own asyncio support replaces in
the same way. Left alone, it makes four syscalls and two passes of the scheduler between requests; here the
next request is first waited for on the descriptor itself, for up to a millisecond, at first without sleep.
"""

import logging
import os
import select
from collections.abc import Awaitable, Generator
from types import SimpleNamespace, TracebackType
from typing import Final, cast

import pyfuse3
import trio

from kmsfs.core import Core
from kmsfs.operations import Operations

_LOG: Final = logging.getLogger(__name__)
_POLL_MILLISECONDS: Final = 1
# About a quarter of a millisecond. An idle processor sleeps deeply, and waking it costs more than most
# requests do; a program that works on the mount sends its next request sooner than that.
_SPINS: Final = 300
# Signals, timers and other tasks get their turn at least this often.
_REQUESTS_PER_TURN: Final = 256
_MIN_TASKS: Final = 1
_MAX_TASKS: Final = 64


async def serve(operations: Operations, mountpoint: str, options: set[str]) -> None:
    """Mount, answer requests until unmounted, then close what is open.

    Args:
        operations: who answers.
        mountpoint: where, absolute.
        options: libfuse's mount options.

    Raises:
        RuntimeError: libfuse could not mount; it has printed why.
    """
    pyfuse3.trio = _polling(operations.core)  # type: ignore[attr-defined] # its seam for asyncio
    pyfuse3.init(operations, mountpoint, options)
    try:
        await pyfuse3.main(_MIN_TASKS, _MAX_TASKS)
    except* ConnectionAbortedError:
        # Unmounted (or aborted) with requests on their way: the kernel takes those back and says so.
        _LOG.info("the kernel ended the mount with requests outstanding")
    finally:
        operations.close()
        pyfuse3.close(unmount=True)


class _Done:
    """An awaitable that has nothing to wait for: cheaper than a coroutine that returns at once."""

    def __await__(self) -> Generator[None, None, None]:
        # Any iterator will do where nothing is sent into it.
        return cast("Generator[None, None, None]", iter(()))


_DONE: Final = _Done()


class _Turn:
    """A lock without a checkpoint where nobody waits for it: one task at a time waits for the descriptor."""

    def __init__(self) -> None:
        self._held = False
        self._lot = trio.lowlevel.ParkingLot()

    def __aenter__(self) -> Awaitable[None]:
        if self._held:
            return self._wait()
        self._held = True
        return _DONE

    def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        self._held = False
        if self._lot:
            self._lot.unpark()
        return _DONE

    async def _wait(self) -> None:
        while self._held:
            await self._lot.park()
        self._held = True


class _Readiness:
    """Waits for the FUSE descriptor.

    Args:
        core: has work for the time between two requests; and while its worker threads are at work, the
            event loop must hear of their end at once.
    """

    def __init__(self, core: Core) -> None:
        self._waiting = core.waiting
        self._files = core.files
        self._poll = select.poll()
        self._fd = -1
        self._left = 0
        # With one processor, the program that is waited for could not run meanwhile.
        self._spins = _SPINS if len(os.sched_getaffinity(0)) > 1 else 0

    def wait_readable(self, fd: int) -> Awaitable[None]:
        """Return what is over once `fd` has a request (or an error to be read)."""
        if fd != self._fd:
            self._poll.register(fd, select.POLLIN)
            self._fd = fd
        if not self._left:
            return self._after_others(fd)
        # The program is about to wake up from the answer before: time for what need not be in it.
        self._files.prepare()
        if not self._waiting.pending:
            self._left -= 1
            poll = self._poll.poll
            for _ in range(self._spins):
                if poll(0):
                    return _DONE
                os.sched_yield()
            if poll(_POLL_MILLISECONDS):
                return _DONE
        self._left = _REQUESTS_PER_TURN
        return trio.lowlevel.wait_readable(fd)  # noqa: ASYNC105 - the caller awaits it

    async def _after_others(self, fd: int) -> None:
        """Let every other task that can run have its turn, then wait."""
        await trio.lowlevel.checkpoint()
        self._left = _REQUESTS_PER_TURN
        await self.wait_readable(fd)


def _polling(core: Core) -> SimpleNamespace:
    """Return what pyfuse3 uses of trio, with waiting as described above."""
    lowlevel = SimpleNamespace(
        wait_readable=_Readiness(core).wait_readable,
        current_task=trio.lowlevel.current_task,
        current_trio_token=trio.lowlevel.current_trio_token,
        notify_closing=trio.lowlevel.notify_closing,
    )
    return SimpleNamespace(
        Lock=_Turn,
        open_nursery=trio.open_nursery,
        ClosedResourceError=trio.ClosedResourceError,
        lowlevel=lowlevel,
    )
