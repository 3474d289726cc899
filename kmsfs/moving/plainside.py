"""Owns the plain side of a transfer: an ordinary tree of files, which may be hostile or change meanwhile.

Every call is relative to a directory's descriptor, and every directory is opened one name at a time without
following symlinks: nothing leads out of the tree. Knows nothing of volumes but which directory is one.
"""

import errno
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Final

from kmsfs import backing
from kmsfs.moving.sides import (
    BLOCK_BYTES,
    OWNER_REFUSALS,
    PIECE_BYTES,
    TOLD_PREFIX,
    XATTR_REFUSALS,
    Facts,
    Rights,
    Source,
    facts_of,
    missing_steps,
    own_rights,
    without_set_id,
)
from kmsfs.records import XATTR_PREFIX

PART_PREFIX: Final = b".kmsfs.part."
_MAX_OPEN: Final = 256
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL: Final = 0o600


class PlainSide:
    """An ordinary directory and all below.

    Args:
        top: path of it.
        volume: device and number of the ciphertext directory, which is no part of it.
        rights: of this process.
        cold: whether files are read from storage rather than from the page cache.

    Raises:
        OSError: it is not a directory, or cannot be opened.
    """

    def __init__(
        self, top: str, volume: tuple[int, int], rights: Rights | None = None, *, cold: bool = False
    ) -> None:
        self._top = top
        self._volume = volume
        self._rights = rights or own_rights()
        self._cold = cold
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._buffer = memoryview(bytearray(PIECE_BYTES))
        self._parts = (b"%s%s.%d" % (PART_PREFIX, secrets.token_hex(8).encode(), n) for n in count())
        self.top_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def entries(self, directory: bytes) -> Iterator[tuple[bytes, Facts]]:
        """Yield names and facts of what is in a directory."""
        fd = backing.open_listing(self._dirfd(directory))
        try:
            with os.scandir(fd) as found:
                for entry in found:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield os.fsencode(entry.name), facts_of(status, status.st_size)
        finally:
            os.close(fd)

    def look(self, directory: bytes, name: bytes) -> Facts | None:
        """Return the facts of an entry; None if there is no such name."""
        try:
            status = backing.stat(self._dirfd(directory), name)
        except FileNotFoundError:
            return None
        return facts_of(status, status.st_size)

    def open(self, directory: bytes, name: bytes) -> "PlainReading":
        """Open a regular file.

        Raises:
            OSError: EINVAL, if it is none by now.
        """
        fd = _open_for_reading(self._dirfd(directory), name)
        try:
            if self._cold:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            return PlainReading(fd, self._buffer)
        except BaseException:
            os.close(fd)
            raise

    def readlink(self, directory: bytes, name: bytes) -> bytes:
        """Return a symlink's target."""
        return backing.readlink(self._dirfd(directory), name)

    def xattrs(self, directory: bytes, name: bytes) -> Mapping[bytes, bytes]:
        """Return all extended attributes of what is no symlink."""
        fd = backing.open_path(self._dirfd(directory), name)
        try:
            return _xattrs(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)

    def make(self, directory: bytes, name: bytes, facts: Facts, target: bytes) -> bool:
        """Make what is no regular file; a directory may be there already."""
        dirfd = self._dirfd(directory)
        if stat.S_ISLNK(facts.mode):
            backing.symlink(dirfd, name, target)
        elif not stat.S_ISDIR(facts.mode):
            backing.mknod(dirfd, name, stat.S_IFMT(facts.mode) | _SPECIAL, facts.device)
        else:
            try:
                backing.mkdir(dirfd, name, stat.S_IRWXU)
            except FileExistsError:
                os.close(backing.open_directory(dirfd, name))
                return False
        return True

    def link(self, directory: bytes, name: bytes, to_directory: bytes, to_name: bytes) -> None:
        """Give an inode one more name."""
        to_fd = os.dup(self._dirfd(to_directory))
        try:
            backing.link(self._dirfd(directory), name, to_fd, to_name)
        finally:
            os.close(to_fd)

    def remove(self, directory: bytes, name: bytes) -> None:
        """Remove a name that is no directory's."""
        backing.unlink(self._dirfd(directory), name)

    def new_file(self, directory: bytes, name: bytes) -> "PlainWriting":
        """Begin a regular file."""
        dirfd, part = self._dirfd(directory), next(self._parts)
        fd = os.open(part, _MAKE, 0o600, dir_fd=dirfd)
        return PlainWriting(self, fd, directory, name, part)

    def put_in_place(self, directory: bytes, part: bytes, name: bytes) -> None:
        """Give a file that is whole its name."""
        dirfd = self._dirfd(directory)
        backing.rename(dirfd, part, dirfd, name)

    def dress(self, directory: bytes, name: bytes, facts: Facts, xattrs: Mapping[bytes, bytes]) -> list[str]:
        """Give an entry its owner, attributes, mode and times; return what cannot be kept."""
        dirfd = self._dirfd(directory)
        fd = backing.open_path(dirfd, name)
        try:
            status = os.fstat(fd)
            facts, lost = _given_away(fd, status, facts)
            if not stat.S_ISLNK(facts.mode):
                if self._rights.uid:
                    backing.chmod(fd, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
                lost += _set_xattrs(f"/proc/self/fd/{fd}", xattrs)
                backing.chmod(fd, stat.S_IMODE(facts.mode))
        finally:
            os.close(fd)
        backing.utimens(dirfd, name, (facts.atime_ns, facts.mtime_ns))
        return lost

    def prepare(self, directory: bytes, keep: Source) -> None:
        """Make a directory that was there writable; remove what an earlier transfer left under way."""
        dirfd = self._dirfd(directory)
        mode = stat.S_IMODE(os.fstat(dirfd).st_mode)
        if self._rights.uid and mode & stat.S_IRWXU != stat.S_IRWXU:
            backing.chmod(dirfd, mode | stat.S_IRWXU)
        for name in backing.list_names(dirfd):
            if name.startswith(PART_PREFIX) and keep.look(directory, name) is None:
                backing.unlink(dirfd, name)

    def fresh(self) -> "PlainSide":
        """Return the same side with nothing remembered, that reads what is stored."""
        return PlainSide(self._top, self._volume, self._rights, cold=True)

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.popitem()[1])
        os.close(self.top_fd)

    def _dirfd(self, directory: bytes) -> int:
        """Return an O_PATH descriptor of a directory, good until a few hundred others were asked for."""
        if not directory:
            return self.top_fd
        fd = self._open.get(directory)
        if fd is not None:
            self._open.move_to_end(directory)
            return fd
        above, missing = missing_steps(directory, self._open)
        fd = self._open[above] if above else self.top_fd
        for path in missing:
            fd = self._step(fd, path)
        return fd

    def _step(self, above_fd: int, path: bytes) -> int:
        fd = backing.open_directory(above_fd, path.rpartition(b"/")[2])
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) == self._volume:
            os.close(fd)
            raise OSError(errno.EXDEV, "is the ciphertext directory of this volume, which is left out")
        self._open[path] = fd
        if len(self._open) > _MAX_OPEN:
            # A path may have more steps than may be open; what is above is not needed for the next one.
            os.close(self._open.popitem(last=False)[1])
        return fd


class PlainReading:
    """A plain file that is open for reading.

    Args:
        fd: of it; closed by `close`.
        buffer: of the side.
    """

    def __init__(self, fd: int, buffer: memoryview) -> None:
        self._status = os.fstat(fd)
        if not stat.S_ISREG(self._status.st_mode):
            raise OSError(errno.EINVAL, "is no regular file any more")
        self.facts = facts_of(self._status, self._status.st_size)
        self._fd = fd
        self._buffer = buffer

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield offset and end of what is no hole."""
        if self._status.st_blocks * BLOCK_BYTES >= self.facts.size:
            return iter(((0, self.facts.size),))
        return data_ranges(self._fd, self.facts.size)

    def read(self, offset: int, length: int) -> memoryview:
        """Return up to `length` bytes, fewer at the end."""
        view = self._buffer[:length]
        return view[: backing.pread_into(self._fd, [view], offset)]

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Return all extended attributes."""
        return _xattrs(self._fd)

    def is_unchanged(self) -> bool:
        """Say whether the file is as it was when it was opened."""
        now, then = os.fstat(self._fd), self._status
        return (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)


class PlainWriting:
    """A plain file under way, under a name of its own beside the one it is to have."""

    def __init__(self, side: PlainSide, fd: int, directory: bytes, name: bytes, part: bytes) -> None:
        self._side = side
        self._fd = fd
        self._directory = directory
        self._name = name
        self._part = part
        self._end = 0

    def write(self, offset: int, content: memoryview | bytes) -> None:
        """Write at an offset."""
        backing.pwrite_all(self._fd, [content], offset)
        self._end = offset + len(content)

    def finish(self, facts: Facts, xattrs: Mapping[bytes, bytes]) -> list[str]:
        """Give it its size and attributes, and its name."""
        if self._end < facts.size:
            os.ftruncate(self._fd, facts.size)
        facts, lost = _given_away(self._fd, os.fstat(self._fd), facts)
        if xattrs:
            lost += _set_xattrs(self._fd, xattrs)
        os.fchmod(self._fd, stat.S_IMODE(facts.mode))
        os.utime(self._fd, ns=(facts.atime_ns, facts.mtime_ns))
        self._side.put_in_place(self._directory, self._part, self._name)
        os.close(self._fd)
        return lost

    def discard(self) -> None:
        """Remove it."""
        os.close(self._fd)
        with suppress(FileNotFoundError):
            self._side.remove(self._directory, self._part)


def data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield offset and end of what the store has of a file of `size` bytes."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        offset = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if start < offset:
            yield start, offset
        else:
            return


def _open_for_reading(dirfd: int, name: bytes) -> int:
    try:
        return os.open(name, _READ | os.O_NOATIME, dir_fd=dirfd)
    except PermissionError:
        return os.open(name, _READ, dir_fd=dirfd)


def _given_away(fd: int, status: os.stat_result, facts: Facts) -> tuple[Facts, list[str]]:
    """Change the owner, if it is another one; return the facts as they can be now, and what is lost."""
    if (status.st_uid, status.st_gid) != (facts.uid, facts.gid):
        try:
            backing.chown(fd, facts.uid, facts.gid)
        except OSError as error:
            if error.errno not in OWNER_REFUSALS:
                raise
            return without_set_id(facts), ["owner"]
    return facts, []


def _xattrs(where: int | str) -> dict[bytes, bytes]:
    try:
        names = os.listxattr(where)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}
    if not names:
        return {}
    found = {os.fsencode(name): os.getxattr(where, name) for name in names}
    return {name: value for name, value in found.items() if not name.startswith(TOLD_PREFIX)}


def _set_xattrs(where: int | str, xattrs: Mapping[bytes, bytes]) -> list[str]:
    there = _xattrs(where)
    lost = []
    for name, value in xattrs.items():
        if there.get(name) != value:
            try:
                os.setxattr(where, name, value)
            except OSError as error:
                if error.errno not in XATTR_REFUSALS:
                    raise
                lost.append(f"extended attribute {os.fsdecode(name)}")
    for name in there.keys() - xattrs.keys():
        if name.startswith(XATTR_PREFIX):
            os.removexattr(where, name)
    return lost
