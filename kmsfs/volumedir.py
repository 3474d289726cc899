"""Owns the directory of a volume's own files, `.kmsfs-volume`, and replacing the description in it.

Knows nothing of what a description says.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kmsfs import backing
from kmsfs.errors import CorruptVolumeError, VolumeError
from kmsfs.volume import DESCRIPTION_SIZE_MAX

DIRECTORY_NAME: Final = b".kmsfs-volume"
DESCRIPTION_NAME: Final = b"volume.yaml"
SPARE_NAME: Final = b"volume.yaml.spare"

# There is no description yet, or the store cannot do it (EINVAL) or the kernel (ENOSYS).
_CANNOT_EXCHANGE: Final = frozenset({errno.ENOENT, errno.EINVAL, errno.ENOSYS})


class NotAVolumeError(VolumeError):
    """There is no kmsfs volume in the directory."""


class ManyDevicesError(VolumeError):
    """The store gives files and directories of one filesystem different device numbers."""


@contextmanager
def root_directory(path: str) -> Iterator[int]:
    """Open a ciphertext directory for reading; yields its descriptor.

    Raises:
        NotAVolumeError: there is no directory.
        OSError: it cannot be opened.
    """
    try:
        root_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotAVolumeError(f"{path} is not a directory") from None
    try:
        yield root_fd
    finally:
        os.close(root_fd)


@contextmanager
def volume_directory(root_fd: int) -> Iterator[int]:
    """Open the directory of the volume's own files; yields an O_PATH descriptor.

    Raises:
        NotAVolumeError: the ciphertext directory has none.
        OSError: it cannot be opened.
    """
    try:
        volume_fd = backing.open_directory(root_fd, DIRECTORY_NAME)
    except (FileNotFoundError, NotADirectoryError):
        path = Path(f"/proc/self/fd/{root_fd}").readlink()
        raise NotAVolumeError(f"{path} holds no kmsfs volume") from None
    try:
        yield volume_fd
    finally:
        os.close(volume_fd)


def require_one_device(directory_fd: int, name: bytes) -> None:
    """Refuse a store on which inode numbers name no inode: an overlay of several filesystems without xino.

    Args:
        directory_fd: a directory of the store.
        name: something in it that is no directory.

    Raises:
        ManyDevicesError: its device is not that of the directory.
    """
    if backing.stat(directory_fd, name).st_dev != os.fstat(directory_fd).st_dev:
        path = Path(f"/proc/self/fd/{directory_fd}").readlink()
        raise ManyDevicesError(
            f"{path} lies on an overlay whose files are of other devices than its directories, so files "
            "cannot be told apart; mount the overlay with xino=on, or put it on another filesystem"
        )


def require_volume(path: str) -> None:
    """Check that there is something like a volume, before anything else is set going for it.

    Raises:
        NotAVolumeError: there is none.
        OSError: it cannot be opened.
    """
    with root_directory(path) as root_fd, volume_directory(root_fd):
        return


def read_description(volume_fd: int) -> bytes:
    """Return the volume description as it is stored, cut off beyond the size that nothing accepts.

    Raises:
        CorruptVolumeError: it is missing.
    """
    try:
        return backing.read_small(volume_fd, DESCRIPTION_NAME, DESCRIPTION_SIZE_MAX + 1)
    except FileNotFoundError:
        raise CorruptVolumeError("the volume description is missing; restore it from a copy") from None


def write_description(volume_fd: int, raw: bytes) -> None:
    """Replace the volume description: after a crash there is either the old or the new one, whole.

    The old one stays as a spare, and is what the next one is written over, so that a store without room does
    not keep its volume from being mounted or unmounted.
    """
    # A killed mount may have left an exchange that is not durable: on disk, the spare is the description.
    backing.fsync_directory(volume_fd)
    spare_fd = _open_spare(volume_fd)
    try:
        backing.pwrite_all(spare_fd, [raw], 0)
        backing.truncate(spare_fd, len(raw))
        backing.fsync(spare_fd, data_only=False)
    finally:
        os.close(spare_fd)
    try:
        backing.rename(volume_fd, SPARE_NAME, volume_fd, DESCRIPTION_NAME, backing.RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in _CANNOT_EXCHANGE:
            raise
        backing.rename(volume_fd, SPARE_NAME, volume_fd, DESCRIPTION_NAME)
    backing.fsync_directory(volume_fd)


def _open_spare(volume_fd: int) -> int:
    """Open the spare for writing; anything but a file of its own that stands in its place is removed."""
    try:
        spare_fd = backing.open_regular(volume_fd, SPARE_NAME, writable=True)
    except FileNotFoundError:
        return backing.create_file(volume_fd, SPARE_NAME, 0o600)
    except OSError:
        backing.unlink(volume_fd, SPARE_NAME)
        return backing.create_file(volume_fd, SPARE_NAME, 0o600)
    status = os.fstat(spare_fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return spare_fd
    os.close(spare_fd)
    backing.unlink(volume_fd, SPARE_NAME)
    return backing.create_file(volume_fd, SPARE_NAME, 0o600)
