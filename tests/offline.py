"""A volume without agent and without mount: a directory, random keys, and the filesystem core on top of it.

For tests that change the ciphertext between two openings, or that need the core's calls one at a time. Names
are plain byte strings and directories are the core's own node numbers; every function gives back the
references that it takes, so that nothing depends on what an earlier call has left behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmsfs.bindings import Bindings
from kmsfs.bucketkeys import BucketKey
from kmsfs.core import Core
from kmsfs.file import File
from kmsfs.homes import Homes
from kmsfs.inodes import ROOT_INODE
from kmsfs.keyring import Keyring, PolicyKeys
from kmsfs.livedescription import LiveDescription
from kmsfs.loading import Loader
from kmsfs.names import PlainNames, SivNames
from kmsfs.openvolume import OpenVolume
from kmsfs.records import DirectoryRecord, RecordCipher
from kmsfs.recovery import Recovered, recover
from kmsfs.tree import Owner
from kmsfs.volume import Parameters, Policy, VolumeDescription, VolumeKeys

ROOT = ROOT_INODE
HEADER_BYTES = 512
PIECE_BYTES = 1 << 17
ME = Owner(os.geteuid(), os.getegid())
KEY_ARN = "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class OfflineVolume:
    """A volume below `path`, an empty directory; its keys live as long as this object."""

    def __init__(
        self, path: Path, *, chunk_shift: int = 12, names: str = "siv", bindings: bool = True
    ) -> None:
        self.path = path
        volume_id = os.urandom(16)
        self.description = VolumeDescription(
            volume_id,
            b"never asked for",
            (Policy(0, KEY_ARN, chunk_shift=chunk_shift),),
            parameters=Parameters(names, bindings),
        )
        self.keys = VolumeKeys.derive(os.urandom(32), volume_id)
        self.records = RecordCipher(self.keys.records, self.keys.xattr)
        self.names = PlainNames() if names == "plain" else SivNames(self.keys.names)
        self.bucket_keys = (
            BucketKey(os.urandom(16), os.urandom(32)),
            BucketKey(os.urandom(16), os.urandom(32)),
        )
        self.missing: dict[bytes, str] = {}
        self.bindings = Bindings(self.keys.bindings) if bindings else None
        root = DirectoryRecord(os.urandom(16)).tied(self.bindings.root() if self.bindings else None)
        os.symlink(self.records.seal(root), os.fsencode(path / ".kmsfs"))

    @contextmanager
    def core(self, *, read_only: bool = False, current: int = 0) -> Iterator[Core]:
        """Open the core on what lies in the directory now; `current` is the bucket key of new files."""
        root_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            core = Core(
                OpenVolume(
                    root_fd,
                    LiveDescription(self.description, -1, self.keys.mac),
                    self.keys,
                    self.names,
                    self.records,
                    self.keyring(current),
                    was_clean=True,
                    read_only=read_only,
                    bindings=self.bindings,
                )
            )
            try:
                yield core
            finally:
                core.close()
        finally:
            os.close(root_fd)

    def keyring(self, current: int = 0) -> Keyring:
        """Return the bucket keys, one of them for new files."""
        return Keyring(PolicyKeys(0, self.bucket_keys, self.bucket_keys[current], self.missing))

    def recover(self, in_use_since: float = 0, now: float = 1 << 40) -> Recovered:
        """Repair what a crash has left, as a mount does first; by default every file is looked at."""
        root_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            loader = Loader(self.description, self.keyring())
            homes = Homes(self.records, self.names, self.bindings)
            return recover(root_fd, loader, homes, in_use_since, now)
        finally:
            os.close(root_fd)

    def stored_path(self, core: Core, name: bytes, parent: int = ROOT) -> bytes:
        """Return where an entry of a directory lies; the directory is found by its number."""
        directory = core.inodes.directory(parent)
        steps = [core.directories.stored_name(directory, name).name]
        while directory.parent is not None:
            steps.append(directory.stored)
            directory = directory.parent
        return os.path.join(os.fsencode(self.path), *reversed(steps))

    def write_file(self, name: bytes, content: bytes, *, current: int = 0) -> bytes:
        """Make a file in the root directory, in a mount of its own; return where it lies."""
        with self.core(current=current) as core:
            write(core, name, content)
            return self.stored_path(core, name)

    def read_file(self, name: bytes) -> bytes:
        """Return the whole content of a file in the root directory, in a mount of its own."""
        with self.core() as core:
            return read(core, name)


def make(core: Core, name: bytes, parent: int = ROOT) -> None:
    """Make an empty file."""
    entry, _ = core.create(parent, name, 0o644, os.O_RDWR | os.O_EXCL, ME)
    core.files.release(entry.status.st_ino)
    core.inodes.forget(entry.nodeid, 1)


def write(core: Core, name: bytes, content: bytes, offset: int = 0, parent: int = ROOT) -> None:
    """Write into a file, making it if it does not exist."""
    with opened(core, name, os.O_RDWR | os.O_CREAT, parent) as file:
        assert file.write(offset, content) == len(content)


def truncate(core: Core, name: bytes, size: int, parent: int = ROOT) -> None:
    """Set the size of a file."""
    with opened(core, name, os.O_RDWR, parent) as file:
        file.truncate(size)


def read(core: Core, name: bytes, parent: int = ROOT) -> bytes:
    """Return the whole content of a file; what the core says of its size must be so."""
    with opened(core, name, os.O_RDONLY, parent) as file:
        return read_all(file)


def read_all(file: File) -> bytes:
    """Return the whole content of an open file."""
    pieces = [bytes(file.read(offset, PIECE_BYTES)) for offset in range(0, file.size, PIECE_BYTES)]
    content = b"".join(pieces)
    assert len(content) == file.size
    return content


@contextmanager
def opened(core: Core, name: bytes, flags: int, parent: int = ROOT) -> Iterator[File]:
    """Open a file as the kernel does, and close it."""
    if flags & os.O_CREAT:
        entry, file = core.create(parent, name, 0o644, flags, ME)
    else:
        entry = core.tree.lookup(parent, name)
        try:
            file = core.open(entry.nodeid, flags)
        except BaseException:
            core.inodes.forget(entry.nodeid, 1)
            raise
    try:
        yield file
    finally:
        core.files.release(entry.status.st_ino)
        core.inodes.forget(entry.nodeid, 1)


def mkdir(core: Core, name: bytes, parent: int = ROOT) -> int:
    """Make a directory and return its number, good for the rest of the mount."""
    return core.tree.mkdir(parent, name, 0o755, ME).nodeid


def find(core: Core, name: bytes, parent: int = ROOT) -> int:
    """Look an entry up and return its number, good for the rest of the mount."""
    return core.tree.lookup(parent, name).nodeid


def names_in(core: Core, parent: int = ROOT) -> list[bytes]:
    """Return the names in a directory as readdir gives them, sorted."""
    found = []
    for name, entry, _ in core.listing(parent).read(0):
        if entry is not None:
            core.inodes.forget(entry.nodeid, 1)
            found.append(name)
    return sorted(found)
