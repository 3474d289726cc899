"""Owns the form of long work on an open volume: a generator that is run slice by slice.

Between two yields nothing else happens in the volume; at a yield a mount answers programs. So a job works for
a few milliseconds, yields, and believes nothing of what it knew before without looking again. Knows neither
who runs a job (`control` on a mount, `reaching` without one) nor what it does.
"""

import time
from collections.abc import Callable, Generator, Mapping
from typing import Final, NamedTuple, TypeVar

from kmsfs.errors import WaitNeededError

Result = TypeVar("Result")

_SLICE_SECONDS: Final = 0.004


class Call(NamedTuple):
    """Something that waits, for an agent or a disk. It may be done in another thread, and raises nothing."""

    work: Callable[[], None]


Progress = Mapping[str, object]
"""What a job tells of how far it is; it can be written as JSON."""

Step = Call | Progress | None
"""What a job yields: something to do, something to tell, or nothing but a chance to do other things."""

Job = Generator[Step, None, Mapping[str, object]]
"""A job; what it returns can be written as JSON."""


class Pace:
    """Says when a job has worked for so long that others should have their turn."""

    def __init__(self) -> None:
        self._until: float | None = None

    def is_over(self) -> bool:
        """Say whether to yield now; the next slice begins when this is asked again, after the others."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + _SLICE_SECONDS
        if now < self._until:
            return False
        self._until = None
        return True


def here(job: Job) -> Generator[Progress, None, Mapping[str, object]]:
    """Run a job with nobody else to let run: yield what it tells, return what it ends with."""
    while True:
        try:
            step = next(job)
        except StopIteration as end:
            result: Mapping[str, object] = end.value
            return result
        if isinstance(step, Call):
            step.work()
        elif step is not None:
            yield step


def called(work: Callable[[], Result]) -> Generator[Call, None, Result]:
    """Have something done that waits; return or raise what it does."""
    results: list[Result] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - raised below, in the thread of whoever asked for it
            failures.append(error)

    yield Call(run)
    if failures:
        raise failures[0]
    return results[0]


def patiently(work: Callable[[], Result]) -> Generator[Call, None, Result]:
    """Make a call of the core that may need an answer of the agent first, until it does not."""
    while True:
        try:
            return work()
        except WaitNeededError as wait:
            yield Call(wait.work)
