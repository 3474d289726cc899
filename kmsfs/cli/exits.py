"""Owns what an error means to whoever typed the command: what to do next, and the exit code."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import agent.client
from agent.api.errors import ServiceError
from kmsfs import errors, locking, mkfs, mountpoint, options, umount, volumedir


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
    ExitCode.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """An error in the user's words.

    Attributes:
        message: what is wrong.
        next_step: what to do about it; empty when the message says it.
        exit_code: what the command ends with.
    """

    message: str
    next_step: str
    exit_code: ExitCode


# The first row whose class fits counts, so a class stands above its base.
_ROWS: Final[tuple[tuple[type[BaseException], ExitCode, str], ...]] = (
    (locking.VolumeLockedError, ExitCode.IN_USE, "Unmount it there first: kmsfs umount MOUNTPOINT"),
    (mkfs.NotEmptyError, ExitCode.VOLUME, "Name a directory that is empty or does not exist yet."),
    (volumedir.NotAVolumeError, ExitCode.VOLUME, "Make one with: kmsfs init DIR"),
    (errors.CorruptVolumeError, ExitCode.DAMAGED, ""),
    (errors.VolumeError, ExitCode.VOLUME, ""),
    (errors.KeyUnavailableError, ExitCode.KEY_REFUSED, ""),
    (agent.client.AgentError, ExitCode.NO_AGENT, ""),
    (ServiceError, ExitCode.KEY_REFUSED, "See: kms-agent key list"),
    (mountpoint.FuseUnavailableError, ExitCode.FUSE, ""),
    (mountpoint.MountPointError, ExitCode.MOUNT_POINT, ""),
    (mountpoint.MountRefusedError, ExitCode.FUSE, "What libfuse printed above, or the log, says more."),
    (umount.MountBusyError, ExitCode.BUSY, "End those programs, or leave the directory, and try again."),
    (umount.NotMountedError, ExitCode.MOUNT_POINT, "See what is mounted with: kmsfs status"),
    (umount.StillFinishingError, ExitCode.FINISHING, "Wait until its process has ended: kmsfs status DIR"),
    (umount.UnmountRefusedError, ExitCode.SYSTEM, "Unmount it as the user who mounted it, or as root."),
    (options.MountOptionError, ExitCode.USAGE, ""),
    (errors.KmsfsError, ExitCode.DAMAGED, ""),
    (OSError, ExitCode.SYSTEM, ""),
    (KeyboardInterrupt, ExitCode.INTERRUPTED, ""),
)


def explain(error: BaseException) -> Explanation | None:
    """Return what to tell the user of an error; None when it can only be a bug."""
    for kind, exit_code, next_step in _ROWS:
        if isinstance(error, kind):
            return Explanation(_message(error), next_step, exit_code)
    return None


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    return str(error)
