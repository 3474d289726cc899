"""Owns whole paths in a volume that is open without a mount: to an entry, to ciphertext, and back again.

What the kernel does one name at a time on a mount. No symlink is followed, so `..` is what it looks like.
Knows nothing of how the volume was opened or who asks. Raises what the core raises; OSErrors name the path.
"""

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from kmsfs import backing, names
from kmsfs.core import Core
from kmsfs.entries import Entry
from kmsfs.file import File
from kmsfs.inodes import ROOT_INODE
from kmsfs.tree import Owner

PIECE_BYTES: Final = 1 << 20
_NEW_FILE_MODE: Final = 0o666


def components(path: bytes) -> list[bytes]:
    """Return the names of a path from the volume's root, whether or not it begins with a slash."""
    return [name for name in os.path.normpath(b"/" + path).split(b"/") if name]


def find(core: Core, path: bytes) -> Entry:
    """Find the entry of a plain path; the references taken on the way are the core's until it is closed.

    Raises:
        OSError: ENOENT, ENOTDIR, ENAMETOOLONG.
        CorruptRecordError: a directory on the way cannot be read.
    """
    entry = core.attributes.getattr(ROOT_INODE)
    with _named(path):
        for name in components(path):
            entry = core.tree.lookup(entry.nodeid, name)
    return entry


@contextmanager
def reached(core: Core, path: bytes) -> Iterator[Entry]:
    """Find the entry of a plain path in a volume that stays open: the references are given back.

    Raises:
        OSError, CorruptRecordError: as `find`.
    """
    entry, taken = core.attributes.getattr(ROOT_INODE), list[int]()
    try:
        with _named(path):
            for name in components(path):
                entry = core.tree.lookup(entry.nodeid, name)
                taken.append(entry.nodeid)
        yield entry
    finally:
        for nodeid in reversed(taken):
            core.inodes.forget(nodeid, 1)


def children(core: Core, nodeid: int) -> Iterator[tuple[bytes, Entry]]:
    """Yield names and entries of a directory; each entry is good until the next is asked for.

    A name that nobody with the key has given is left out, logged and counted, as on a mount.
    """
    for name, entry, _ in core.listing(nodeid).read(0):
        if entry is not None:
            try:
                yield name, entry
            finally:
                core.inodes.forget(entry.nodeid, 1)


def stored_path(core: Core, path: bytes) -> bytes:
    """Return where the entry of a plain path lies, relative to the ciphertext directory.

    Raises:
        OSError: there is no such entry.
    """
    nodeid, stored = ROOT_INODE, []
    with _named(path):
        for name in components(path):
            directory = core.inodes.directory(nodeid)
            nodeid = core.tree.lookup(nodeid, name).nodeid
            stored.append(core.directories.stored_name(directory, name).name)
    return b"/".join(stored) or b"."


def plain_path(core: Core, stored: bytes) -> bytes:
    """Return the plain path of what lies at a path relative to the ciphertext directory.

    Raises:
        OSError: nothing lies there, or something that kmsfs keeps for itself (EINVAL).
        CorruptNameError: nobody with the key gave its directory such an entry.
    """
    nodeid, plain = ROOT_INODE, []
    with _named(stored):
        for name in components(stored):
            if names.is_reserved(name):
                raise OSError(errno.EINVAL, "is kmsfs's own and has no plain name")
            directory = core.inodes.directory(nodeid)
            status = backing.stat(core.directories.dirfd(directory), name)
            plain.append(core.directories.plain_name(directory, name))
            nodeid = core.tree.found(directory, name, status).nodeid
    return b"/" + b"/".join(plain)


def read(core: Core, path: bytes) -> Iterator[memoryview | bytes]:
    """Yield the content of a regular file, piece by piece; each is good until the next is asked for.

    Raises:
        CorruptFileError: something does not authenticate; what came before it did.
        OSError: there is no such file, or it is something else.
    """
    entry = find(core, path)
    _require_file(entry, path)
    with _named(path):
        file = core.open(entry.nodeid, os.O_RDONLY)
    try:
        for offset in range(0, file.size, PIECE_BYTES):
            yield file.read(offset, PIECE_BYTES)
    finally:
        core.files.release(file.chunks.inode)


def write(core: Core, path: bytes, pieces: Iterable[bytes]) -> None:
    """Make a file of `pieces`, or replace the content of one that is there.

    Raises:
        OSError: it cannot be made or written, or something else is there.
    """
    steps = components(path)
    if not steps:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    parent = find(core, b"/".join(steps[:-1]))
    with _named(path):
        try:
            _require_file(core.tree.lookup(parent.nodeid, steps[-1]), path)
        except FileNotFoundError:
            flags = os.O_RDWR | os.O_EXCL
        else:
            flags = os.O_RDWR | os.O_TRUNC
        me = Owner(os.geteuid(), os.getegid())
        _, file = core.create(parent.nodeid, steps[-1], _NEW_FILE_MODE, flags, me)
        try:
            _fill(file, pieces)
        finally:
            core.files.release(file.chunks.inode)


def _fill(file: File, pieces: Iterable[bytes]) -> None:
    offset = 0
    for piece in pieces:
        offset += file.write(offset, piece)
    # On a mount the kernel says when times change.
    file.set_times(None, time.time_ns())


def _require_file(entry: Entry, path: bytes) -> None:
    if not stat.S_ISREG(entry.status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", path)


@contextmanager
def _named(path: bytes) -> Iterator[None]:
    """Let an error of the system say which path it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and error.filename == path:
            raise
        raise OSError(error.errno, error.strerror, path) from error
