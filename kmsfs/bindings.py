"""Owns what ties files and directories to their places: the binding of a place, and notes of moves. Pure.

A binding is HMAC-SHA-256 of the parent's dir_id and the plain name, cut to 16 bytes; headers and records hold
it. A note is an extended attribute of the store's file: what is written to a file's data may reach the disk
long before or after a rename does, an attribute that was set before a rename reaches it before the rename.
So after a power cut the note tells where a file may be. Knows nothing of who keeps any of it:
docs/reference/format.md, "Bindings".
"""

import hmac
from dataclasses import dataclass
from typing import Final

from kmsfs.errors import CorruptRecordError

BINDING_SIZE: Final = 16
NOTE_NAME: Final = b"user.kmsfs-moved"

_PLACE_LABEL: Final = b"kmsfs binding 1"
_NOTE_LABEL: Final = b"kmsfs moved 1"
_ROOT_PLACE: Final = bytes(16)
_TAG_SIZE: Final = 16
_MOVED: Final = b"\1"
_ANYWHERE: Final = b"\2"


@dataclass(frozen=True, slots=True)
class Note:
    """Where a file may be.

    Attributes:
        places: bindings of where it was and where it was to be.
        anywhere: it has, or was to have, several names; then `places` is empty.
    """

    places: tuple[bytes, ...] = ()
    anywhere: bool = False


class Bindings:
    """The bindings of one volume.

    Args:
        key: HMAC-SHA-256 key, 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def place(self, dir_id: bytes, name: bytes) -> bytes:
        """Return the binding, 16 bytes, of the entry `name` (plain) of the directory `dir_id`."""
        return hmac.digest(self._key, _PLACE_LABEL + dir_id + name, "sha256")[:BINDING_SIZE]

    def root(self) -> bytes:
        """Return the binding of a volume's root directory: no entry has an empty name."""
        return self.place(_ROOT_PLACE, b"")

    def seal_note(self, file_id: bytes, note: Note) -> bytes:
        """Return the note's bytes for the file `file_id`."""
        if note.anywhere == bool(note.places) or len(note.places) not in {0, 2}:
            raise AssertionError("a note has two places or none")
        body = _ANYWHERE if note.anywhere else _MOVED + b"".join(note.places)
        return body + self._tag(file_id, body)

    def open_note(self, file_id: bytes, raw: bytes) -> Note:
        """Return the note that `raw` holds for the file `file_id`.

        Raises:
            CorruptRecordError: made by someone without the key, or for another file.
        """
        body, tag = raw[:-_TAG_SIZE], raw[-_TAG_SIZE:]
        if not hmac.compare_digest(self._tag(file_id, body), tag):
            raise CorruptRecordError("the note of where a file was moved does not authenticate")
        if body == _ANYWHERE:
            return Note(anywhere=True)
        if body[:1] != _MOVED or len(body) != 1 + 2 * BINDING_SIZE:
            raise CorruptRecordError("the note of where a file was moved is of a newer kmsfs")
        return Note((body[1 : 1 + BINDING_SIZE], body[1 + BINDING_SIZE :]))

    def _tag(self, file_id: bytes, body: bytes) -> bytes:
        return hmac.digest(self._key, _NOTE_LABEL + file_id + body, "sha256")[:_TAG_SIZE]
