"""Owns whether a directory can be a mount point, and what of FUSE the system lacks."""

import os
import shutil
from pathlib import Path
from typing import Final

from kmsfs import mountinfo, umount
from kmsfs.errors import KmsfsError
from kmsfs.options import MountOptions

_DEVICE: Final = Path("/dev/fuse")
_CONFIGURATION: Final = Path("/etc/fuse.conf")


class MountPointError(KmsfsError):
    """The directory cannot be mounted on; the message says why."""


class MountRefusedError(KmsfsError):
    """The system refuses to mount, or the new mount does not answer."""


class FuseUnavailableError(KmsfsError):
    """The system lacks what FUSE needs, or keeps it from this user; the message says what."""


def prepare(path: str, ciphertext: str, options: MountOptions) -> str:
    """Return the resolved mount point, free of what mounts of ours have left there whose processes have gone.

    Args:
        path: as the user gave it.
        ciphertext: the resolved ciphertext directory.
        options: what the mount is to allow.

    Raises:
        MountPointError: it is no directory, is in use, or would hide the ciphertext directory.
        UnmountRefusedError: what is left there is somebody else's.
    """
    mountpoint = mountinfo.resolve(path)
    umount.clear_stale(mountpoint)
    mounted = mountinfo.mounted_at(mountpoint)
    if mounted is not None and mounted.is_kmsfs:
        raise MountPointError(f"{mounted.source} is mounted at {mountpoint} already")
    if _contains(mountpoint, ciphertext) or _contains(ciphertext, mountpoint):
        raise MountPointError(
            f"{mountpoint} and the ciphertext directory {ciphertext} may not lie within each other"
        )
    try:
        is_empty = not os.listdir(mountpoint)  # noqa: PTH208 - names that are no UTF-8 matter here no less
    except FileNotFoundError:
        raise MountPointError(f"{mountpoint} does not exist") from None
    except NotADirectoryError:
        raise MountPointError(f"{mountpoint} is not a directory") from None
    except OSError as error:
        raise MountPointError(f"{mountpoint} cannot be used: {error.strerror}") from None
    if not (is_empty or options.nonempty):
        raise MountPointError(f"{mountpoint} is not empty; -o nonempty hides its files until unmount")
    return mountpoint


def require_fuse(options: MountOptions) -> None:
    """Check what libfuse would otherwise refuse with less to go on.

    Raises:
        FuseUnavailableError: something is missing or not allowed.
    """
    if not _DEVICE.exists():
        raise FuseUnavailableError(f"there is no {_DEVICE}; load the kernel module with: modprobe fuse")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise FuseUnavailableError(
            f"you may not open {_DEVICE}; root can allow it with: chmod 0666 {_DEVICE}"
        )
    if os.geteuid() == 0:
        return
    if shutil.which("fusermount3") is None:
        raise FuseUnavailableError(
            "fusermount3 is not installed (package fuse3); without it only root can mount"
        )
    if options.allow_other and not _users_may_allow_other():
        raise FuseUnavailableError(
            f"-o allow_other needs user_allow_other in {_CONFIGURATION}; root can add it, or leave it out"
        )


def _users_may_allow_other() -> bool:
    try:
        lines = _CONFIGURATION.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() == "user_allow_other" for line in lines)


def _contains(outer: str, inner: str) -> bool:
    return os.path.commonpath((outer, inner)) == outer
