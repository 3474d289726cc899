"""Owns finding out how volumes and mounts are, asking neither the agent nor a mounted filesystem.

What is mounted comes from the kernel's table, what a running mount counts from its own door, and what a
volume says of itself from its description, whose MAC is not checked here for want of the key.
"""

import os
from dataclasses import dataclass
from typing import Any, Final

from kmsfs import locking, mountinfo, statusdoor, volume
from kmsfs.errors import VolumeError
from kmsfs.umount import NotMountedError
from kmsfs.volumedir import NotAVolumeError, read_description, root_directory, volume_directory

MOUNTED: Final = "mounted"
HANGING: Final = "mounted, not answering"
ELSEWHERE: Final = "in use by a mount that is not visible here"
ABANDONED: Final = "mounted, but its process has gone"
UNMOUNTED: Final = "not mounted"

CLEAN: Final = "clean"
IN_USE: Final = "in use"
UNCLEAN: Final = "not unmounted cleanly"


@dataclass(frozen=True, slots=True)
class VolumeReport:
    """What a ciphertext directory says of its volume.

    Attributes:
        volume_id: in hexadecimal.
        description: of the volume, its MAC not checked.
        condition: CLEAN, IN_USE or UNCLEAN, as the description and the lock say.
        holder: who has it mounted now, as the lock file says; None also when it says nothing.
        is_locked: whether anybody has it mounted now.
    """

    volume_id: str
    description: volume.VolumeDescription
    condition: str
    holder: locking.Holder | None
    is_locked: bool


@dataclass(frozen=True, slots=True)
class Status:
    """A volume, a mount, or both of them together.

    Attributes:
        state: one of this module's words.
        ciphertext: the ciphertext directory.
        mount: its line in the kernel's table; None when not mounted as far as this process sees.
        volume: None when the ciphertext directory may not be read by this user, or is out of reach.
        running: what the mount process itself tells; None when it does not, for one to another user.
    """

    state: str
    ciphertext: str
    mount: mountinfo.Mount | None
    volume: VolumeReport | None
    running: dict[str, Any] | None


def all_mounts() -> tuple[Status, ...]:
    """Return the status of each kmsfs mount that this process sees."""
    return tuple(_of_mount(mount) for mount in mountinfo.kmsfs_mounts())


def of_path(path: str) -> tuple[Status, ...]:
    """Return the status of a mount point, or of a ciphertext directory with each of its mounts.

    Raises:
        NotMountedError: the path is neither.
        OSError: the ciphertext directory cannot be read.
    """
    resolved = mountinfo.resolve(path)
    mounted = mountinfo.mounted_at(resolved)
    if mounted is not None and mounted.is_kmsfs:
        return (_of_mount(mounted),)
    try:
        report = _read_volume(resolved)
    except NotAVolumeError:
        raise NotMountedError(
            f"{resolved} is neither the mount point nor the directory of a volume"
        ) from None
    mounts = tuple(_of_mount(mount) for mount in mountinfo.kmsfs_mounts() if mount.source == resolved)
    if mounts:
        return mounts
    return (Status(ELSEWHERE if report.is_locked else UNMOUNTED, resolved, None, report, None),)


def description_of(ciphertext: str) -> volume.VolumeDescription:
    """Return what a volume says of itself, unchecked.

    Raises:
        VolumeError: there is no volume, or its description is damaged.
        OSError: it cannot be read.
    """
    return _read_volume(ciphertext).description


def _of_mount(mount: mountinfo.Mount) -> Status:
    try:
        report = _read_volume(mount.source)
    except (OSError, VolumeError):
        report = None
    path = statusdoor.socket_path(mount.owner_uid, mount.device, os.environ)
    running = statusdoor.ask(path)
    return Status(
        _state(mount, report, is_answering=running is not None), mount.source, mount, report, running
    )


def _state(mount: mountinfo.Mount, report: VolumeReport | None, *, is_answering: bool) -> str:
    if is_answering or os.geteuid() not in {0, mount.owner_uid}:
        return MOUNTED
    return HANGING if report is None or report.is_locked else ABANDONED


def _read_volume(path: str) -> VolumeReport:
    with root_directory(path) as root_fd, volume_directory(root_fd) as volume_fd:
        description = volume.load(read_description(volume_fd)).description
        return VolumeReport(
            volume_id=description.volume_id.hex(),
            description=description,
            condition=_condition(description, is_held=locking.is_held_exclusively(volume_fd)),
            holder=locking.holder(volume_fd),
            is_locked=locking.is_locked(volume_fd),
        )


def _condition(description: volume.VolumeDescription, *, is_held: bool) -> str:
    if description.in_use_since is None:
        return CLEAN
    return IN_USE if is_held else UNCLEAN
