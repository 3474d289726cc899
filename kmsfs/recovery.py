"""Owns bringing a volume in order after a mount that did not end by unmounting, before anything is served.

A crash leaves files whose length contradicts their header, temporaries, and sidecars of names that never came
or have gone. Works on the ciphertext alone: needs no names and no FUSE. Cut short, it has done no harm, and
done again it finds what is left. What does not authenticate at all is no crash's doing and stays as it is.
"""

import errno
import logging
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kmsfs import backing, header, names
from kmsfs.bindings import NOTE_NAME
from kmsfs.chunkfile import ChunkFile
from kmsfs.directories import RECORD_NAME, TEMPORARY_PREFIX
from kmsfs.errors import CorruptFileError, CorruptRecordError, KeyUnavailableError
from kmsfs.homes import Homes
from kmsfs.loading import Loader
from kmsfs.pulse import Pulse
from kmsfs.records import STORED_XATTR_PREFIX
from kmsfs.repair import authenticated_size
from kmsfs.walking import Found, walk

_LOG: Final = logging.getLogger(__name__)

# Clocks are set; a file that was written while the volume was in use may seem this much older.
SLACK_SECONDS: Final = 24 * 60 * 60

_NANOSECONDS: Final = 1_000_000_000
_SIDECAR_OF: Final = slice(None, -len(names.SIDECAR_SUFFIX))
# Faults of the moment: a file left out because of them would be refused for ever.
_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery found.

    Attributes:
        checked: files whose length was held against their header.
        repaired: those of them that were cut to what authenticates, or were found without a header and are
            empty now.
        beyond_repair: those of them that do not authenticate or cannot be read; opening them is refused.
        removed: temporaries and sidecars.
        without_key: files whose key cannot be had now. They are for a later mount to look at, which has to
            recover the volume from the same moment on.
    """

    checked: int
    repaired: int
    beyond_repair: int
    removed: int
    without_key: int = 0


def recover(root_fd: int, loader: Loader, homes: Homes, in_use_since: float, now: float) -> Recovered:
    """Repair what a crash left in a volume; once it returns, all of it is on storage.

    Args:
        root_fd: the ciphertext directory.
        loader: of the volume.
        homes: the directories of the volume.
        in_use_since: when the mount began that did not end by unmounting, in seconds since the epoch.
        now: the time; where it is before `in_use_since`, no time of a file can be relied on.

    Raises:
        VolumeError: another program moves directories about.
        OSError: the store is full, or something else that passes.
    """
    oldest = in_use_since - SLACK_SECONDS if in_use_since <= now else 0
    recovery = _Recovery(loader, homes, int(oldest) * _NANOSECONDS)
    if homes.are_binding:
        # What is tied to one of two places now must not be found at the other one after another crash.
        backing.sync_filesystem(root_fd)
    for found in walk(root_fd):
        recovery.visit(found)
    backing.sync_filesystem(root_fd)
    return recovery.result()


def remove_leftovers(root_fd: int) -> int:
    """Remove temporaries, and sidecars of names that are not there; return how many.

    Raises:
        VolumeError: another program moves directories about.
        OSError: one cannot be removed.
    """
    removed = 0
    for found in walk(root_fd):
        if _is_leftover(found):
            _remove_leftover(found)
            removed += 1
    return removed


class _Recovery:
    """One recovery under way.

    Args:
        loader: of the volume.
        homes: its directories.
        oldest_ns: files whose inode has not changed since are not looked at.
    """

    def __init__(self, loader: Loader, homes: Homes, oldest_ns: int) -> None:
        self._loader = loader
        self._homes = homes
        self._oldest_ns = oldest_ns
        self._pulse = Pulse("recovery")
        self._linked: set[int] = set()
        self._repaired = 0
        self._beyond_repair = 0
        self._removed = 0
        self._without_key = 0

    def result(self) -> Recovered:
        """Return what was found so far."""
        return Recovered(
            self._pulse.checked, self._repaired, self._beyond_repair, self._removed, self._without_key
        )

    def visit(self, found: Found) -> None:
        """Do what there is to do with one entry."""
        self._pulse.beat()
        if _is_leftover(found):
            self._remove(found)
        elif stat.S_ISDIR(found.status.st_mode):
            if self._homes.are_binding and not names.is_reserved(found.name):
                self._homes.settle_directory(found)
        elif stat.S_ISREG(found.status.st_mode) and not names.is_reserved(found.name):
            self._file(found)

    def _remove(self, found: Found) -> None:
        try:
            _remove_leftover(found)
        except OSError as error:
            # It is in nobody's way: listings leave it out.
            _LOG.warning("leftover %r cannot be removed: %s", found.name, error.strerror)
        else:
            self._removed += 1

    def _file(self, found: Found) -> None:
        inode = found.status.st_ino
        if found.status.st_ctime_ns < self._oldest_ns or inode in self._linked:
            return
        if found.status.st_nlink > 1:
            self._linked.add(inode)
        self._pulse.checked += 1
        try:
            self._repaired += self._check(found)
        except KeyUnavailableError:
            self._without_key += 1
        except (CorruptFileError, CorruptRecordError) as error:
            self._give_up(inode, error)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            self._give_up(inode, error)

    def _give_up(self, inode: int, error: Exception) -> None:
        self._beyond_repair += 1
        _LOG.warning("inode %d is beyond repair and left as it is: %s", inode, error)

    def _check(self, found: Found) -> bool:
        """Hold one file against its header; return whether it had to be repaired."""
        fd = _open(found)
        try:
            status = os.fstat(fd)
            if (status.st_ino, status.st_dev) != (found.status.st_ino, found.status.st_dev):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            if not any(os.pread(fd, header.HEADER_PEEK_SIZE, 0)):
                if status.st_nlink > 1 and self._homes.are_binding:
                    self._empty_apart(found, status)
                else:
                    self._empty(fd, status, self._homes.policy(found), self._homes.binding(found))
                _LOG.info("inode %d is repaired: it had no header, and is empty", status.st_ino)
                return True
            chunks = self._loader.load(fd, status.st_ino)
            sealed = chunks.size
            size = authenticated_size(chunks, status.st_size, self._pulse)
            is_whole = size == sealed and chunks.backing_size == status.st_size
            if not is_whole:
                _make_writable(fd)
                chunks.repair(size)
                _put_times_back(fd, status)
            self._settle(found, chunks, status)
            if is_whole:
                return False
            _LOG.info("inode %d is repaired: %d bytes were sealed, %d kept", status.st_ino, sealed, size)
            return True
        finally:
            os.close(fd)

    def _settle(self, found: Found, chunks: ChunkFile, status: os.stat_result) -> None:
        """Tie a file that may be at several places to the one where it is."""
        place = self._homes.unsettled(found, chunks)
        if place is None:
            return
        _make_writable(chunks.fd)
        if place:
            chunks.bind(place)
        else:
            chunks.untie()
        _put_times_back(chunks.fd, status)

    def _empty(self, fd: int, status: os.stat_result, policy: int, binding: bytes | None) -> None:
        """Make an empty file of one that was created and whose header never came."""
        new = self._loader.create(fd, os.fstat(fd).st_ino, policy, binding)
        _make_writable(fd)
        backing.truncate(fd, 0)
        _drop_attributes(fd)
        new.settle()
        _put_times_back(fd, status)

    def _empty_apart(self, found: Found, status: os.stat_result) -> None:
        """Give one of the names of such a file an empty file of its own.

        Only a note bound to the id in its header could tell that somebody with the key gave it those names.
        """
        temporary = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
        fd = backing.create_file(found.dirfd, temporary, stat.S_IMODE(status.st_mode))
        try:
            backing.fchown_fchmod(fd, status.st_uid, status.st_gid, status.st_mode)
            self._empty(fd, status, self._homes.policy(found), self._homes.binding(found))
            backing.rename(found.dirfd, temporary, found.dirfd, found.name)
        except BaseException:
            backing.unlink(found.dirfd, temporary)
            raise
        finally:
            os.close(fd)
        self._linked.discard(status.st_ino)


def _drop_attributes(fd: int) -> None:
    """Remove sealed attributes of a file without header: they are bound to the id that would be in it."""
    try:
        stored = backing.listxattr(fd)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return
    for name in stored:
        if name.startswith(STORED_XATTR_PREFIX) or name == NOTE_NAME:
            backing.removexattr(fd, name)


def _is_leftover(found: Found) -> bool:
    if found.name.startswith(TEMPORARY_PREFIX):
        return True
    owner = found.name[_SIDECAR_OF]
    if not names.is_reserved(found.name) or not names.is_long(owner):
        return False
    try:
        backing.stat(found.dirfd, owner)
    except FileNotFoundError:
        return True
    return False


def _remove_leftover(found: Found) -> None:
    """Remove a temporary or a sidecar; of a directory only one that holds no more than a record."""
    if not stat.S_ISDIR(found.status.st_mode):
        backing.unlink(found.dirfd, found.name)
        return
    fd = backing.open_directory(found.dirfd, found.name)
    try:
        with backing.widened(fd, stat.S_IRWXU):
            if backing.list_names(fd) == [RECORD_NAME]:
                backing.unlink(fd, RECORD_NAME)
            backing.rmdir(found.dirfd, found.name)
    finally:
        os.close(fd)


def _open(found: Found) -> int:
    """Open a file for reading, and for writing where its mode allows that; its owner may always read it."""
    try:
        return backing.open_regular(found.dirfd, found.name, writable=False)
    except PermissionError:
        path_fd = backing.open_path(found.dirfd, found.name)
    try:
        with backing.widened(path_fd, stat.S_IRUSR):
            return backing.reopen_regular(path_fd, writable=False)
    finally:
        os.close(path_fd)


def _put_times_back(fd: int, status: os.stat_result) -> None:
    """Let a file be as old as what is in it; what is somebody else's gets its times from the store."""
    with suppress(PermissionError):
        backing.utimens_fd(fd, (status.st_atime_ns, status.st_mtime_ns))


def _make_writable(fd: int) -> None:
    """Let a descriptor write too; the mode of a file says nothing of what its owner wrote before."""
    if backing.is_writable(fd):
        return
    with backing.widened(fd, stat.S_IRUSR | stat.S_IWUSR):
        writable_fd = backing.reopen_regular(fd, writable=True)
    try:
        os.dup2(writable_fd, fd, inheritable=False)
    finally:
        os.close(writable_fd)
