"""Running jobs of the filesystem in a test, as a mount runs them but without other requests in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kmsfs.jobs import Call
from kmsfs.visiting import Refusal

if TYPE_CHECKING:
    from kmsfs.visiting import Step


def finish(steps: Iterator[Step], between: Callable[[], None] = lambda: None) -> list[Refusal]:
    """Run a job with files to its end, `between` after each step; return what it left as it was."""
    left = []
    for step in steps:
        if isinstance(step, Call):
            step.work()
        elif step is not None:
            left.append(step)
        between()
    return left
