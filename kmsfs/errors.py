"""Owns the filesystem's errors and the errno of each. Knows nothing of FUSE or of who prints them."""

import errno
from collections.abc import Callable


class KmsfsError(Exception):
    """Base of everything kmsfs raises on purpose; `errno` is what a program on the mount sees.

    `inode` is what it is about on the backing store, where whoever raises it knows better than who asked.
    """

    errno: int = errno.EIO
    inode: int | None = None


class VolumeError(KmsfsError):
    """The volume cannot be used as asked: not a volume, locked by another mount, wrong format."""

    errno = errno.EINVAL


class CorruptVolumeError(VolumeError):
    """The volume description is damaged or was changed by someone without the key."""

    errno = errno.EIO


class CorruptHeaderError(KmsfsError):
    """A file's header does not authenticate or contradicts the volume."""


class CorruptRecordError(KmsfsError):
    """A directory's record, a symlink target or an extended attribute does not authenticate."""


class MovedDirectoryError(CorruptRecordError):
    """A directory is not where it belongs; its record itself is as it was written."""


class CorruptTargetError(CorruptRecordError):
    """A symlink's target does not authenticate."""


class CorruptAttributeError(CorruptRecordError):
    """The name or the value of an extended attribute does not authenticate."""


class CorruptNameError(KmsfsError):
    """A name on the backing store is not one that this directory's key has sealed."""


class CorruptFileError(KmsfsError):
    """A file's content does not authenticate, or its length contradicts its sealed size.

    Args:
        inode: inode number on the backing store.
        chunk_index: first chunk that is wrong; None when it is the file's length.
        reason: one word or clause, such as "truncated", "extended", "tag".
    """

    def __init__(self, inode: int, chunk_index: int | None, reason: str) -> None:
        where = "" if chunk_index is None else f", chunk {chunk_index}"
        super().__init__(f"inode {inode}{where}: {reason}")
        self.inode = inode
        self.chunk_index = chunk_index
        self.reason = reason


class KeyUnavailableError(KmsfsError):
    """A key cannot be had; the message is the agent's reason and what to do next."""

    errno = errno.ENOKEY


class WaitNeededError(Exception):
    """What was asked for needs an answer of the agent or the store first. No program ever sees it.

    Whoever runs requests calls `work` in a worker thread, then makes the same call again: until one does not
    raise this. What `work` finds out, a refusal included, that call gets. Nothing has changed before it.

    Args:
        work: takes as long as that; may run in several threads, and raises nothing.
        asks_agent: whether it waits for the agent rather than the store.
    """

    def __init__(self, work: Callable[[], None], *, asks_agent: bool = True) -> None:
        super().__init__("the agent or the store has to be asked first")
        self.work = work
        self.asks_agent = asks_agent


class ReservedNameError(KmsfsError):
    """The name is one that kmsfs keeps for itself on the backing store."""

    errno = errno.EPERM


class NameTooLongError(KmsfsError):
    """A name is over 255 bytes, or a symlink target too long once sealed."""

    errno = errno.ENAMETOOLONG
