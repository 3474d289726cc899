"""Owns checking all that is in a volume: names, records, targets, attributes, headers, lengths, chunks.

Goes through the core, so what is found wrong is what a mount refuses, and nothing else. Changes nothing.
"""

import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from kmsfs import backing, names, paths
from kmsfs.core import Core
from kmsfs.directories import RECORD_NAME, TEMPORARY_PREFIX
from kmsfs.errors import (
    CorruptFileError,
    CorruptRecordError,
    KeyUnavailableError,
    KmsfsError,
    MovedDirectoryError,
)
from kmsfs.file import File
from kmsfs.inodes import ROOT_INODE, Directory, Node
from kmsfs.volumedir import DIRECTORY_NAME

_SIDECAR_OF: Final = slice(None, -len(names.SIDECAR_SUFFIX))

LEFTOVER: Final = "leftover"
MEANINGS: Final = {
    "name": "nobody with the key gave it this name here; mounts leave it out",
    "moved": "somebody without the key put it here, and mounts refuse it; back where it was they would not",
    "record": "mounts cannot look into this directory: what its entries are called is lost with the record",
    "target": "where the symbolic link leads cannot be told; reading it is refused",
    "xattr": "an extended attribute is refused; the content is not concerned",
    "header": "the file cannot be opened",
    "length": "the file cannot be opened: it is not as long as it was when its size was sealed",
    "content": "reading these chunks is refused; those beside them can be read",
    "copy": "one of two is a copy of the other, put there by somebody without the key",
    "key": "not checked: its key cannot be had now, and mounts refuse it for as long",
    "unreadable": "not checked: the system refuses it",
    "foreign": "it has a name that kmsfs keeps for itself and is nothing of the kind; mounts leave it out",
    "device": "another filesystem is mounted here; a volume ends there",
    LEFTOVER: "a crash or an interrupted command left it; harmless, and kmsfs verify --repair removes it",
}
_NOT_LOOKED_AT: Final = ("key", "unreadable", "device")


class Problem(NamedTuple):
    """Something that is not as it was written.

    Attributes:
        kind: a key of MEANINGS.
        stored: path of the entry in the ciphertext directory.
        plain: its path in the volume; None where that cannot be told.
        detail: what was seen.
    """

    kind: str
    stored: bytes
    plain: bytes | None
    detail: str

    @property
    def is_damage(self) -> bool:
        """Whether it is more than the harmless trace of a crash."""
        return self.kind != LEFTOVER

    @property
    def is_failure(self) -> bool:
        """Whether it does not authenticate, rather than was not looked at."""
        return self.kind not in _NOT_LOOKED_AT and self.is_damage


@dataclass(slots=True)
class Tally:
    """What has been checked so far; counted up in place, to be looked at at any time.

    Attributes:
        directories, files, symlinks, others: entries; one inode with several names counts once.
        content_bytes: plaintext that was read and authenticated.
    """

    directories: int = 0
    files: int = 0
    symlinks: int = 0
    others: int = 0
    content_bytes: int = 0


class _Place(NamedTuple):
    """An entry: the core's number for it, and its two paths."""

    nodeid: int
    stored: bytes
    plain: bytes | None

    def problem(self, kind: str, detail: object) -> Problem:
        return Problem(kind, self.stored, self.plain, str(detail))


def verify(core: Core, path: bytes, tally: Tally, *, deep: bool) -> Iterator[Problem]:
    """Check an entry of a volume and everything below it; yield each problem as it is found.

    Args:
        core: of the volume.
        path: plain, from the volume's root.
        tally: counted up.
        deep: read every chunk of every file as well.

    Raises:
        OSError, KmsfsError: `path` itself cannot be reached.
    """
    entry = paths.find(core, path)
    top = _Place(entry.nodeid, paths.stored_path(core, path), b"/" + b"/".join(paths.components(path)))
    check = _Verification(core, tally, deep=deep)
    yield from check.entry(top, entry.status)
    while check.pending:
        place = check.pending.pop()
        yield from check.directory(place)
        core.inodes.forget(place.nodeid, 1)


class _Verification:
    """One verification under way; `pending` holds the directories that are still to be gone into."""

    def __init__(self, core: Core, tally: Tally, *, deep: bool) -> None:
        self.pending: list[_Place] = []
        self._core = core
        self._tally = tally
        self._deep = deep
        self._linked: set[int] = set()
        self._ids: set[bytes] = set()

    def entry(self, place: _Place, status: os.stat_result) -> Iterator[Problem]:
        """Check one entry, of a directory no more than that it is to be gone into."""
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in self._linked:
                return
            self._linked.add(status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            self._core.inodes[place.nodeid].lookups += 1
            self.pending.append(place)
        elif stat.S_ISREG(status.st_mode):
            self._tally.files += 1
            yield from self._file(place)
        elif stat.S_ISLNK(status.st_mode):
            self._tally.symlinks += 1
            yield from self._symlink(place)
        else:
            self._tally.others += 1

    def directory(self, place: _Place) -> Iterator[Problem]:
        """Check a directory and its entries."""
        core, node = self._core, self._core.inodes.directory(place.nodeid)
        self._tally.directories += 1
        try:
            stored = sorted(backing.list_names(core.directories.dirfd(node)))
        except OSError as error:
            yield place.problem("unreadable", error.strerror)
            return
        is_named, directories = place.plain is not None, core.directories
        try:
            if is_named:
                yield from self._identity(place, directories.dir_id(node))
                yield from self._xattrs(place)
            else:
                # Where it belongs nobody can tell.
                yield from self._identity(place, directories.record_of(directories.dirfd(node)).dir_id)
        except MovedDirectoryError as error:
            is_named = False
            yield place.problem("moved", error)
            yield from self._identity(place, directories.record_of(directories.dirfd(node)).dir_id)
        except CorruptRecordError as error:
            is_named = False
            empty = RECORD_NAME not in stored and directories.is_empty(directories.dirfd(node))
            yield place.problem(LEFTOVER if empty else "record", error)
        for name in stored:
            yield from self._child(place, node, name, is_named=is_named)

    def _child(self, above: _Place, node: Directory, name: bytes, *, is_named: bool) -> Iterator[Problem]:
        path = name if above.stored == b"." else above.stored + b"/" + name
        if names.is_reserved(name):
            yield from self._reserved(node, name, path)
            return
        core, plain, nameless = self._core, None, ""
        try:
            status = backing.stat(core.directories.dirfd(node), name)
        except OSError as error:
            yield Problem("unreadable", path, None, error.strerror or str(error))
            return
        try:
            if is_named and above.plain is not None:
                plain = above.plain.rstrip(b"/") + b"/" + core.directories.plain_name(node, name)
        except (KmsfsError, OSError) as error:
            nameless = str(error)
        if status.st_dev != os.fstat(core.volume.root_fd).st_dev:
            yield Problem("device", path, plain, "is on another filesystem")
            return
        entry = core.tree.found(node, name, status)
        place = _Place(entry.nodeid, path, plain)
        try:
            if nameless:
                yield place.problem("name", nameless)
            yield from self.entry(place, status)
        finally:
            core.inodes.forget(entry.nodeid, 1)

    def _reserved(self, node: Directory, name: bytes, path: bytes) -> Iterator[Problem]:
        if name == RECORD_NAME or (name == DIRECTORY_NAME and node.nodeid == ROOT_INODE):
            return
        if name.startswith(TEMPORARY_PREFIX):
            yield Problem(LEFTOVER, path, None, "a temporary")
        elif not names.is_long(name[_SIDECAR_OF]):
            yield Problem("foreign", path, None, "not a name of this format")
        else:
            try:
                backing.stat(self._core.directories.dirfd(node), name[_SIDECAR_OF])
            except FileNotFoundError:
                yield Problem(LEFTOVER, path, None, "the sidecar of a long name that is not there")

    def _symlink(self, place: _Place) -> Iterator[Problem]:
        try:
            self._core.tree.readlink(place.nodeid)
        except KmsfsError as error:
            # Without its directory's record no target can be opened; that has been said.
            if place.plain is not None:
                yield place.problem("target", error)
        except OSError as error:
            yield place.problem("unreadable", error.strerror)

    def _file(self, place: _Place) -> Iterator[Problem]:
        node = self._core.inodes[place.nodeid]
        try:
            file = self._core.attributes.open_anywhere(node, writable=False)
        except CorruptFileError as error:
            yield place.problem("header" if error.reason.startswith("header") else "length", error.reason)
            return
        except KeyUnavailableError as error:
            yield place.problem("key", error)
            return
        except KmsfsError as error:
            yield place.problem("header", error)
            return
        except OSError as error:
            yield place.problem("unreadable", error.strerror)
            return
        try:
            is_home = yield from self._home(place, node, file)
            yield from self._identity(place, file.chunks.file_id)
            if is_home:
                yield from self._xattrs(place)
            if self._deep:
                for detail in self._content(file):
                    yield place.problem("content", detail)
        finally:
            self._core.files.release(file.chunks.inode)

    def _home(self, place: _Place, node: Node, file: File) -> Generator[Problem, None, bool]:
        """Check that a file that has a name is where it belongs; return whether it is."""
        if place.plain is None:
            return False
        try:
            self._core.places.check(node, file)
        except CorruptFileError as error:
            yield place.problem("moved", error.reason)
            return False
        return True

    def _identity(self, place: _Place, identifier: bytes) -> Iterator[Problem]:
        if identifier in self._ids:
            yield place.problem("copy", f"another entry has its id, {identifier.hex()}, as well")
        self._ids.add(identifier)

    def _xattrs(self, place: _Place) -> Iterator[Problem]:
        xattrs = self._core.xattrs
        try:
            for name in xattrs.list(place.nodeid):
                xattrs.get(place.nodeid, name)
        except KmsfsError as error:
            yield place.problem("xattr", error)
        except OSError as error:
            yield place.problem("unreadable", f"extended attributes: {error.strerror}")

    def _content(self, file: File) -> Iterator[str]:
        """Read a file; yield which chunks are bad, those in a row together."""
        geometry = file.chunks.geometry
        first: int | None = None
        length, offset = paths.PIECE_BYTES, 0
        while offset < file.size:
            try:
                count = len(file.read(offset, length))
            except (CorruptFileError, OSError):
                # Where in a long piece it was, the next reads tell: one chunk each.
                if length == geometry.chunk_size:
                    if first is None:
                        first = offset >> geometry.chunk_shift
                    offset += length
                length = geometry.chunk_size
                continue
            self._tally.content_bytes += count
            if first is not None:
                yield _run(first, (offset >> geometry.chunk_shift) - 1)
                first = None
            offset += count
            if offset % paths.PIECE_BYTES == 0:
                length = paths.PIECE_BYTES
        if first is not None:
            yield _run(first, (file.size - 1) >> geometry.chunk_shift)


def _run(first: int, last: int) -> str:
    return f"chunk {first}" if first == last else f"chunks {first} to {last}"
