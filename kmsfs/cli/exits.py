"""Owns what an error means to whoever typed the command: what to do next, and the exit code."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import agent.client
from agent.api.errors import ServiceError
from kmsfs import errors, locking, mkfs, mountpoint, options, statusdoor, umount, volumedir
from kmsfs.cli.codes import MEANINGS, ExitCode
from kmsfs.customerkeys import CustomerKeyError
from kmsfs.moving import batches, crew

__all__ = ["MEANINGS", "ExitCode", "Explanation", "explain"]


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


_WHEN_LOCKED: Final = (
    "Unmount it there first: kmsfs umount MOUNTPOINT. A mount that is read-only, "
    "kmsfs mount -o ro DIR MOUNTPOINT, lets other commands read the volume."
)

_WHEN_STOPPED: Final = (
    "Make room where the copy goes, if that is what is missing, and give the same command again: it goes on "
    "from here."
)

# The first row whose class fits counts, so a class stands above its base.
_ROWS: Final[tuple[tuple[type[BaseException], ExitCode, str], ...]] = (
    (locking.VolumeLockedError, ExitCode.IN_USE, _WHEN_LOCKED),
    (mkfs.NotEmptyError, ExitCode.VOLUME, "Name a directory that is empty or does not exist yet."),
    (volumedir.NotAVolumeError, ExitCode.VOLUME, "Make one with: kmsfs init DIR"),
    (errors.CorruptVolumeError, ExitCode.DAMAGED, ""),
    (errors.VolumeError, ExitCode.VOLUME, ""),
    (CustomerKeyError, ExitCode.USAGE, ""),
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
    (statusdoor.NoAnswerError, ExitCode.MOUNT_POINT, "See how it is with: kmsfs status"),
    (options.MountOptionError, ExitCode.USAGE, ""),
    (errors.KmsfsError, ExitCode.DAMAGED, ""),
    (batches.StoppedError, ExitCode.SYSTEM, _WHEN_STOPPED),
    (
        crew.WorkerEndedError,
        ExitCode.SYSTEM,
        "The system's log may say why. The same command goes on from here.",
    ),
    (OSError, ExitCode.SYSTEM, ""),
    (KeyboardInterrupt, ExitCode.INTERRUPTED, ""),
)

_NEXT_STEPS: Final[Mapping[int | None, str]] = {
    errno.EROFS: "Mount it read-only, with -o ro, or make its directory writable.",
    errno.EACCES: "Do it as the user to whom it belongs, or as root.",
    errno.ENOSPC: "Make room where the ciphertext lies.",
}


def explain(error: BaseException) -> Explanation | None:
    """Return what to tell the user of an error; None when it can only be a bug."""
    for kind, exit_code, next_step in _ROWS:
        if isinstance(error, kind):
            return Explanation(_message(error), next_step or _next_step(error), exit_code)
    return None


def _next_step(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return _NEXT_STEPS.get(number, "")


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    return str(error)
