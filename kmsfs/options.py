"""Owns the mount options (-o): parsing them into a frozen value, and what libfuse is given. Does no I/O."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

FILESYSTEM_TYPE: Final = "kmsfs"


class MountOptionError(ValueError):
    """A mount option is unknown, or not for this user."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What a mount allows.

    Attributes:
        read_only: nothing changes, on the mount or on the backing store.
        allow_other: users other than the one who mounts may use it, as file permissions say.
        default_permissions: the kernel checks file permissions, as on any local filesystem.
        executables: programs on it may be run.
        devices: device nodes on it work.
        set_id: set-user-ID and set-group-ID bits on it work.
        nonempty: the mount point may hold files, which are hidden until unmount.
        acls: POSIX ACLs are kept, and count.
        keeps_all: every inode is remembered for as long as it has a name.
        polls: requests are looked out for, for a while, before sleeping.
    """

    read_only: bool = False
    allow_other: bool = False
    default_permissions: bool = True
    executables: bool = True
    devices: bool = False
    set_id: bool = False
    nonempty: bool = False
    acls: bool = False
    keeps_all: bool = False
    polls: bool = True


# Root gets what root's mount of a local filesystem is; anybody else what fusermount3 grants.
ROOT_DEFAULTS: Final = MountOptions(allow_other=True, devices=True, set_id=True)
USER_DEFAULTS: Final = MountOptions()

_PLAIN: Final = frozenset(byte for byte in range(0x21, 0x7F) if byte not in b"\\,")
_ROOT_ONLY: Final = frozenset({"dev", "suid"})

# The words of mount(8) and mount.fuse3(8) that mean something here, as (attribute, value); None: no change.
_WORDS: Final[Mapping[str, tuple[str, bool] | None]] = {
    "defaults": None,
    "ro": ("read_only", True),
    "rw": ("read_only", False),
    "allow_other": ("allow_other", True),
    "noallow_other": ("allow_other", False),
    "default_permissions": ("default_permissions", True),
    "nodefault_permissions": ("default_permissions", False),
    "exec": ("executables", True),
    "noexec": ("executables", False),
    "dev": ("devices", True),
    "nodev": ("devices", False),
    "suid": ("set_id", True),
    "nosuid": ("set_id", False),
    "nonempty": ("nonempty", True),
    "acl": ("acls", True),
    "noacl": ("acls", False),
    "noforget": ("keeps_all", True),
    "poll": ("polls", True),
    "nopoll": ("polls", False),
}


def parse(texts: Iterable[str], *, is_root: bool) -> MountOptions:
    """Parse the arguments of -o, each a comma-separated list; a later word wins over an earlier one.

    Raises:
        MountOptionError: a word is unknown, or only root may give it.
    """
    options = ROOT_DEFAULTS if is_root else USER_DEFAULTS
    for word in (word for text in texts for word in text.split(",") if word):
        if word not in _WORDS:
            raise MountOptionError(f"unknown mount option {word!r}; known are: {', '.join(sorted(_WORDS))}")
        if word in _ROOT_ONLY and not is_root:
            raise MountOptionError(f"mount option {word!r} is for root only; leave it out")
        change = _WORDS[word]
        if change is not None:
            attribute, value = change
            changes: dict[str, Any] = {attribute: value}
            options = replace(options, **changes)
    return options


def libfuse_options(options: MountOptions, source: str) -> set[str]:
    """Return the options that libfuse is given for a mount of `source`, the ciphertext directory.

    libfuse itself starts from nosuid and nodev, which "suid" and "dev" take back.
    """
    chosen = {
        "ro": options.read_only,
        "allow_other": options.allow_other,
        "default_permissions": options.default_permissions,
        "noexec": not options.executables,
        "dev": options.devices,
        "suid": options.set_id,
    }
    words = {word for word, wanted in chosen.items() if wanted}
    return words | {f"subtype={FILESYSTEM_TYPE}", f"fsname={_escape(source)}"}


def _escape(text: str) -> str:
    """Write all but plain ASCII as fuse_opt_parse(3) reads it; pyfuse3 takes nothing else."""
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in os.fsencode(text))
