"""A shim under `kmsfs.backing`: everything that the store is asked to change is done, and noted in a journal.

Every public function of that module is either noted here or listed as one that changes nothing; one that is
neither makes `unknown` say so, and the tests fail.
"""

from __future__ import annotations

import inspect
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from journal import (
    Attribute,
    Entry,
    Linked,
    Made,
    Mode,
    Removed,
    Renamed,
    Resized,
    Synced,
    SyncedAll,
    Written,
)
from kmsfs import backing

CHANGE_NOTHING = frozenset(
    {
        "any_entries",
        "any_names",
        "birth_ns",
        "close",
        "getxattr",
        "is_memory",
        "is_writable",
        "list_names",
        "listxattr",
        "open_directory",
        "open_listing",
        "open_path",
        "open_readable",
        "open_regular",
        "pread_cached",
        "pread_into",
        "read_small",
        "readlink",
        "reopen_regular",
        "stat",
        "warm",
        "will_need",
        "xattrs",
    }
)
THROUGH_OTHERS = frozenset({"widened"})
"""These change the store by functions of the same module, which are noted."""

ROOT = 0


FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: value
    for name, value in vars(backing).items()
    if inspect.isfunction(value) and value.__module__ == backing.__name__ and not name.startswith("_")
}
"""The public functions of the module that makes the system calls."""


class KilledError(Exception):
    """Ends a mount as `kill -9` does."""


class Recorder:
    """Notes what is done below one directory.

    Args:
        root: the directory; what it holds already is not known.

    Attributes:
        journal: what was done, in order.
        dies: whether the process is killed when it is about to sync a directory after a rename.
    """

    def __init__(self, root: bytes) -> None:
        self.journal: list[Entry] = []
        self.dies = False
        self._nodes = {os.stat(root).st_ino: ROOT}
        self._real = FUNCTIONS

    @classmethod
    def noted(cls) -> frozenset[str]:
        """Return the names of the functions that are noted."""
        return frozenset(name for name in vars(cls) if name in FUNCTIONS)

    @contextmanager
    def recording(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Note everything until the body ends."""
        with patch.context() as inner:
            for name in self.noted():
                inner.setattr(backing, name, getattr(self, name))
            yield

    def node(self, fd: int) -> int:
        """Return the number of the inode behind a descriptor; one that is not known is a bug."""
        return self._nodes[os.fstat(fd).st_ino]

    def node_of(self, inode: int) -> int:
        """Return the number of an inode by that of the store."""
        return self._nodes[inode]

    def _made(self, dirfd: int, name: bytes, target: bytes = b"", rdev: int = 0) -> None:
        status = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        number = len(self.journal) + 1
        self._nodes[status.st_ino] = number
        kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
        self.journal.append(Made(self.node(dirfd), name, number, kind, mode, target, rdev))

    def create_file(self, dirfd: int, name: bytes, mode: int) -> int:
        fd: int = self._real["create_file"](dirfd, name, mode)
        self._made(dirfd, name)
        return fd

    def mkdir(self, dirfd: int, name: bytes, mode: int) -> None:
        self._real["mkdir"](dirfd, name, mode)
        self._made(dirfd, name)

    def mknod(self, dirfd: int, name: bytes, mode: int, rdev: int) -> None:
        self._real["mknod"](dirfd, name, mode, rdev)
        self._made(dirfd, name, rdev=rdev)

    def symlink(self, dirfd: int, name: bytes, target: bytes) -> None:
        self._real["symlink"](dirfd, name, target)
        self._made(dirfd, name, target)

    def link(self, old_dirfd: int, old_name: bytes, new_dirfd: int, new_name: bytes) -> None:
        self._real["link"](old_dirfd, old_name, new_dirfd, new_name)
        node = self._nodes[os.stat(new_name, dir_fd=new_dirfd, follow_symlinks=False).st_ino]
        self.journal.append(Linked(self.node(new_dirfd), new_name, node))

    def unlink(self, dirfd: int, name: bytes) -> None:
        self._real["unlink"](dirfd, name)
        self.journal.append(Removed(self.node(dirfd), name))

    def rmdir(self, dirfd: int, name: bytes) -> None:
        self._real["rmdir"](dirfd, name)
        self.journal.append(Removed(self.node(dirfd), name))

    def rename(
        self, old_dirfd: int, old_name: bytes, new_dirfd: int, new_name: bytes, flags: int = 0
    ) -> None:
        self._real["rename"](old_dirfd, old_name, new_dirfd, new_name, flags)
        self.journal.append(Renamed(self.node(old_dirfd), old_name, self.node(new_dirfd), new_name, flags))

    def pwrite_all(self, fd: int, buffers: Sequence[memoryview | bytes], offset: int) -> None:
        content = b"".join(buffers)
        self._real["pwrite_all"](fd, buffers, offset)
        if content:
            self.journal.append(Written(self.node(fd), offset, content))

    def truncate(self, fd: int, size: int) -> None:
        before = os.fstat(fd).st_size
        self._real["truncate"](fd, size)
        if size != before:
            self.journal.append(Resized(self.node(fd), size))

    def chmod(self, fd: int, mode: int) -> None:
        self._real["chmod"](fd, mode)
        self.journal.append(Mode(self.node(fd), stat.S_IMODE(mode)))

    def chown(self, fd: int, uid: int, gid: int) -> None:
        self._real["chown"](fd, uid, gid)
        self.journal.append(Mode(self.node(fd), None))

    def fchown_fchmod(self, fd: int, uid: int, gid: int, mode: int | None) -> None:
        self._real["fchown_fchmod"](fd, uid, gid, mode)
        self.journal.append(Mode(self.node(fd), None if mode is None else stat.S_IMODE(mode)))

    def utimens(self, dirfd: int, name: bytes, times_ns: tuple[int, int]) -> None:
        self._real["utimens"](dirfd, name, times_ns)
        inode = os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_ino
        self.journal.append(Mode(self._nodes[inode], None))

    def futimens(self, fd: int, times_ns: tuple[int, int] | None = None) -> None:
        self._real["futimens"](fd, times_ns)
        self.journal.append(Mode(self.node(fd), None))

    def utimens_fd(self, fd: int, times_ns: tuple[int, int]) -> None:
        self._real["utimens_fd"](fd, times_ns)
        self.journal.append(Mode(self.node(fd), None))

    def setxattr(self, fd: int, name: bytes, value: bytes, flags: int = 0) -> None:
        self._real["setxattr"](fd, name, value, flags)
        self.journal.append(Attribute(self.node(fd), name, value))

    def removexattr(self, fd: int, name: bytes) -> None:
        self._real["removexattr"](fd, name)
        self.journal.append(Attribute(self.node(fd), name, None))

    # The store of the tests need not make anything durable: only the journal says what would be.

    def fsync(self, fd: int, *, data_only: bool) -> None:
        self.journal.append(Synced(self.node(fd), data_only))

    def fsync_and_close(self, fd: int) -> None:
        self.journal.append(Synced(self.node(fd)))
        os.close(fd)

    def fsync_directory(self, dirfd: int) -> None:
        if self.dies and isinstance(self.journal[-1], Renamed):
            self.dies = False
            raise KilledError
        self.journal.append(Synced(self.node(dirfd)))

    def sync_filesystem(self, fd: int) -> None:
        assert os.fstat(fd).st_mode & stat.S_IFDIR
        self.journal.append(SyncedAll())
