"""Owns readdir: a snapshot of a directory's names, taken when reading begins and stable under change."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from typing import Final

from kmsfs import backing, names
from kmsfs.directories import RECORD_NAME, Directories
from kmsfs.entries import Entry
from kmsfs.errors import CorruptNameError, WaitNeededError
from kmsfs.glancing import Seen, look, told
from kmsfs.inodes import Directory, Inodes
from kmsfs.pace import Pace
from kmsfs.reporting import Reports
from kmsfs.tree import Tree

_DOTS: Final = (b".", b"..")
# As many entries as a page of answers has room for, or a few more.
_MOST_AHEAD: Final = 32


class Listing:
    """One open directory.

    Args:
        directory: the directory.
        inodes: what the kernel knows.
        directories: places and names.
        tree: describes the entries.
        reports: told of names that nobody with the key has given.
        pace: of the store.
    """

    def __init__(
        self,
        directory: Directory,
        inodes: Inodes,
        directories: Directories,
        tree: Tree,
        reports: Reports,
        pace: Pace,
    ) -> None:
        self.directory = directory
        self._inodes = inodes
        self._directories = directories
        self._tree = tree
        self._reports = reports
        self._pace = pace
        self._ahead: dict[bytes, Seen] | None = None
        self._stored: list[bytes] = []
        self._begun = False

    def read(self, start: int) -> Iterator[tuple[bytes, Entry | None, int]]:
        """Yield (name, entry, cookie of the next) from cookie `start` on; cookie 0 takes a new snapshot.

        So does the first call, wherever it begins: a server of NFS opens a directory anew to go on.

        `.` and `..` have no entry: the kernel takes no reference with them. An entry counts as one reference
        from the moment that it is yielded: give back (`Inodes.forget`) the last one if it did not fit.
        Where the store is slow these may be some only, but not none where there are more.

        Raises:
            WaitNeededError: the store has to be asked first.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            if start == 0 or not self._begun:
                self._snapshot()
            ahead = self._look_ahead(start)
        for index in range(start, len(_DOTS)):
            yield _DOTS[index], None, index + 1
        has_any = False
        for index in range(max(start - len(_DOTS), 0), len(self._stored)):
            stored = self._stored[index]
            seen = ahead.get(stored)
            if seen is None and has_any and self._pace.is_slow:
                return
            try:
                # First: what has gone meanwhile has no sidecar either, and that is nobody's forgery.
                status = told(seen or look(self._pace, self._directories.dirfd(self.directory), stored))
                name = self._directories.plain_name(self.directory, stored)
            except FileNotFoundError:
                continue
            except CorruptNameError as error:
                self._reports.report_entry(self.directory, stored, error)
                continue
            has_any = True
            yield name, self._tree.found(self.directory, stored, status), index + len(_DOTS) + 1

    def dot_inode(self, name: bytes) -> tuple[int, int]:
        """Return inode number and type bits of `.` or `..`."""
        parent = self.directory.parent
        node = self.directory if name == b"." or parent is None else parent
        return node.nodeid, stat.S_IFDIR

    def _look_ahead(self, start: int) -> dict[bytes, Seen]:
        """Have entries looked at in a thread where the store is slow; else return nothing."""
        first = max(start - len(_DOTS), 0)
        stored = self._stored[first : first + _MOST_AHEAD]
        if stored and self._pace.is_slow:
            dirfd = os.dup(self._directories.dirfd(self.directory))
            raise WaitNeededError(partial(self._look, dirfd, stored), asks_agent=False)
        return {}

    def _look(self, dirfd: int, stored: list[bytes]) -> None:
        """Look at entries, and close the directory's descriptor; for a worker thread."""
        try:
            self._ahead = {name: look(self._pace, dirfd, name) for name in stored}
        finally:
            os.close(dirfd)

    def _snapshot(self) -> None:
        self._begun = True
        if self.directory.fd >= 0:
            self._stored = []
            return
        entries = backing.list_names(self._directories.dirfd(self.directory))
        self._stored = [entry for entry in entries if not names.is_reserved(entry)]
        if not self._stored and RECORD_NAME in entries:
            # With no name to open, nothing else looks at whether this directory belongs here.
            self._directories.dir_id(self.directory)
