"""Makes a directory of what a power cut left, and holds the volume in it against what a program counts on."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from journal import Resized, Synced, SyncedAll, Written
from kmsfs.core import Core
from kmsfs.directories import RECORD_NAME
from kmsfs.errors import CorruptFileError, MovedDirectoryError
from kmsfs.file import File
from kmsfs.inodes import ROOT_INODE
from kmsfs.names import is_long, is_reserved, sidecar_name
from kmsfs.opening import open_volume
from kmsfs.places import MOVED
from kmsfs.volumedir import DIRECTORY_NAME, NotAVolumeError
from powercut import PAGE, ROOT, Journal, Model, State
from program import Names, Place, Program, Version

CHUNK = 4096
RECORD = CHUNK + 40
HEADER = 512


def lay_out(state: State, path: bytes) -> dict[int, int]:
    """Make a disk's directories and files; return the node of each inode number."""
    made: dict[int, bytes] = {}
    _directory(state, ROOT, path, made)
    for node, place in made.items():
        inode = state.inodes[node]
        for name, value in inode.attributes.items():
            os.setxattr(place, name, value)
        if not stat.S_ISLNK(inode.kind):
            os.chmod(place, inode.mode)
    return {os.lstat(place).st_ino: node for node, place in made.items()}


def _directory(state: State, directory: int, path: bytes, made: dict[int, bytes]) -> None:
    os.mkdir(path)
    made[directory] = path
    for name, node in state.names[directory].items():
        place, inode = os.path.join(path, name), state.inodes[node]
        if node in made:
            os.link(made[node], place, follow_symlinks=False)
        elif stat.S_ISDIR(inode.kind):
            _directory(state, node, place, made)
        elif stat.S_ISLNK(inode.kind):
            os.symlink(inode.target, place)
            made[node] = place
        else:
            Path(os.fsdecode(place)).write_bytes(inode.content)
            made[node] = place


class Check:
    """One disk after a cut, mounted and looked at.

    Args:
        program: whose volume it was.
        journal: of it.
        state: the disk.
        model: the kind of store that it is one of.
    """

    def __init__(self, program: Program, journal: Journal, state: State, model: Model) -> None:
        self._program = program
        self._journal = journal
        self._state = state
        self._model = model
        self._nodes: dict[int, int] = {}
        self._found: Names = {}

    def run(self, path: Path) -> None:
        """Lay the disk out, mount, look at everything.

        Raises:
            AssertionError: something is there that no power cut explains.
        """
        self._nodes = lay_out(self._state, os.fsencode(path))
        try:
            with open_volume(str(path), self._program.keys.client()) as volume:
                core = Core(volume)
                try:
                    self._enter(core, ROOT_INODE, ROOT, ())
                    core.files.close()
                finally:
                    core.inodes.close()
        except NotAVolumeError:
            # It was being made.
            assert DIRECTORY_NAME not in self._state.names[ROOT]
            assert self._state.time < self._program.formatted
            return
        if self._model is not Model.WEAK:
            assert self._found in self._expected(), f"{self._found} is not among {self._expected()}"

    def _expected(self) -> list[object]:
        """Return what the names may be: the call's within which the cut fell are old or new."""
        metadata, versions = self._state.metadata, self._program.names
        whole = [version for version in versions if version.ended <= metadata]
        return [v.value for v in (whole[-1], *(v for v in versions if v.began < metadata < v.ended))]

    def _enter(self, core: Core, nodeid: int, directory: int, place: Place) -> None:
        """Look at a directory and all below it."""
        stored = self._state.names[directory]
        entries = [name for name in stored if not is_reserved(name)]
        if self._model is Model.WEAK:
            if RECORD_NAME not in stored and entries:
                return
            entries = [name for name in entries if not is_long(name) or sidecar_name(name) in stored]
        try:
            listed = [(name, entry) for name, entry, _ in core.listing(nodeid).read(0) if entry is not None]
        except MovedDirectoryError:
            assert self._may_be_elsewhere(directory)
            return
        assert len(listed) == len(entries), f"{place} has {len(entries)} entries and shows {len(listed)}"
        for name, entry in listed:
            inner = (*place, name)
            mode = entry.status.st_mode
            if stat.S_ISDIR(mode):
                self._found[inner] = b""
                self._enter(core, entry.nodeid, self._nodes[entry.status.st_ino], inner)
            elif stat.S_ISLNK(mode):
                self._found[inner] = core.tree.readlink(entry.nodeid)
            else:
                self._found[inner] = node = self._node(core, nodeid, stored, name, entry.status)
                self._file(core, entry.nodeid, node)

    def _node(
        self, core: Core, nodeid: int, stored: dict[bytes, int], name: bytes, status: os.stat_result
    ) -> int:
        """Return which file stands under a name; each name of one whose header was lost may have its own."""
        node = self._nodes.get(status.st_ino)
        if node is None:
            node = stored[core.directories.stored_name(core.inodes.directory(nodeid), name).name]
            assert not any(self._state.inodes[node].content[:HEADER])
            assert sum(list(names.values()).count(node) for names in self._state.names.values()) > 1
        return node

    def _file(self, core: Core, nodeid: int, node: int) -> None:
        synced = self._journal.synced(node, self._state.time)
        versions = self._possible(self._program.contents[node], synced)
        try:
            file = core.open(nodeid, os.O_RDONLY)
        except CorruptFileError as error:
            if error.reason.startswith(MOVED):
                assert self._may_be_elsewhere(node)
                return
            # Noise where its header was to be.
            assert self._model is Model.WRITEBACK
            assert not self._journal.content(node, synced)
            return
        try:
            content, lost = read(file)
        finally:
            core.files.release(file.chunks.inode)
        unsynced = self._written(node, synced)
        assert lost <= unsynced, f"chunks {lost - unsynced} are lost, and only {unsynced} were being written"
        sizes = [len(version) for version in versions]
        assert len(content) <= max(sizes), f"{len(content)} bytes, and never more than {max(sizes)}"
        missing = (
            set(range(len(content) // CHUNK, -(-min(sizes) // CHUNK))) if len(content) < min(sizes) else set()
        )
        assert missing <= unsynced, f"{len(content)} bytes, and {min(sizes)} were synced"
        for start in range(0, len(content), CHUNK):
            if start // CHUNK not in lost:
                pieces = [version[start : start + CHUNK] for version in versions]
                assert is_mixed(content[start : start + CHUNK], pieces), f"chunk {start // CHUNK}"
        self._attribute(core, nodeid, node)

    def _may_be_elsewhere(self, node: int) -> bool:
        """Say whether an inode may be where it is not tied to: in a store that keeps no order of metadata."""
        return self._model is Model.WEAK and node in self._journal.moved(self._state.time)

    def _attribute(self, core: Core, nodeid: int, node: int) -> None:
        """Look at the one attribute that a file may have: what it was at some moment since its last fsync."""
        entries, synced = self._journal.entries, 0
        for index in range(self._state.time):
            if entries[index] in (Synced(node), SyncedAll()):
                synced = index
        versions = self._program.attributes[node]
        whole = [version for version in versions if version.ended <= synced]
        later = [v for v in versions if v.ended > synced and v.began < self._state.time]
        try:
            value = core.xattrs.get(nodeid, b"user.note")
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            value = None
        assert value in [version.value for version in (*whole[-1:], *later)]

    def _possible(self, versions: list[Version], synced: int) -> list[bytes]:
        """Return what a file may be of what it was, from the version on that was synced."""
        whole = [version for version in versions if version.ended <= synced]
        later = [v for v in versions if v.ended > synced and v.began < self._state.time]
        return [bytes(v.value) for v in (*whole[-1:], *later)]  # type: ignore[call-overload]  # content is bytes

    def _written(self, node: int, synced: int) -> set[int]:
        """Return the chunks that were written to and not synced; in a store without order, cut ones too."""
        found: set[int] = set()
        durable = len(self._journal.content(node, synced))
        for index, entry in enumerate(self._journal.entries[synced : self._state.time], synced):
            if isinstance(entry, Resized) and entry.node == node and self._model is Model.WEAK:
                found.update(
                    range(
                        (entry.size - HEADER) // RECORD, len(self._journal.content(node, index)) // RECORD + 1
                    )
                )
            if isinstance(entry, Written) and entry.node == node:
                start, end = entry.offset, entry.offset + len(entry.content)
                if self._model is Model.WRITEBACK and end > durable:
                    # Noise fills a page that is new to the file, also around what was written to it.
                    start, end = min(start, max(start // PAGE * PAGE, durable)), -(-end // PAGE) * PAGE
                first, last = start - HEADER, end - HEADER
                found.update(range(max(first, 0) // RECORD, -(-last // RECORD)))
        return found


def read(file: File) -> tuple[bytes, set[int]]:
    """Return what can be read of a file, and the chunks that cannot."""
    content, lost = bytearray(), set()
    for start in range(0, file.size, CHUNK):
        try:
            content += file.read(start, CHUNK)
        except CorruptFileError:
            lost.add(start // CHUNK)
            content += bytes(min(CHUNK, file.size - start))
    return bytes(content), lost


def is_mixed(piece: bytes, versions: list[bytes]) -> bool:
    """Say whether each byte is what some version has there, those that it had not being zeros."""
    whole = [version.ljust(len(piece), b"\0") for version in versions]
    if any(version.startswith(piece) for version in whole):
        return True
    return all(byte in {version[at] for version in whole} for at, byte in enumerate(piece))
