"""Owns a FUSE session: mounted through pyfuse3, served here, a request at a time, until it is unmounted.

The next request is looked out for first, and only then waited for through the event loop, which has other
tasks too.
"""

import errno
import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import pyfuse3
import trio

from kmsfs.core import Core
from kmsfs.fuse import handshake, wire
from kmsfs.fuse.answering import Answering, Delayed
from kmsfs.fuse.channel import Channel, MountEnded
from kmsfs.fuse.lookout import Lookout
from kmsfs.fuse.operations import Operations
from kmsfs.fuse.wire import Opcode

_LOG: Final = logging.getLogger(__name__)
_DEVICE: Final = "/dev/fuse"
# Signals, timers and other tasks get their turn at least this often.
_REQUESTS_PER_TURN: Final = 64
# A mount whose device has many programs waiting for it asks for no more threads than this at once.
_MAX_WAITS: Final = 64
# Apart from those: an agent that is silent must not keep others from the device.
_MAX_QUESTIONS: Final = 16
# So long processors are kept ready for a program that waits for the store.
_KEPT_READY_SECONDS: Final = 0.002


@contextmanager
def mounted(mountpoint: str, options: set[str]) -> Iterator[Channel]:
    """Mount until the body ends.

    Args:
        mountpoint: where, absolute.
        options: libfuse's mount options.

    Raises:
        RuntimeError: libfuse could not mount; it has printed why.
    """
    before = _device_fds()
    pyfuse3.init(pyfuse3.Operations(), mountpoint, options)
    try:
        # libfuse keeps the descriptor to itself.
        (fd,) = _device_fds() - before
        yield Channel(fd)
    finally:
        pyfuse3.close(unmount=True)


class Session:
    """One mount being served.

    Args:
        core: of the volume.
        channel: to the kernel.
        acls: POSIX ACLs are to be kept, and to count.
        polls: look out for requests for a while before sleeping.

    Attributes:
        core: as given.
    """

    def __init__(self, core: Core, channel: Channel, *, acls: bool, polls: bool) -> None:
        self.core = core
        self._channel = channel
        self._acls = acls
        self._waits = 0
        self._forgets = False
        self._limit = trio.CapacityLimiter(_MAX_WAITS)
        self._questions = trio.CapacityLimiter(_MAX_QUESTIONS)
        self._scope = trio.CancelScope()
        self._lookout = Lookout(channel, polls=polls)

    def stop(self) -> None:
        """Serve no longer, though the kernel has not unmounted."""
        self._scope.cancel()

    async def serve(self) -> None:
        """Answer requests until unmounted, then close what is open.

        Raises:
            OSError: EPROTO, the kernel is too old.
        """
        try:
            with self._scope:
                operations = await self._begin()
                async with trio.open_nursery() as nursery:
                    await self._serve(nursery, operations)
        except* MountEnded:
            _LOG.debug("the kernel has ended the mount")
        finally:
            self._lookout.close()
            self.core.close()

    async def _begin(self) -> Operations:
        """Agree with the kernel, whose first request asks for that."""
        while (message := self._channel.receive()) is None:
            await trio.lowlevel.wait_readable(self._channel.fd)
        request, body = wire.parse(message)
        if request.opcode != Opcode.INIT:
            raise OSError(errno.EPROTO, "the kernel's first request is not FUSE_INIT")
        try:
            agreement = handshake.agree(body, acls=self._acls)
        except OSError:
            self._channel.refuse(request.unique, errno.EPROTO)
            raise
        self._channel.answer(request.unique, agreement.answer)
        return Operations(self.core, self._channel, agreement)

    async def _serve(self, nursery: trio.Nursery, operations: Operations) -> None:
        """Answer one request after the other; what has to be waited for, in tasks of their own."""
        answering = Answering(operations, self._channel)
        receive, has_request = self._channel.receive, self._channel.has_request
        answer, prepare = answering.answer, self.core.files.prepare
        lookout = self._lookout
        left = _REQUESTS_PER_TURN
        while True:
            # The program is about to wake up from the answer before: time for what need not be in it.
            prepare()
            if not has_request(0):
                if operations.stale and not self._forgets:
                    nursery.start_soon(self._forget, operations.stale)
                if self._waits or not lookout.comes_soon():
                    await self._sleep()
                    left = _REQUESTS_PER_TURN
            message = receive()
            if message is None:
                continue
            delayed = answer(message)
            if delayed is not None:
                self._waits += 1
                nursery.start_soon(self._wait, answering, delayed)
            left -= 1
            if not left:
                await trio.lowlevel.checkpoint()
                left = _REQUESTS_PER_TURN

    async def _sleep(self) -> None:
        """Wait for the next request, and for what else this loop has to do."""
        fd = self._channel.fd
        if self._lookout.is_ready:
            # A program that waits for the store goes on as soon as it has its answer.
            with trio.move_on_after(_KEPT_READY_SECONDS):
                await trio.lowlevel.wait_readable(fd)
                return
            self._lookout.rest()
        await trio.lowlevel.wait_readable(fd)

    async def _wait(self, answering: Answering, delayed: Delayed | None) -> None:
        """Answer one request once what it waits for is over."""
        try:
            while delayed is not None:
                try:
                    limit = self._questions if delayed.asks else self._limit
                    await trio.to_thread.run_sync(delayed.later.work, limiter=limit)
                except Exception as error:  # noqa: BLE001 - one request must not end the mount
                    answering.fail(delayed, error)
                    return
                delayed = answering.finish(delayed)
        finally:
            self._waits -= 1

    async def _forget(self, stale: deque[tuple[int, bytes]]) -> None:
        """Tell the kernel what to forget: in a thread, for it may wait for an answer of ours."""
        self._forgets = True
        try:
            await trio.to_thread.run_sync(partial(_tell_stale, self._channel, stale), abandon_on_cancel=True)
        finally:
            self._forgets = False


def _tell_stale(channel: Channel, stale: deque[tuple[int, bytes]]) -> None:
    while stale:
        # It may have forgotten the name by itself, or use what is there.
        with suppress(OSError):
            channel.notify(wire.invalidate_entry(*stale.popleft()))


def _device_fds() -> set[int]:
    """Return this process's descriptors of /dev/fuse."""
    found: set[int] = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the links lead to no paths
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") == _DEVICE:  # noqa: PTH115 - as above
                found.add(int(name))
    return found
