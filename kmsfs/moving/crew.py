"""Owns the worker processes of a transfer: batches to whichever is free, what came of them back.

Forked, so that they have all that was opened before, the lock on a volume included; that ends when the last
of them does. Knows nothing of what the work is.
"""

import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from typing import Final, Generic, TypeVar

from kmsfs import hardening

_PR_SET_PDEATHSIG: Final = 1
# One that is worked on, and one that waits for the worker.
_IN_FLIGHT: Final = 2
_ENDED: Final = "a worker process has ended before its work was done"

Batch = TypeVar("Batch")
Report = TypeVar("Report")


class WorkerEndedError(Exception):
    """A worker process ended in the middle of its work, and what it had half done is left behind.

    No error of the system: a volume that meets it counts as not closed in order, and recovery clears it up.
    """


class Crew(Generic[Batch, Report]):
    """Some worker processes, or none: then the work is done where it is given out.

    Args:
        works: what each of them does with a batch; the first alone, if it is the only one, in this process.
    """

    def __init__(self, works: Sequence[Callable[[Batch], Report]]) -> None:
        self._inline = works[0] if len(works) == 1 else None
        self._pending: dict[Connection, int] = {}
        self._processes = []
        if self._inline is not None:
            return
        context = get_context("fork")
        for work in works:
            ours, theirs = context.Pipe()
            others = [*self._pending, ours]
            process = context.Process(target=_serve, args=(os.getpid(), work, theirs, others), daemon=True)
            process.start()
            theirs.close()
            self._pending[ours] = 0
            self._processes.append(process)

    def give(self, batch: Batch) -> Iterator[Report]:
        """Have a batch worked on, once somebody is free; yield what has come of earlier ones meanwhile."""
        if self._inline is not None:
            yield self._inline(batch)
            return
        while min(self._pending.values()) >= _IN_FLIGHT:
            yield from self._receive()
        worker = min(self._pending, key=self._pending.__getitem__)
        self._pending[worker] += 1
        try:
            worker.send(batch)
        except BrokenPipeError as error:
            raise WorkerEndedError(_ENDED) from error

    def wait(self) -> Iterator[Report]:
        """Yield what has come of some batches, waiting if need be; nothing when none are under way."""
        if any(self._pending.values()):
            yield from self._receive()

    def dismiss(self) -> None:
        """End all workers, once what they are doing is done."""
        for worker in self._pending:
            worker.close()
        for process in self._processes:
            process.join()

    def stop(self) -> None:
        """End all workers in the middle of what they do; they undo what is half done."""
        for process in self._processes:
            process.terminate()
        self.dismiss()

    def _receive(self) -> Iterator[Report]:
        busy = [worker for worker, count in self._pending.items() if count]
        for worker in connection.wait(busy):
            if not isinstance(worker, Connection):
                raise AssertionError("only connections were waited for")  # noqa: TRY004 - our own bug
            try:
                answer = worker.recv()
            except (EOFError, ConnectionResetError) as error:
                raise WorkerEndedError(_ENDED) from error
            self._pending[worker] -= 1
            if isinstance(answer, _Bug):
                raise AssertionError(answer.trace)  # noqa: TRY004 - our own bug
            yield answer


class _Bug:
    """What a worker sends when it meets what it does not know."""

    def __init__(self, trace: str) -> None:
        self.trace = trace


def _serve(
    parent: int, work: Callable[[Batch], Report], pipe: Connection, others: Sequence[Connection]
) -> None:
    """Work on batches until there are no more."""
    # With the parent killed nobody else is to write to the volume, whose lock this process shares.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Only looked at where nothing is half done: see `end_if_told`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # Or their ends would never be noticed.
    for other in others:
        other.close()
    hardening.harden()
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            return
        try:
            report: Report | _Bug = work(batch)
        except Exception:  # noqa: BLE001 - the parent raises it
            report = _Bug(traceback.format_exc())
        pipe.send(report)


def end_if_told() -> None:
    """End a worker that was told to; called where what is under way can be undone.

    Raises:
        SystemExit: it was.
    """
    if signal.SIGTERM in signal.sigpending():
        raise SystemExit
