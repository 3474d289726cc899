"""Owns going through the directories of an open volume, while it may be in use on a mount.

Goes by the core's own nodes, which renames carry along. What moves from where the visit has not been to where
it has been is missed.
"""

import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from kmsfs import backing, names
from kmsfs.core import Core
from kmsfs.inodes import Directory
from kmsfs.jobs import Pace

# What a directory that was removed or moved away meanwhile gives.
GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})


def below(core: Core, top: Directory) -> Iterator[Directory | None]:
    """Yield the directories below one, each before those in it, and now and then None to let others run.

    Each is good until the next is asked for, and may be gone by then.

    Raises:
        OSError: a directory cannot be read.
    """
    pace, device = Pace(), os.fstat(core.volume.root_fd).st_dev
    pending = [_held(top)]
    try:
        while pending:
            directory = pending.pop()
            try:
                if directory is not top:
                    yield directory
                for entry in _entries(core, directory):
                    if pace.is_over():
                        yield None
                    node = _directory(core, directory, entry, device)
                    if node is not None:
                        pending.append(node)
            finally:
                core.inodes.forget(directory.nodeid, 1)
    finally:
        for directory in pending:
            core.inodes.forget(directory.nodeid, 1)


def _held(directory: Directory) -> Directory:
    directory.lookups += 1
    return directory


def _entries(core: Core, directory: Directory) -> Iterator[os.DirEntry[str]]:
    try:
        yield from backing.any_entries(core.directories.dirfd(directory))
    except OSError as error:
        if error.errno not in GONE:
            raise


def _directory(core: Core, parent: Directory, entry: os.DirEntry[str], device: int) -> Directory | None:
    """Return a directory's node, one reference to it taken; None where there is none, or none any more."""
    stored = os.fsencode(entry.name)
    try:
        if not entry.is_dir(follow_symlinks=False) or names.is_reserved(stored):
            return None
        status = backing.stat(core.directories.dirfd(parent), stored)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise
    if status.st_dev != device or not stat.S_ISDIR(status.st_mode):
        return None
    node = core.inodes.remember(status.st_ino, parent, stored, is_directory=True)
    assert isinstance(node, Directory)
    return node
