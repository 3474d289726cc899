"""Owns `kmsfs reencrypt` from its first step to its last, whether the volume is mounted or not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import msgspec

from kmsfs import moment, paths
from kmsfs.core import Core
from kmsfs.errors import VolumeError
from kmsfs.inodes import ROOT_INODE
from kmsfs.jobs import Job
from kmsfs.reencrypting import Tally, reencrypt_files
from kmsfs.visiting import told

_NANOSECONDS: Final = 1_000_000_000


class Reencrypt(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        path: of a file or directory, plain, from the volume's root.
        recursive: whether to go into directories below.
        since: leave files that were made at that moment or later, "2026-01-31T23:59:59Z"; None leaves none.
    """

    path: str
    recursive: bool = False
    since: str | None = None


def reencrypt(core: Core, wish: Reencrypt) -> Job:
    """Give files new data keys.

    Args:
        core: of the volume, open for writing.
        wish: what is asked for.

    Returns:
        A `reencrypting.Tally`.

    Raises:
        VolumeError: `since` is no moment.
        OSError: the path cannot be reached.
    """
    try:
        since_ns = None if wish.since is None else moment.read(wish.since) * _NANOSECONDS
    except ValueError:
        raise VolumeError(f"{wish.since} is no moment such as 2026-01-31T23:59:59Z") from None
    tally = Tally()
    with _reached(core, os.fsencode(wish.path)) as nodeid:
        steps = reencrypt_files(core, nodeid, tally, recursive=wish.recursive, since_ns=since_ns)
        yield from told(steps, lambda: {"done": tally.seen_bytes, "total": tally.total_bytes})
    return asdict(tally)


@contextmanager
def _reached(core: Core, path: bytes) -> Iterator[int]:
    """Yield the node of a path, with a reference that is good until the body ends."""
    nodeid, taken = ROOT_INODE, list[int]()
    try:
        for name in paths.components(path):
            nodeid = core.tree.lookup(nodeid, name).nodeid
            taken.append(nodeid)
        yield nodeid
    finally:
        for reference in reversed(taken):
            core.inodes.forget(reference, 1)
