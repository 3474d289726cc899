"""Owns the exit codes and what each means. Knows no errors: those are `exits`."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """Exit codes, which scripts and unit files rely on.

    128 and a signal's number stand for a background process that a signal ended before the mount was there.
    """

    DONE = 0
    BUG = 1
    USAGE = 2
    VOLUME = 3
    DAMAGED = 4
    IN_USE = 5
    NO_AGENT = 6
    KEY_REFUSED = 7
    MOUNT_POINT = 8
    FUSE = 9
    BUSY = 10
    SYSTEM = 11
    FINISHING = 12
    PROBLEMS = 13
    INCOMPLETE = 14
    INTERRUPTED = 130


MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.DONE: "done",
    ExitCode.BUG: "a bug in kmsfs; please report the traceback",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.VOLUME: "there is no such volume, or none can be made there",
    ExitCode.DAMAGED: "the volume is damaged, or was changed by someone without its key",
    ExitCode.IN_USE: "the volume is in use by another mount",
    ExitCode.NO_AGENT: "no key management agent can be asked",
    ExitCode.KEY_REFUSED: "the agent refuses a key",
    ExitCode.MOUNT_POINT: "the mount point cannot be used, or nothing is mounted there",
    ExitCode.FUSE: "the system lacks FUSE, or refuses to mount",
    ExitCode.BUSY: "programs still use the mount",
    ExitCode.SYSTEM: "the system refuses something else: permission, space, a file",
    ExitCode.FINISHING: "unmounted, but the filesystem process has not finished yet",
    ExitCode.PROBLEMS: "not everything is as it was written; what is not was listed",
    ExitCode.INCOMPLETE: "not everything was done; what was not was listed",
    ExitCode.INTERRUPTED: "interrupted",
}
