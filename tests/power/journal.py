"""What a store was asked to change, call by call: the entries of a journal. Knows nothing of kmsfs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """An inode that came to be under a name.

    Attributes:
        kind: file type bits of its mode.
        target: of a symlink.
    """

    directory: int
    name: bytes
    node: int
    kind: int
    mode: int
    target: bytes = b""
    device: int = 0


@dataclass(frozen=True, slots=True)
class Linked:
    """One more name of an inode."""

    directory: int
    name: bytes
    node: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A name that went, of whatever type."""

    directory: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Renamed:
    """renameat2(2)."""

    directory: int
    name: bytes
    new_directory: int
    new_name: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes of a file; the file grows where it ends before them."""

    node: int
    offset: int
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Resized:
    """ftruncate(2)."""

    node: int
    size: int


@dataclass(frozen=True, slots=True)
class Mode:
    """chmod(2), or what chown(2) and utimensat(2) change, which is not looked at (`mode` is None)."""

    node: int
    mode: int | None


@dataclass(frozen=True, slots=True)
class Attribute:
    """An extended attribute set, or removed (`value` is None)."""

    node: int
    name: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Synced:
    """fsync(2), fdatasync(2) (`data_only`) of a file or directory."""

    node: int
    data_only: bool = False


@dataclass(frozen=True, slots=True)
class SyncedAll:
    """syncfs(2)."""


Entry = Made | Linked | Removed | Renamed | Written | Resized | Mode | Attribute | Synced | SyncedAll
Metadata = Made | Linked | Removed | Renamed | Mode | Attribute
