"""Owns going through a ciphertext directory with all that is in it. Knows nothing of what is found there.

One descriptor goes down, and by ".." up again, where it has to find the directory that it went down from: so
depth costs no descriptors, no path is ever joined, and no symlink is followed.
"""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from kmsfs import backing, names
from kmsfs.errors import VolumeError

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One entry.

    Attributes:
        dirfd: O_PATH descriptor of its directory, good until the next entry is asked for.
        name: its name there, on the store.
        status: of the entry itself.
    """

    dirfd: int
    name: bytes
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory that the walk is in or has to come back to.

    Attributes:
        device, inode: which one it is.
        below: names of the directories that it still has to go into.
        lent: takes back what had to be added to its mode.
    """

    device: int
    inode: int
    below: list[bytes]
    lent: ExitStack


def walk(root_fd: int, left_out: list[int] | None = None) -> Iterator[Found]:
    """Yield everything below a directory, on its filesystem; a directory before what is in it.

    What is reserved is yielded but not gone into, and neither is a directory that this process may not read
    and does not own. The caller may remove the entry that it was given last.

    Args:
        root_fd: of the directory.
        left_out: gets the inode numbers of directories that were not gone into for want of permission.

    Raises:
        VolumeError: directories are moved about meanwhile.
        OSError: what the store says.
    """
    fd = backing.open_directory(root_fd, b".")
    levels = [_level(fd, ExitStack())]
    try:
        yield from _entries(fd, levels[-1])
        while True:
            inner = _go_in(fd, levels[-1], left_out)
            if inner is not None:
                os.close(fd)
                fd, lent = inner
                levels.append(_level(fd, lent))
                yield from _entries(fd, levels[-1])
                continue
            left = levels.pop()
            if not levels:
                return
            try:
                fd = _go_up(fd, levels[-1])
            finally:
                left.lent.close()
    finally:
        os.close(fd)
        for level in levels:
            level.lent.close()


def _level(fd: int, lent: ExitStack) -> _Level:
    status = os.fstat(fd)
    return _Level(status.st_dev, status.st_ino, [], lent)


def _entries(fd: int, level: _Level) -> Iterator[Found]:
    """Yield the entries of one directory, and note the directories among them."""
    for name in backing.any_names(fd):
        try:
            status = backing.stat(fd, name)
        except FileNotFoundError:
            continue
        if status.st_dev != level.device:
            continue
        yield Found(fd, name, status)
        if stat.S_ISDIR(status.st_mode) and not names.is_reserved(name):
            level.below.append(name)


def _go_in(fd: int, level: _Level, left_out: list[int] | None) -> tuple[int, ExitStack] | None:
    """Open the next directory below that can be gone into; None when there are no more."""
    while level.below:
        try:
            inner_fd = backing.open_directory(fd, level.below.pop())
        except (FileNotFoundError, NotADirectoryError):
            continue
        status = os.fstat(inner_fd)
        try:
            if status.st_dev == level.device:
                return inner_fd, _lend(inner_fd)
        except PermissionError as error:
            _LOG.warning("directory with inode %d is left out: %s", status.st_ino, error.strerror)
            if left_out is not None:
                left_out.append(status.st_ino)
        except BaseException:
            os.close(inner_fd)
            raise
        os.close(inner_fd)
    return None


def _go_up(fd: int, above: _Level) -> int:
    """Open the directory above and close this one, if it is the one that the walk came from."""
    outer_fd = backing.open_directory(fd, b"..")
    status = os.fstat(outer_fd)
    if (status.st_dev, status.st_ino) != (above.device, above.inode):
        os.close(outer_fd)
        raise VolumeError("another program is moving directories of the volume; stop it and mount again")
    os.close(fd)
    return outer_fd


def _lend(fd: int) -> ExitStack:
    """Let an owner into a directory whose mode keeps even its owner out, until what is returned is closed.

    Raises:
        PermissionError: it is somebody else's.
    """
    with ExitStack() as lent:
        try:
            os.close(backing.open_listing(fd))
        except PermissionError:
            # The walk closes its own descriptor long before the mode is put back.
            spare_fd = os.dup(fd)
            lent.callback(os.close, spare_fd)
            lent.enter_context(backing.widened(spare_fd, stat.S_IRWXU))
        return lent.pop_all()
