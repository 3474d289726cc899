"""Owns directories as places: their descriptors (a bounded number open), their records and ids, their names.

Between a plaintext name and what stands on the store: `stored_name`, `plain_name`. Knows nothing of files'
content or of FUSE. Raises CorruptRecordError, CorruptNameError, NameTooLongError, ReservedNameError, OSError.
"""

import errno
import os
import secrets
import stat
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from kmsfs import backing, descriptors, names, records
from kmsfs.errors import CorruptNameError, CorruptRecordError, MovedDirectoryError
from kmsfs.inodes import Directory, Node
from kmsfs.names import StoredName
from kmsfs.openvolume import OpenVolume
from kmsfs.records import DirectoryRecord

RECORD_NAME: Final = b".kmsfs"
TEMPORARY_PREFIX: Final = b".kmsfs.tmp."
# Of all descriptors one in so many, and never more than these, are kept on directories.
_PART_OPEN: Final = 4
_MOST_OPEN: Final = 1024


@dataclass(frozen=True, slots=True)
class Cleared:
    """What an empty directory had: its record, and its mode where that had to be changed."""

    record: bytes
    mode: int | None


class Directories:
    """The directories of one mount.

    Args:
        volume: the volume.
        device: st_dev of the store: a volume does not reach across mount points below it.
    """

    def __init__(self, volume: OpenVolume, device: int) -> None:
        self._volume = volume
        self._device = device
        self._open: OrderedDict[int, Directory] = OrderedDict()
        self._most_open = descriptors.share(_PART_OPEN, _MOST_OPEN)
        self._last: tuple[Directory | None, bytes, StoredName] = (None, b"", StoredName(b""))

    def dirfd(self, directory: Directory) -> int:
        """Return an O_PATH descriptor of the directory, good until the next call.

        Raises:
            OSError: ESTALE, if something else stands in its place by now.
        """
        if directory.dirfd >= 0:
            self._open.move_to_end(directory.nodeid)
            return directory.dirfd
        chain = [directory]
        while (above := chain[-1].parent) is not None and above.dirfd < 0 and chain[-1].fd < 0:
            chain.append(above)
        for step in reversed(chain):
            self._open_step(step)
        while len(self._open) > self._most_open:
            _close(self._open.popitem(last=False)[1])
        return directory.dirfd

    def dirfds(self, first: Directory, second: Directory) -> tuple[int, int]:
        """Return descriptors of two directories, both good until the next call."""
        self.dirfd(first)
        fd = self.dirfd(second)
        return self.dirfd(first), fd

    def dir_id(self, directory: Directory) -> bytes:
        """Return the id that names in the directory are sealed for.

        Raises:
            CorruptRecordError: its record is missing from a directory with entries, or does not authenticate.
            MovedDirectoryError: it is not where it belongs.
        """
        if not directory.dir_id:
            try:
                record = self._placed_record(directory)
            except CorruptRecordError as error:
                error.inode = directory.inode
                raise
            directory.dir_id, directory.policy = record.dir_id, record.policy
        return directory.dir_id

    def policy(self, directory: Directory) -> int:
        """Return the index of the policy of what is created in the directory.

        Raises:
            CorruptRecordError: as `dir_id`.
        """
        if not directory.dir_id:
            self.dir_id(directory)
        return directory.policy

    def stored_name(self, directory: Directory, name: bytes) -> StoredName:
        """Return how the store has a name in a directory.

        The last answer is kept: the kernel looks a name up before it creates it.
        """
        last_directory, last_name, stored = self._last
        if last_name != name or last_directory is not directory:
            stored = self._volume.names.seal(directory.dir_id or self.dir_id(directory), name)
            self._last = directory, name, stored
        return stored

    def plain_name(self, directory: Directory, stored: bytes) -> bytes:
        """Return the name of an entry.

        Raises:
            CorruptNameError: nobody with the key gave this directory such an entry.
        """
        if names.is_long(stored):
            sidecar = self._sidecar(directory, stored)
            if not names.long_name_matches(stored, sidecar):
                raise CorruptNameError(f"the sidecar of {stored!r} holds another name")
            return self._volume.names.open(self.dir_id(directory), sidecar)
        return self._volume.names.open(self.dir_id(directory), stored)

    def binding(self, node: Node) -> bytes:
        """Return the binding of the place where a node stands, in a volume that has them.

        Raises:
            CorruptNameError: nobody with the key gave its directory such an entry.
            CorruptRecordError: as `dir_id` of the directory that it is in.
        """
        if not node.binding:
            bindings = self._volume.bindings
            if bindings is None:
                raise AssertionError("in this volume nothing is tied to its place")
            if node.parent is None:
                node.binding = bindings.root()
            else:
                directory, name, stored = self._last
                if directory is not node.parent or stored.name != node.stored:
                    name = self.plain_name(node.parent, node.stored)
                node.binding = bindings.place(self.dir_id(node.parent), name)
        return node.binding

    def entry_binding(self, directory: Directory, name: bytes) -> bytes | None:
        """Return the binding of the place that a plain name is; None where nothing is tied to its place."""
        bindings = self._volume.bindings
        return None if bindings is None else bindings.place(self.dir_id(directory), name)

    def add_sidecar(self, directory: Directory, stored: StoredName) -> None:
        """Make the sidecar of a long name; it comes before the entry.

        One that is right already may be an existing entry's and is left alone.
        """
        if stored.sidecar is None:
            return
        dirfd, name = self.dirfd(directory), names.sidecar_name(stored.name)
        try:
            backing.symlink(dirfd, name, stored.sidecar)
        except FileExistsError:
            if _read_link(dirfd, name) != stored.sidecar:
                backing.unlink(dirfd, name)
                backing.symlink(dirfd, name, stored.sidecar)

    def drop_unused_sidecar(self, directory: Directory, stored: StoredName) -> None:
        """Remove the sidecar of a long name whose entry could not be made, unless there was one already."""
        if stored.sidecar is not None:
            try:
                backing.stat(self.dirfd(directory), stored.name)
            except FileNotFoundError:
                self.drop_sidecar(directory, stored.name)

    def drop_sidecar(self, directory: Directory, stored: bytes) -> None:
        """Remove the sidecar of a long name; it goes after the entry."""
        if names.is_long(stored):
            try:
                backing.unlink(self.dirfd(directory), names.sidecar_name(stored))
            except FileNotFoundError:
                return

    def record_of(self, dirfd: int) -> DirectoryRecord:
        """Return the record of a directory, wherever that is.

        Raises:
            CorruptRecordError: it does not authenticate, or there is none.
        """
        sealed = _read_link(dirfd, RECORD_NAME)
        if sealed is None:
            raise CorruptRecordError("a directory has no record")
        return self._volume.records.open(sealed)

    def replace_record(self, dirfd: int, record: DirectoryRecord) -> None:
        """Give a directory another record, in one step."""
        temporary = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
        backing.symlink(dirfd, temporary, self._volume.records.seal(record))
        backing.rename(dirfd, temporary, dirfd, RECORD_NAME)

    def set_policy(self, directory: Directory, policy: int) -> None:
        """Let what is created in a directory from now on have another policy. Its times stay.

        Raises:
            CorruptRecordError: as `dir_id`.
            OSError: it is somebody else's, or gone.
        """
        self.dir_id(directory)
        dirfd = self.dirfd(directory)
        status = os.fstat(dirfd)
        record = replace(self.record_of(dirfd), policy=policy)
        try:
            self.replace_record(dirfd, record)
        except PermissionError:
            with backing.widened(dirfd, stat.S_IRWXU):
                self.replace_record(dirfd, record)
        backing.utimens_fd(dirfd, (status.st_atime_ns, status.st_mtime_ns))
        directory.policy = policy

    def write_record(self, dirfd: int, policy: int, binding: bytes | None) -> None:
        """Give a new directory its record: a fresh id, the policy of its parent, the binding of its place."""
        record = DirectoryRecord(os.urandom(records.ID_SIZE), policy).tied(binding)
        backing.symlink(dirfd, RECORD_NAME, self._volume.records.seal(record))

    def is_empty(self, dirfd: int) -> bool:
        """Say whether a directory holds nothing that its user has put there."""
        return all(entry == RECORD_NAME or _is_debris(entry) for entry in backing.any_names(dirfd))

    def clear(self, dirfd: int) -> Cleared:
        """Take the record (and a crash's debris) out of an empty directory, so that it can be removed.

        Returns what `restore` needs, should the removal fail.

        Raises:
            OSError: ENOTEMPTY.
        """
        cleared = Cleared(b"", None)
        try:
            return self._clear(dirfd, cleared)
        except PermissionError:
            # Removing a directory takes no permission on it, but ours holds a record: its owner may open it.
            mode = stat.S_IMODE(os.fstat(dirfd).st_mode)
            backing.chmod(dirfd, mode | stat.S_IRWXU)
            cleared = Cleared(b"", mode)
        try:
            return self._clear(dirfd, cleared)
        except OSError:
            self.restore(dirfd, cleared)
            raise

    def restore(self, dirfd: int, cleared: Cleared) -> None:
        """Undo `clear` for a directory that could not be removed after all."""
        if cleared.record:
            backing.symlink(dirfd, RECORD_NAME, cleared.record)
        if cleared.mode is not None:
            backing.chmod(dirfd, cleared.mode)

    def _clear(self, dirfd: int, cleared: Cleared) -> Cleared:
        if not self.is_empty(dirfd):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        try:
            record = backing.readlink(dirfd, RECORD_NAME)
        except FileNotFoundError:
            record = b""
        for entry in list(backing.any_names(dirfd)):
            _remove_debris(dirfd, entry)
        return Cleared(record, cleared.mode)

    def _open_step(self, directory: Directory) -> None:
        """Open one directory whose parent is open, or which has a descriptor of its own."""
        if directory.parent is None:
            fd = backing.open_directory(self._volume.root_fd, b".")
        elif directory.fd >= 0:
            fd = backing.open_directory(directory.fd, b".")
        else:
            fd = backing.open_directory(directory.parent.dirfd, directory.stored)
        status = os.fstat(fd)
        if directory.parent is not None and (status.st_ino, status.st_dev) != (directory.inode, self._device):
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        directory.dirfd = fd
        self._open[directory.nodeid] = directory
        # One that was forgotten while it was open has a place already, among the oldest.
        self._open.move_to_end(directory.nodeid)

    def _placed_record(self, directory: Directory) -> DirectoryRecord:
        """Return a directory's record if it is tied to the place where it was found."""
        if self._volume.bindings is None:
            return self._read_record(directory, None)
        try:
            place = self.binding(directory)
        except CorruptNameError as error:
            raise MovedDirectoryError(f"a directory was moved: {error}") from error
        record = self._read_record(directory, place)
        if not record.is_tied_to(place):
            raise MovedDirectoryError("a directory was moved: it was not put here by anybody with the key")
        return record

    def _read_record(self, directory: Directory, place: bytes | None) -> DirectoryRecord:
        dirfd = self.dirfd(directory)
        try:
            sealed = backing.readlink(dirfd, RECORD_NAME)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EINVAL}:
                raise
            # A crash during rmdir leaves an empty directory without record; nothing is lost by a fresh one.
            if error.errno == errno.EINVAL or self._volume.read_only or not self.is_empty(dirfd):
                raise CorruptRecordError("a directory with entries has no record") from error
            policy = 0 if directory.parent is None else self.policy(directory.parent)
            dirfd = self.dirfd(directory)
            self.write_record(dirfd, policy, place)
            sealed = backing.readlink(dirfd, RECORD_NAME)
        return self._volume.records.open(sealed)

    def _sidecar(self, directory: Directory, stored: bytes) -> bytes:
        sidecar = _read_link(self.dirfd(directory), names.sidecar_name(stored))
        if sidecar is None:
            raise CorruptNameError(f"the sidecar of {stored!r} is missing")
        return sidecar


def _read_link(dirfd: int, name: bytes) -> bytes | None:
    """Return a symlink's target on the store; None if there is no symlink of that name."""
    try:
        return backing.readlink(dirfd, name)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINVAL}:
            return None
        raise


def _close(directory: Directory) -> None:
    if directory.dirfd >= 0:
        os.close(directory.dirfd)
        directory.dirfd = -1


def _remove_debris(dirfd: int, entry: bytes) -> None:
    """Remove one entry: a record, a sidecar, or a temporary directory with its record."""
    try:
        backing.unlink(dirfd, entry)
    except IsADirectoryError:
        inner = backing.open_directory(dirfd, entry)
        try:
            for name in list(backing.any_names(inner)):
                backing.unlink(inner, name)
        finally:
            os.close(inner)
        backing.rmdir(dirfd, entry)


def _is_debris(entry: bytes) -> bool:
    """Say whether an entry is a temporary, or a sidecar whose name never came or has gone."""
    return entry.startswith(TEMPORARY_PREFIX) or (names.is_reserved(entry) and names.is_long(entry[:-5]))
