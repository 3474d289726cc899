"""Owns what entries have from the directory that they lie in, without a mount of it.

That is the policy of new files, and the binding of their place; and settling, after a crash, what is tied to
two places at the one where it is. Knows nothing of what else a crash leaves.
"""

import os
from contextlib import suppress

from kmsfs import backing, names, notes
from kmsfs.bindings import Bindings
from kmsfs.chunkfile import ChunkFile
from kmsfs.directories import RECORD_NAME, TEMPORARY_PREFIX
from kmsfs.errors import CorruptFileError, CorruptNameError, CorruptRecordError
from kmsfs.names import NameCipher
from kmsfs.places import MOVED
from kmsfs.records import DirectoryRecord, RecordCipher
from kmsfs.walking import Found


class Homes:
    """The directories of one volume, as homes of what lies in them.

    Args:
        records: opens their records.
        name_cipher: opens names.
        bindings: of the volume; None where nothing is tied to its place.
    """

    def __init__(self, records: RecordCipher, name_cipher: NameCipher, bindings: Bindings | None) -> None:
        self._records = records
        self._names = name_cipher
        self._bindings = bindings

    @property
    def are_binding(self) -> bool:
        """Whether what lies in them is tied to its place."""
        return self._bindings is not None

    def policy(self, found: Found) -> int:
        """Return the index of the policy of the directory that an entry lies in.

        Raises:
            CorruptRecordError: its record does not authenticate.
            OSError: it has none.
        """
        return self._record(found.dirfd).policy

    def binding(self, found: Found) -> bytes | None:
        """Return the binding of the place of an entry; None where it has none, or no name to find it by."""
        if self._bindings is None:
            return None
        try:
            stored = found.name
            if names.is_long(stored):
                stored = backing.readlink(found.dirfd, names.sidecar_name(stored))
                if not names.long_name_matches(found.name, stored):
                    return None
            dir_id = self._record(found.dirfd).dir_id
            return self._bindings.place(dir_id, self._names.open(dir_id, stored))
        except (CorruptNameError, CorruptRecordError, OSError):
            return None

    def unsettled(self, found: Found, chunks: ChunkFile) -> bytes | None:
        """Say what a file has to be tied to: the binding of its place, empty for none; None if it is settled.

        Raises:
            CorruptFileError: it is not where it belongs.
        """
        place = self.binding(found)
        if self._bindings is None or place is None or not chunks.is_tied:
            return None
        tied = chunks.binding, chunks.next_binding
        if tied == (place, None) and found.status.st_nlink == 1:
            return None
        note = notes.read(self._bindings, chunks)
        if note.anywhere:
            return b""
        if place not in tied and place not in note.places:
            raise CorruptFileError(chunks.inode, None, f"{MOVED}: nobody with the key put it here")
        return None if tied == (place, None) else place

    def settle_directory(self, found: Found) -> None:
        """Tie a directory that may be at two places to the one where it is; left as it is if that fails."""
        with suppress(OSError, CorruptRecordError):
            fd = backing.open_directory(found.dirfd, found.name)
            try:
                record = self._record(fd)
                place = self.binding(found)
                if place is not None and record.next_binding is not None and record.is_tied_to(place):
                    self._replace(fd, record.tied(place))
                    backing.utimens_fd(fd, (found.status.st_atime_ns, found.status.st_mtime_ns))
            finally:
                os.close(fd)

    def _replace(self, fd: int, record: DirectoryRecord) -> None:
        backing.symlink(fd, TEMPORARY_PREFIX + b"settled", self._records.seal(record))
        backing.rename(fd, TEMPORARY_PREFIX + b"settled", fd, RECORD_NAME)

    def _record(self, fd: int) -> DirectoryRecord:
        return self._records.open(backing.readlink(fd, RECORD_NAME))
