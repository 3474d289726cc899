"""A whole volume: format.md, sections 3, 7 and 11."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from decoder.description import Description, read_description
from decoder.files import Header, read_content, read_header
from decoder.keys import Keys
from decoder.names import Sealed
from decoder.refusal import Refused

NOTE = b"user.kmsfs-moved"
TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True)
class Entry:
    """One inode under one name.

    Attributes:
        path: plain path from the root, without a slash at either end; empty for the root.
        type: a value of TYPES.
        content: of a file; None for anything else.
        target: of a symlink; None for anything else.
        xattrs: plain names and values of the `user.` namespace.
        status: the backing inode's.
    """

    path: bytes
    type: str
    content: bytes | None
    target: bytes | None
    xattrs: Mapping[bytes, bytes]
    status: os.stat_result


def decode(root: str | bytes | os.PathLike[str], keys: Keys) -> Iterator[Entry]:
    """Yield everything in the volume at `root`, directories before what is in them, names in stored order.

    Raises:
        Refused: at the first thing that is not as it must be.
    """
    top = os.fsencode(root)
    with open(os.path.join(top, b".kmsfs-volume/volume.yaml"), "rb") as file:
        description = read_description(file.read(), keys.volume_key)
    sealed = Sealed(keys.volume_key, description.volume_id)
    yield from _Tree(description, sealed, keys).directory(top, b"", sealed.binding(bytes(16), b""))


class _Tree:
    def __init__(self, description: Description, sealed: Sealed, keys: Keys) -> None:
        self._description = description
        self._sealed = sealed
        self._keys = keys

    def directory(self, stored: bytes, path: bytes, place: bytes) -> Iterator[Entry]:
        try:
            dir_id, bindings = self._sealed.record(os.readlink(os.path.join(stored, b".kmsfs")))
        except (Refused, OSError) as error:
            raise Refused(f"{path!r}: its record: {error}") from error
        if self._description.has_bindings and place[:8] not in bindings:
            raise Refused(f"{path!r}: moved")
        yield self._entry(stored, path, "directory", owner=dir_id)
        for name in sorted(os.listdir(stored)):
            if name.startswith(b".kmsfs") or (name.startswith(b"kmsfs.long.") and name.endswith(b".name")):
                continue
            child = os.path.join(stored, name)
            plain_name = self._plain_name(dir_id, stored, name)
            plain, here = os.path.join(path, plain_name), self._sealed.binding(dir_id, plain_name)
            if stat.S_ISDIR(os.lstat(child).st_mode):
                yield from self.directory(child, plain, here)
            else:
                yield self._leaf(dir_id, child, plain, here)

    def _plain_name(self, dir_id: bytes, directory: bytes, name: bytes) -> bytes:
        if self._description.plain_names:
            return name
        if not name.startswith(b"kmsfs.long."):
            return self._sealed.name(dir_id, name)
        try:
            sidecar = os.readlink(os.path.join(directory, name + b".name"))
        except OSError:
            raise Refused(f"{name!r} has no sidecar") from None
        return self._sealed.long_name(dir_id, name, sidecar)

    def _require_at(self, header: Header, stored: bytes, place: bytes) -> None:
        if not self._description.has_bindings or header.multi or place in header.bindings:
            return
        noted = NOTE in map(os.fsencode, os.listxattr(stored))
        if not noted or not self._sealed.note_allows(header.file_id, os.getxattr(stored, NOTE), place):
            raise Refused("moved")

    def _leaf(self, dir_id: bytes, stored: bytes, path: bytes, place: bytes) -> Entry:
        kind = TYPES[stat.S_IFMT(os.lstat(stored).st_mode)]
        try:
            if kind == "symlink":
                return self._entry(
                    stored, path, kind, target=self._sealed.target(dir_id, os.readlink(stored))
                )
            if kind != "file":
                return self._entry(stored, path, kind)
            with open(stored, "rb") as file:
                raw = file.read()
            header = read_header(raw, self._description, self._keys)
            self._require_at(header, stored, place)
            content = read_content(raw, header)
            return self._entry(stored, path, kind, content=content, owner=header.file_id)
        except Refused as error:
            raise Refused(f"{path!r}: {error}") from error

    def _entry(
        self,
        stored: bytes,
        path: bytes,
        kind: str,
        *,
        content: bytes | None = None,
        target: bytes | None = None,
        owner: bytes | None = None,
    ) -> Entry:
        xattrs: dict[bytes, bytes] = {}
        if owner is not None:
            for name in map(os.fsencode, os.listxattr(stored)):
                if name.startswith(b"user.") and name != NOTE:
                    plain = self._sealed.xattr_name(name)
                    xattrs[plain] = self._sealed.xattr_value(owner, plain, os.getxattr(stored, name))
        return Entry(path, kind, content, target, xattrs, os.lstat(stored))
