"""Owns readdir: a snapshot of a directory's names, taken when reading begins and stable under change."""

import stat
from collections.abc import Iterator
from typing import Final

from kmsfs import backing, names
from kmsfs.directories import RECORD_NAME, Directories
from kmsfs.entries import Entry
from kmsfs.errors import CorruptNameError
from kmsfs.inodes import Directory, Inodes
from kmsfs.reporting import Reports
from kmsfs.tree import Tree

_DOTS: Final = (b".", b"..")


class Listing:
    """One open directory.

    Args:
        directory: the directory.
        inodes: what the kernel knows.
        directories: places and names.
        tree: describes the entries.
        reports: told of names that nobody with the key has given.
    """

    def __init__(
        self, directory: Directory, inodes: Inodes, directories: Directories, tree: Tree, reports: Reports
    ) -> None:
        self.directory = directory
        self._inodes = inodes
        self._directories = directories
        self._tree = tree
        self._reports = reports
        self._stored: list[bytes] = []
        self._begun = False

    def read(self, start: int) -> Iterator[tuple[bytes, Entry | None, int]]:
        """Yield (name, entry, cookie of the next) from cookie `start` on; cookie 0 takes a new snapshot.

        So does the first call, wherever it begins: a server of NFS opens a directory anew to go on.

        `.` and `..` have no entry: the kernel takes no reference with them. An entry counts as one reference
        from the moment that it is yielded: give back (`Inodes.forget`) the last one if it did not fit.
        """
        if start == 0 or not self._begun:
            self._snapshot()
        for index in range(start, len(_DOTS)):
            yield _DOTS[index], None, index + 1
        first = max(start - len(_DOTS), 0)
        for index in range(first, len(self._stored)):
            stored = self._stored[index]
            try:
                # First: what has gone meanwhile has no sidecar either, and that is nobody's forgery.
                status = backing.stat(self._directories.dirfd(self.directory), stored)
                name = self._directories.plain_name(self.directory, stored)
            except FileNotFoundError:
                continue
            except CorruptNameError as error:
                self._reports.report_entry(self.directory, stored, error)
                continue
            yield name, self._tree.found(self.directory, stored, status), index + len(_DOTS) + 1

    def dot_inode(self, name: bytes) -> tuple[int, int]:
        """Return inode number and type bits of `.` or `..`."""
        parent = self.directory.parent
        node = self.directory if name == b"." or parent is None else parent
        return node.nodeid, stat.S_IFDIR

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
