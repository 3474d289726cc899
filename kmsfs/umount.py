"""Owns ending a mount: asking the kernel to, and waiting until its process has put everything on disk.

Knows nothing of keys. What is mounted it takes from the kernel's table alone, so that a mount whose process
hangs or has gone can be unmounted too.
"""

import errno
import os
import subprocess
import time
from pathlib import Path
from typing import Final

from kmsfs import locking, mountinfo
from kmsfs.errors import KmsfsError, VolumeError
from kmsfs.volumedir import root_directory, volume_directory

_POLL_SECONDS: Final = 0.02
_FINISH_SECONDS: Final = 60
_SHOWN_USERS: Final = 5


class NotMountedError(KmsfsError):
    """No kmsfs volume is mounted there."""


class MountBusyError(KmsfsError):
    """Programs still use the mount.

    Args:
        mountpoint: where.
        users: some of them, as "name (pid)"; empty when they are not ours to see.
    """

    def __init__(self, mountpoint: str, users: tuple[str, ...]) -> None:
        super().__init__(f"{mountpoint} is in use by {', '.join(users) if users else 'some program'}")
        self.users = users


class UnmountRefusedError(KmsfsError):
    """The system refuses to unmount; the message is its own."""


class StillFinishingError(KmsfsError):
    """It is unmounted, but its process has not yet put everything on disk."""


def unmount(path: str) -> None:
    """End the kmsfs mount at `path`; return once its process has written everything.

    Raises:
        NotMountedError: no kmsfs volume is mounted there.
        MountBusyError: programs still use it.
        UnmountRefusedError: the system refuses, for one because it is somebody else's mount.
        StillFinishingError: the process takes longer than a minute to finish.
    """
    mountpoint = mountinfo.resolve(path)
    mount = mountinfo.mounted_at(mountpoint)
    if mount is None or not mount.is_kmsfs:
        raise NotMountedError(f"no kmsfs volume is mounted at {mountpoint}")
    holder = None if "ro" in mount.options else _holder(mount.source)
    detach(mountpoint, lazy=False)
    if holder is not None and holder.mountpoint == mountpoint:
        _wait_until_released(mount.source, holder)


def detach(mountpoint: str, *, lazy: bool) -> None:
    """Take the mount off the tree of files; with `lazy` even in use, and it ends with its last user.

    Raises:
        MountBusyError: programs use it, and `lazy` is not set.
        UnmountRefusedError: the system refuses for another reason.
    """
    # -c: the path is canonical, and looking at it once more would wait for a mount that hangs.
    program = ["umount", "-c"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    flags = {True: ["-l" if os.geteuid() == 0 else "-z"], False: []}[lazy]
    try:
        result = subprocess.run(  # noqa: S603 - a fixed program, and the path is one argument after "--"
            [*program, *flags, "--", mountpoint],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise UnmountRefusedError(f"{program[0]} is not installed (package fuse3)") from None
    if result.returncode == 0:
        return
    if "busy" in result.stderr:
        raise MountBusyError(mountpoint, _users(mountpoint))
    raise UnmountRefusedError(result.stderr.strip() or f"{program[0]} ended with status {result.returncode}")


def clear_stale(mountpoint: str) -> int:
    """Unmount what mounts of ours have left at the path whose processes have gone; return how many.

    Raises:
        UnmountRefusedError: the system refuses, for one because it is somebody else's.
    """
    cleared = 0
    while (mount := mountinfo.mounted_at(mountpoint)) and mount.is_kmsfs and _is_dead(mountpoint):
        # Whoever still has something open there gets errors from it already.
        detach(mountpoint, lazy=True)
        cleared += 1
    return cleared


def _is_dead(mountpoint: str) -> bool:
    try:
        # Unlike stat(2), this is never answered from what the kernel remembers.
        os.statvfs(mountpoint)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def _holder(source: str) -> locking.Holder | None:
    """Return who holds the volume; None also when that is not for us to see (another user's)."""
    try:
        with root_directory(source) as root_fd, volume_directory(root_fd) as volume_fd:
            return locking.holder(volume_fd)
    except (OSError, VolumeError):
        return None


def _wait_until_released(source: str, holder: locking.Holder) -> None:
    deadline = time.monotonic() + _FINISH_SECONDS
    with root_directory(source) as root_fd, volume_directory(root_fd) as volume_fd:
        # The holder takes its name out just before it lets go.
        while locking.is_held_exclusively(volume_fd) and locking.holder(volume_fd) in {holder, None}:
            if time.monotonic() > deadline:
                raise StillFinishingError(f"{source} is unmounted, but {holder} is still writing to it")
            time.sleep(_POLL_SECONDS)


def _users(mountpoint: str) -> tuple[str, ...]:
    """Name some of the processes that use the mount, from links that can be read without asking the mount."""
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _uses(process, mountpoint):
            found.append(f"{_name(process)} ({process.name})")
            if len(found) == _SHOWN_USERS:
                break
    return tuple(found)


def _uses(process: Path, mountpoint: str) -> bool:
    try:
        links = [process / "cwd", process / "root", process / "exe", *(process / "fd").iterdir()]
    except OSError:
        return False
    return any(_is_under(link, mountpoint) for link in links)


def _is_under(link: Path, mountpoint: str) -> bool:
    try:
        target = os.readlink(link)  # noqa: PTH115 - a Path would drop a trailing " (deleted)" no better
    except OSError:
        return False
    return target == mountpoint or target.startswith(mountpoint + "/")


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
