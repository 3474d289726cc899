"""Owns who may mount a volume now. Knows nothing of keys or of what is in a volume.

`lock` carries an open-file-description lock (fcntl_locking(2)), which the kernel drops with its holder,
however that ends; what is written in it only names the holder to people.
"""

import fcntl
import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Final

from kmsfs import backing
from kmsfs.errors import VolumeError

LOCK_NAME: Final = b"lock"

_MAX_HOLDER_BYTES: Final = 8192
# struct flock: type, whence, start, length, pid; 0 and 0 mean the whole file, pid must be 0 for such locks.
_FLOCK: Final = struct.Struct("@hhqqi0q")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a volume's lock, for messages: the storage could lie, so little is decided on it.

    Attributes:
        pid: the process.
        host: where it runs.
        mountpoint: where the volume is mounted there; empty for a command that uses it without a mount.
    """

    pid: int
    host: str
    mountpoint: str

    def __str__(self) -> str:
        where = f"mounted at {self.mountpoint!r}" if self.mountpoint else "a command without a mount"
        return f"process {self.pid} on {self.host}, {where}"


class VolumeLockedError(VolumeError):
    """The volume is in use by another mount.

    Args:
        holder: who that is, when known.
    """

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(f"the volume is in use by {holder or 'a mount that is starting or read-only'}")
        self.holder = holder


def create_lock(volume_fd: int) -> None:
    """Make the lock file of a new volume."""
    os.close(backing.create_file(volume_fd, LOCK_NAME, 0o600))


@contextmanager
def locked(volume_fd: int, *, shared: bool) -> Iterator[int]:
    """Hold the volume's lock; yields the lock's descriptor.

    Args:
        volume_fd: the directory of the volume's own files.
        shared: allow other shared holders (read-only mounts); needs no permission to write.

    Raises:
        VolumeLockedError: somebody else holds it.
    """
    flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
    lock_fd = os.open(LOCK_NAME, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=volume_fd)
    try:
        try:
            fcntl.fcntl(lock_fd, fcntl.F_OFD_SETLK, _request(fcntl.F_RDLCK if shared else fcntl.F_WRLCK))
        except BlockingIOError:
            raise VolumeLockedError(_read_holder(volume_fd)) from None
        yield lock_fd
    finally:
        os.close(lock_fd)


def is_locked(volume_fd: int) -> bool:
    """Tell whether a mount, read-only or not, holds the volume now."""
    return _conflicts(volume_fd, fcntl.F_WRLCK)


def is_held_exclusively(volume_fd: int) -> bool:
    """Tell whether a mount that is not read-only holds the volume now."""
    return _conflicts(volume_fd, fcntl.F_RDLCK)


def holder(volume_fd: int) -> Holder | None:
    """Return who holds the volume now, as far as it is known."""
    return _read_holder(volume_fd) if is_held_exclusively(volume_fd) else None


@contextmanager
def named(lock_fd: int, who: Holder) -> Iterator[None]:
    """Name the holder of the lock that `lock_fd` holds until the body ends, if the store has room for it."""
    # A volume on a full store has to be mounted to make room.
    with suppress(OSError):
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, json.dumps(asdict(who)).encode() + b"\n", 0)
    try:
        yield
    finally:
        os.ftruncate(lock_fd, 0)


def _conflicts(volume_fd: int, kind: int) -> bool:
    try:
        lock_fd = backing.open_regular(volume_fd, LOCK_NAME, writable=False)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(lock_fd, fcntl.F_OFD_GETLK, _request(kind))
    finally:
        os.close(lock_fd)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _request(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def _read_holder(volume_fd: int) -> Holder | None:
    """Parse the lock file strictly enough that no nonsense is shown to anybody."""
    try:
        fields = json.loads(backing.read_small(volume_fd, LOCK_NAME, _MAX_HOLDER_BYTES))
        return Holder(int(fields["pid"]), str(fields["host"]), str(fields["mountpoint"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
