"""Owns what the two sides of a transfer have in common: a tree of plain files, and the tree of a volume.

Either can be read from and written to, by directory and name, so that copying and comparing know neither.
A directory is a path from the top of its tree: names joined by slashes, empty for the top itself; the name
`.` stands for the directory. No implementation joins such a path, or follows a symlink in it.
"""

import errno
import os
import stat
from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

PIECE_BYTES: Final = 1 << 20
# What st_blocks counts in.
BLOCK_BYTES: Final = 512
HERE: Final = b"."
# What a mounted volume says of a file, and would not be true of a copy.
TOLD_PREFIX: Final = b"kmsfs."
# Of setxattr(2), where a store or a user has not these attributes; ENOSPC is ext4's word for one too large.
XATTR_REFUSALS: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EPERM, errno.E2BIG, errno.ERANGE, errno.ENOSPC, errno.ENAMETOOLONG}
)
# Of chown(2): not a right of this process, or, in a user namespace, nobody there.
OWNER_REFUSALS: Final = frozenset({errno.EPERM, errno.EINVAL})


class Facts(NamedTuple):
    """What is to be kept of an inode, and what tells inodes apart.

    Attributes:
        mode: type and permission bits.
        uid, gid: owner.
        size: bytes of plaintext.
        atime_ns, mtime_ns: since the epoch.
        link_count: names.
        identity: device and number of the inode.
        device: what a device node stands for.
    """

    mode: int
    uid: int
    gid: int
    size: int
    atime_ns: int
    mtime_ns: int
    link_count: int
    identity: tuple[int, int]
    device: int


def facts_of(status: os.stat_result, size: int) -> Facts:
    """Return the facts of a status whose size may be another one."""
    return Facts(
        status.st_mode, status.st_uid, status.st_gid, size, status.st_atime_ns, status.st_mtime_ns,
        status.st_nlink, (status.st_dev, status.st_ino), status.st_rdev,
    )  # fmt: skip


class Rights(NamedTuple):
    """What this process may make of owners.

    Attributes:
        uid, gid: its own.
        groups: to which it may give what is its own.
    """

    uid: int
    gid: int
    groups: frozenset[int]

    def kept(self, facts: Facts) -> Facts:
        """Return the facts as a copy can have them: what runs as its owner does not run as another one."""
        if not self.uid:
            return facts
        gid = facts.gid if facts.gid in self.groups else self.gid
        mode = facts.mode
        if facts.uid != self.uid:
            mode &= ~stat.S_ISUID
        if facts.gid != gid and not stat.S_ISDIR(mode):
            mode &= ~stat.S_ISGID
        return facts._replace(mode=mode, uid=self.uid, gid=gid)


def missing_steps(directory: bytes, known: Container[bytes]) -> tuple[bytes, list[bytes]]:
    """Return where to begin on the way to a directory that is not known, and the directories to step into.

    Args:
        directory: path from the top, not empty.
        known: paths of directories that need no step.

    Returns:
        The nearest known directory above, empty for the top, and the paths below it, the highest first.
    """
    missing = [directory]
    while (above := missing[-1].rpartition(b"/")[0]) and above not in known:
        missing.append(above)
    return above, missing[::-1]


def without_set_id(facts: Facts) -> Facts:
    """Return the facts of a copy that could not be given to its owner: it must not run as somebody else."""
    return facts._replace(mode=facts.mode & ~(stat.S_ISUID | stat.S_ISGID))


def own_rights() -> Rights:
    """Return the rights of this process."""
    gid = os.getegid()
    return Rights(os.geteuid(), gid, frozenset({gid, *os.getgroups()}))


class Reading(Protocol):
    """A regular file that is open for reading."""

    facts: Facts

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield offset and end of what is no hole, in order."""
        ...

    def read(self, offset: int, length: int) -> memoryview | bytes:
        """Return up to `length` bytes, fewer at the end; good until the next call on this side."""
        ...

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Return all extended attributes."""
        ...

    def is_unchanged(self) -> bool:
        """Say whether the file is as it was when it was opened."""
        ...

    def close(self) -> None:
        """End reading."""
        ...


class Writing(Protocol):
    """A regular file under way, which nobody sees before it is whole."""

    def write(self, offset: int, content: memoryview | bytes) -> None:
        """Write at an offset, at or behind the end of what was written before."""
        ...

    def finish(self, facts: Facts, xattrs: Mapping[bytes, bytes]) -> list[str]:
        """Give it its size and attributes, and its name, in place of what has that name; return what is lost.

        Raises:
            OSError: it has not got its name, and can only be discarded.
        """
        ...

    def discard(self) -> None:
        """Remove it."""
        ...


class Source(Protocol):
    """A tree that is read from."""

    def entries(self, directory: bytes) -> Iterator[tuple[bytes, Facts]]:
        """Yield names and facts of what is in a directory."""
        ...

    def look(self, directory: bytes, name: bytes) -> Facts | None:
        """Return the facts of an entry; None if there is no such name."""
        ...

    def open(self, directory: bytes, name: bytes) -> Reading:
        """Open a regular file."""
        ...

    def readlink(self, directory: bytes, name: bytes) -> bytes:
        """Return a symlink's target."""
        ...

    def xattrs(self, directory: bytes, name: bytes) -> Mapping[bytes, bytes]:
        """Return all extended attributes of what is no symlink."""
        ...


class Target(Protocol):
    """A tree that is written to."""

    def make(self, directory: bytes, name: bytes, facts: Facts, target: bytes) -> bool:
        """Make what is no regular file, for now under no particular mode; return whether it is new.

        A directory may be there already.

        Args:
            directory: where.
            name: of what is made.
            facts: its type, and its device.
            target: of a symlink.
        """
        ...

    def link(self, directory: bytes, name: bytes, to_directory: bytes, to_name: bytes) -> None:
        """Give an inode one more name."""
        ...

    def remove(self, directory: bytes, name: bytes) -> None:
        """Remove a name that is no directory's."""
        ...

    def new_file(self, directory: bytes, name: bytes) -> Writing:
        """Begin a regular file."""
        ...

    def dress(self, directory: bytes, name: bytes, facts: Facts, xattrs: Mapping[bytes, bytes]) -> list[str]:
        """Give an entry its owner, attributes, mode and times; return what cannot be kept."""
        ...

    def prepare(self, directory: bytes, keep: Source) -> None:
        """Make a directory that was there already one that can be written to, until it is dressed.

        Files that an earlier transfer left under way are removed, but for those that `keep` has.
        """
        ...


class Side(Source, Target, Protocol):
    """Either side."""

    def fresh(self) -> "Side":
        """Return the same side with nothing remembered, that reads what is stored."""
        ...

    def close(self) -> None:
        """Close what is open; the store it lies on stays."""
        ...
