"""Owns giving files new data keys: each is written anew beside itself, and put in its own place when whole.

A file that is cut short in the middle is the old one; the temporary is removed by recovery. What is done
already is told by when an inode was made. Works on a volume in use: a file that a program has open, or that
changes meanwhile, is left as it is.
"""

import errno
import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from kmsfs import backing
from kmsfs.bindings import NOTE_NAME
from kmsfs.core import Core
from kmsfs.directories import TEMPORARY_PREFIX
from kmsfs.errors import KmsfsError
from kmsfs.file import File
from kmsfs.inodes import Directory, Node
from kmsfs.jobs import Call, called, patiently
from kmsfs.loading import Loader
from kmsfs.records import STORED_XATTR_PREFIX
from kmsfs.visiting import Place, Refusal, Steps, files, refusal

_PIECE_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Tally:
    """What has been done so far; counted up in place, to be looked at at any time.

    Attributes:
        total_files, total_bytes: what there is to go through, by the sizes that the store has.
        seen_files, seen_bytes: how much of that is behind.
        reencrypted: files that have new data keys.
        recent: files that were left because they were made since the time that was given.
    """

    total_files: int = 0
    total_bytes: int = 0
    seen_files: int = 0
    seen_bytes: int = 0
    reencrypted: int = 0
    recent: int = 0


class _LeftError(Exception):
    """Why a file is left as it is."""


def reencrypt_files(
    core: Core, nodeid: int, tally: Tally, *, recursive: bool = True, since_ns: int | None = None
) -> Steps:
    """Give a file, or each file of a directory, a new data key under the directory's policy.

    Args:
        core: of the volume, open for writing.
        nodeid: of the file or directory; the caller has a reference to it.
        tally: counted up.
        recursive: go into directories below.
        since_ns: leave files that were made since then, in nanoseconds since the epoch.

    Yields:
        What to do, files that were left as they are with the reason, and None now and then.
    """
    top = core.inodes[nodeid]
    for seen in files(core, top, recursive=recursive):
        if isinstance(seen, Place):
            tally.total_files += 1
            tally.total_bytes += seen.status.st_size
        yield None
    loader = Loader(core.volume.description, core.volume.keyring)
    for seen in files(core, top, recursive=recursive):
        if not isinstance(seen, Place):
            yield seen if isinstance(seen, Refusal) else None
            continue
        before = tally.seen_bytes
        if since_ns is not None and _is_born_since(core, seen, since_ns):
            tally.recent += 1
        else:
            yield from _file(core, loader, seen, tally)
        tally.seen_files += 1
        tally.seen_bytes = before + seen.status.st_size
        yield None


def _is_born_since(core: Core, place: Place, since_ns: int) -> bool:
    try:
        born_ns = backing.birth_ns(core.directories.dirfd(place.parent), place.stored)
    except OSError:
        return False
    return born_ns is not None and born_ns >= since_ns


def _file(core: Core, loader: Loader, place: Place, tally: Tally) -> Steps:
    inode, links = place.status.st_ino, place.status.st_nlink
    if links > 1:
        yield refusal(
            core, place.parent, place.stored,
            f"has {links} names (hard links), which would become different files; remove all but one",
        )  # fmt: skip
        return
    node = core.inodes.remember(inode, place.parent, place.stored, is_directory=False)
    try:
        _require_closed(core, inode, 0)
        source = yield from patiently(partial(core.attributes.open_file, node, writable=False))
        try:
            yield from _replace(core, loader, node, source, tally)
        finally:
            core.files.release(inode)
            if node.inode != inode:
                core.files.drop(inode)
        tally.reencrypted += 1
    except FileNotFoundError:
        return
    except (KmsfsError, OSError, _LeftError) as error:
        yield refusal(core, place.parent, place.stored, error)
    finally:
        core.inodes.forget(node.nodeid, 1)


def _replace(core: Core, loader: Loader, node: Node, source: File, tally: Tally) -> Generator[Call | None]:
    """Write a file anew and put that in its place; the node then stands for it."""
    parent, stored = _parent(node), node.stored
    before = os.fstat(source.chunks.fd)
    temporary = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
    with _same_times(core, parent) as dirfd:
        fd = backing.create_file(dirfd, temporary, 0o600)
    made = os.fstat(fd)
    try:
        policy = core.directories.policy(parent)
        binding = None if core.volume.bindings is None else core.directories.binding(node)
        chunks = yield from patiently(partial(loader.create, fd, made.st_ino, policy, binding))
        copy = File(chunks)
        yield from patiently(chunks.prepare)
        yield from _content(source, copy, tally)
        _dress(core, source, copy, before)
        yield from called(partial(backing.fsync, fd, data_only=False))
        _require_closed(core, before.st_ino, 1)
        _require_same(node, (parent, stored), os.fstat(source.chunks.fd), before)
        with _same_times(core, parent) as dirfd:
            backing.rename(dirfd, temporary, dirfd, stored)
    except BaseException:
        with suppress(FileNotFoundError), _same_times(core, parent) as dirfd:
            backing.unlink(dirfd, temporary)
        raise
    finally:
        os.close(fd)
    core.inodes.renumber(node, made.st_ino, os.dup(source.chunks.fd))
    # The kernel may know the old inode for long: its number stays taken, its room does not. Where nobody
    # knows it, whoever copies the ciphertext just now is left with a whole file.
    if node.lookups > 1 and source.chunks.is_writable:
        yield from _synced(core, parent)
        backing.truncate(source.chunks.fd, 0)


def _synced(core: Core, directory: Directory) -> Iterator[Call]:
    """Make the names in a directory durable: on the disk, the old inode may still be the file."""
    fd = backing.open_listing(core.directories.dirfd(directory))
    try:
        yield from called(partial(backing.fsync, fd, data_only=False))
    finally:
        os.close(fd)


def _require_closed(core: Core, inode: int, own_opens: int) -> None:
    if core.files.opens(inode) > own_opens:
        raise _LeftError("a program has it open; end that, and do it again")


def _require_same(
    node: Node, place: tuple[Directory, bytes], now: os.stat_result, before: os.stat_result
) -> None:
    """Refuse a file that was changed or moved while it was written anew."""
    is_same = (now.st_ctime_ns, now.st_size) == (before.st_ctime_ns, before.st_size)
    if not (is_same and node.stands_at(*place)):
        raise _LeftError("changed meanwhile; do it again")


def _content(source: File, copy: File, tally: Tally) -> Iterator[Call | None]:
    """Copy what is in a file; holes stay holes."""
    geometry = source.chunks.geometry
    may_have_holes = source.chunks.may_have_holes
    length = geometry.chunk_size if may_have_holes else _PIECE_BYTES
    for offset in range(0, source.size, length):
        if not (may_have_holes and source.chunks.is_hole(offset >> geometry.chunk_shift)):
            copy.write(offset, (yield from _read(source, offset, length)))
        tally.seen_bytes += min(length, source.size - offset)
        yield None
    copy.truncate(source.size)


def _read(source: File, plain_offset: int, length: int) -> Generator[Call, None, memoryview | bytes]:
    """Read from a file, without having others wait for the store."""
    try:
        return source.read(plain_offset, length, cached_only=True)
    except BlockingIOError:
        yield from called(partial(backing.warm, source.chunks.fd, *source.extent(plain_offset, length)))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    return source.read(plain_offset, length)


def _dress(core: Core, source: File, copy: File, status: os.stat_result) -> None:
    """Give a copy owner, attributes, mode and times of the original, each where the next does not undo it."""
    copy.settle()
    fd, made = copy.chunks.fd, os.fstat(copy.chunks.fd)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        backing.chown(fd, status.st_uid, status.st_gid)
    records, old_id, new_id = core.volume.records, source.chunks.file_id, copy.chunks.file_id
    given = dict(backing.xattrs(fd))
    for name, value in backing.xattrs(source.chunks.fd):
        if name == NOTE_NAME:
            # The copy has never been anywhere else.
            continue
        wanted = value
        if name.startswith(STORED_XATTR_PREFIX):
            plain = records.open_xattr_name(name)
            wanted = records.seal_xattr_value(new_id, plain, records.open_xattr_value(old_id, plain, value))
        if given.get(name) != wanted:
            backing.setxattr(fd, name, wanted)
    backing.chmod(fd, stat.S_IMODE(status.st_mode))
    copy.set_times(status.st_atime_ns, status.st_mtime_ns)


@contextmanager
def _same_times(core: Core, directory: Directory) -> Iterator[int]:
    """Yield a descriptor of a directory in which something is done that no program is to see."""
    dirfd = core.directories.dirfd(directory)
    before = os.fstat(dirfd)
    try:
        yield dirfd
    finally:
        # A directory of somebody else's has its times from the store alone.
        with suppress(PermissionError):
            backing.utimens_fd(dirfd, (before.st_atime_ns, before.st_mtime_ns))


def _parent(node: Node) -> Directory:
    if node.parent is None:
        raise AssertionError("a regular file is in a directory")
    return node.parent
