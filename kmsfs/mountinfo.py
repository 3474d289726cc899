"""Owns reading the kernel's table of mounts. It asks no filesystem, so none that hangs can hang it.

The table is the one record of what is mounted that cannot be out of date: it names each kmsfs mount's
ciphertext directory (as its source), its device number and its owner.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kmsfs.options import FILESYSTEM_TYPE

_TABLE: Final = Path("/proc/self/mountinfo")
_TYPE: Final = f"fuse.{FILESYSTEM_TYPE}"
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_MOUNT_OPTIONS_FIELD: Final = 5


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the table (proc_pid_mountinfo(5)).

    Attributes:
        mountpoint: absolute, as this process sees it.
        device: "major:minor".
        filesystem: the type, such as "fuse.kmsfs".
        source: for kmsfs the ciphertext directory.
        owner_uid: who mounted it; 0 for other filesystems than FUSE.
        options: of the mount and of its superblock.
    """

    mountpoint: str
    device: str
    filesystem: str
    source: str
    owner_uid: int
    options: frozenset[str]

    @property
    def is_kmsfs(self) -> bool:
        """Whether this is one of ours."""
        return self.filesystem == _TYPE


def parse(table: bytes) -> tuple[Mount, ...]:
    """Parse the contents of a mountinfo file; later mounts come later."""
    return tuple(_parse_line(line) for line in table.split(b"\n") if line)


def read() -> tuple[Mount, ...]:
    """Read the mounts that this process sees."""
    return parse(_TABLE.read_bytes())


def mounted_at(mountpoint: str) -> Mount | None:
    """Return what is mounted on the path (absolute, no symlinks): of several, the top one."""
    return next((mount for mount in reversed(read()) if mount.mountpoint == mountpoint), None)


def kmsfs_mounts() -> tuple[Mount, ...]:
    """Return the kmsfs mounts that this process sees."""
    return tuple(mount for mount in read() if mount.is_kmsfs)


def resolve(mountpoint: str) -> str:
    """Return the path as the table spells it, without touching the filesystem that may be mounted there.

    A symlink as the last part is followed only where it leads somewhere: asking a mount whose process has
    gone, or hangs, would give an error or never return.
    """
    absolute = os.path.abspath(mountpoint)  # noqa: PTH100 - pathlib has no lexical form of it
    parent, name = os.path.split(absolute)
    direct = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118 - bytes that are no UTF-8 stay as they are
    if any(mount.mountpoint == direct for mount in read()):
        return direct
    return os.path.realpath(direct)


def _parse_line(line: bytes) -> Mount:
    fields = line.split(b" ")
    separator = fields.index(b"-", _MOUNT_OPTIONS_FIELD + 1)
    filesystem, source, super_options = (_unescape(field) for field in fields[separator + 1 : separator + 4])
    options = frozenset(f"{_unescape(fields[_MOUNT_OPTIONS_FIELD])},{super_options}".split(","))
    return Mount(
        mountpoint=_unescape(fields[4]),
        device=fields[2].decode(),
        filesystem=filesystem,
        source=source,
        owner_uid=next((int(word[8:]) for word in options if word.startswith("user_id=")), 0),
        options=options,
    )


def _unescape(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))
