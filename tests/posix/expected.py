"""The differences from tmpfs that remain: all of them, and why. The reference for users is filesystem.md.

A case that is listed and does not differ fails its test, as does one that differs and is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass

from cases import FILES_GID, FOREIGN_GID, KINDS


@dataclass(frozen=True, slots=True)
class Expected:
    """A difference that remains, and why.

    Attributes:
        test: the file and the function.
        case: how the texts of its cases look, as in fnmatch.
        aspects: how the names of what differs look, as in fnmatch.
        reason: whose difference it is.
    """

    test: str
    case: str
    aspects: str
    reason: str


SET_GROUP_ID = (
    "a set-group-ID bit without the right to execute is taken away by those outside of the group; the"
    " kernel's FUSE only knows the one with it"
)
OWN_TIMES = (
    "the kernel's writeback cache owns the times of a file, and has truncate(2) to the same size leave them"
    " to the filesystem, which it does not ask"
)
SEALED_TARGET = "a symlink's target is sealed for the directory that it is in"
NO_TMPFILE = "kmsfs makes no files without a name"
NO_WHITEOUT = "a whiteout is a device node of overlayfs's, which kmsfs does not make"
LIMIT = "the longest file has 2^62 bytes, and tmpfs's one less than 2^63"

# Not in the file's group, and not root.
_OUTSIDERS = tuple(
    f"* by {who} on x: file {mode} of *:{gid}*"
    for mode in ("2767", "6666")
    for who, gid in (("[!r]*", FOREIGN_GID), ("other", FILES_GID))
)

# Directories keep the bit, and a symlink's target is another thing.
_WITHOUT = {"dir", "symlink"}

EXPECTED = (
    *(
        Expected(f"test_clearing.{test}", case, aspects, SET_GROUP_ID)
        for test in ("test_changing_content", "test_truncating_to_the_same_size")
        for case in _OUTSIDERS
        for aspects in ("?. ?stat ?", "?. stat ?", "x mode")
    ),
    *(
        Expected("test_chown.test_every_owner_of_every_kind", case, "*", SET_GROUP_ID)
        for case in (f"chown x -1 -1 by other on *x: {kind} 2745 *" for kind in KINDS if kind not in _WITHOUT)
    ),
    Expected("test_clearing.test_truncating_to_the_same_size", "*", "x [mc]time", OWN_TIMES),
    Expected("test_sizes.test_truncate_to_the_same_size", "*", "x [mc]time", OWN_TIMES),
    Expected("test_links.test_of_a_symlink_elsewhere", "*", "*", SEALED_TARGET),
    Expected("test_opening.test_without_a_name", "*", "*", NO_TMPFILE),
    Expected("test_renames.test_whiteout", "*", "*", NO_WHITEOUT),
    Expected("test_sizes.test_sizes_beyond_the_limit", "*", "*", LIMIT),
)


def expected_of(test: str) -> tuple[Expected, ...]:
    """Return what is expected to differ in a test."""
    return tuple(entry for entry in EXPECTED if entry.test == test)
