"""Owns the notes of where files may be as extended attributes on the store; `bindings` seals them.

Knows nothing of names or of what is made of a note. Raises OSError from the store.
"""

import errno
import stat
from typing import Final

from kmsfs import backing
from kmsfs.bindings import NOTE_NAME, Bindings, Note
from kmsfs.chunkfile import ChunkFile
from kmsfs.errors import CorruptRecordError

_NONE: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP})


def read(bindings: Bindings, chunks: ChunkFile) -> Note:
    """Return what is noted of a file; one that does not authenticate says nothing, as none does."""
    try:
        try:
            raw = backing.getxattr(chunks.fd, NOTE_NAME)
        except PermissionError:
            with backing.widened(chunks.fd, stat.S_IRUSR):
                raw = backing.getxattr(chunks.fd, NOTE_NAME)
        return bindings.open_note(chunks.file_id, raw)
    except CorruptRecordError:
        return Note()
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return Note()


def write(bindings: Bindings, chunks: ChunkFile, note: Note) -> bool:
    """Note where a file may be; False where the store has no such attributes."""
    sealed = bindings.seal_note(chunks.file_id, note)
    try:
        try:
            backing.setxattr(chunks.fd, NOTE_NAME, sealed)
        except PermissionError:
            with backing.widened(chunks.fd, stat.S_IWUSR):
                backing.setxattr(chunks.fd, NOTE_NAME, sealed)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    return True
