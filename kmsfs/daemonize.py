"""Owns going into the background: the parent stays until the child says that it is ready, or has failed.

Until then the child shares the parent's terminal, so that whatever it or libfuse has to say is seen. Knows
nothing of what the child does.
"""

import os
import signal
import sys
from dataclasses import dataclass
from typing import Final, Protocol

_READY: Final = b"r"


class Start(Protocol):
    """What the code that starts something tells once it runs."""

    def ready(self) -> None:
        """Say that it runs."""
        ...


class Foreground:
    """A start that nobody waits for."""

    def ready(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Background:
    """A start that the parent process waits for.

    Attributes:
        pipe_fd: where the parent waits.
    """

    pipe_fd: int

    def ready(self) -> None:
        """Leave the terminal and let the parent return."""
        null_fd = os.open(os.devnull, os.O_RDWR)
        sys.stdout.flush()
        sys.stderr.flush()
        for standard_fd in (0, 1, 2):
            os.dup2(null_fd, standard_fd)
        os.close(null_fd)
        os.write(self.pipe_fd, _READY)
        os.close(self.pipe_fd)


class StartFailedError(Exception):
    """The background process ended before it was ready, and has said why.

    Args:
        exit_code: its exit code; when a signal ended it, 128 and the signal's number.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"the background process ended with status {exit_code} before it was ready")
        self.exit_code = exit_code


def become_daemon() -> Background | None:
    """Fork: return the start in the child, and None in the parent once the child is ready.

    The child leads a session of its own, with the root directory as its working directory. It must be called
    before any thread runs.

    Raises:
        StartFailedError: in the parent, when the child ends first.
    """
    read_fd, write_fd = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(read_fd)
        os.setsid()
        os.chdir("/")
        return Background(write_fd)
    os.close(write_fd)
    try:
        if os.read(read_fd, 1) == _READY:
            return None
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(read_fd)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    # A child that ends without having been ready has failed, whatever it says.
    raise StartFailedError(128 - code if code < 0 else code or 1)
