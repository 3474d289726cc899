"""A volume in which everything is tied to its place, for tests that move things with and without its key."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kmsfs import backing
from kmsfs.core import Core
from kmsfs.errors import CorruptFileError
from offline import ROOT, OfflineVolume, find, make, mkdir, read, write

LONG = b"l" * 200
Place = tuple[bytes, ...]


def furnish(volume: OfflineVolume) -> None:
    """Make files and directories, some of them below others."""
    with volume.core() as core:
        for top in (b"a", b"b"):
            above = mkdir(core, top)
            for name in (b"file", LONG):
                write(core, name, top + b" " + name, parent=above)
            write(core, b"inner", top + b" inner", parent=mkdir(core, b"d", above))
        write(core, b"file", b"top file")
        make(core, b"empty")


def at(core: Core, *names: bytes) -> int:
    """Return the number of the directory at a path."""
    nodeid = ROOT
    for name in names:
        nodeid = find(core, name, nodeid)
    return nodeid


def stored(volume: OfflineVolume, *names: bytes) -> Path:
    """Return where a path lies on the store."""
    with volume.core() as core:
        return Path(os.fsdecode(volume.stored_path(core, names[-1], at(core, *names[:-1]))))


def content(volume: OfflineVolume, *names: bytes) -> bytes:
    """Return what a file holds, in a mount of its own."""
    with volume.core() as core:
        return read(core, names[-1], at(core, *names[:-1]))


def exchange(first: Path, second: Path) -> None:
    """Put two entries of the store in each other's place."""
    backing.rename(*_at(first), *_at(second), backing.RENAME_EXCHANGE)


def _at(path: Path) -> tuple[int, bytes]:
    # AT_FDCWD, and a path in place of a name.
    return -100, os.fsencode(path)


def refused(core: Core, *names: bytes) -> bool:
    """Say whether a file is refused as one that was moved, in every way in which it is opened."""
    nodeid = find(core, names[-1], at(core, *names[:-1]))
    for use in (
        lambda: core.open(nodeid, os.O_RDONLY),
        lambda: core.open(nodeid, os.O_RDWR | os.O_TRUNC),
        lambda: core.attributes.truncate(core.inodes[nodeid], 3),
        lambda: core.xattrs.set(nodeid, b"user.note", b"value"),
    ):
        with pytest.raises(CorruptFileError, match="moved") as caught:
            use()
        assert caught.value.errno == errno.EIO
    return True
