"""Composition root of moving trees in and out of a volume that is not mounted: both sides, and the transfer.

What is asked for is checked here; how it is shown is the command's.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from kmsfs import paths
from kmsfs.core import Core
from kmsfs.moving.plainside import PlainSide
from kmsfs.moving.sides import Side, own_rights
from kmsfs.moving.transfer import Transfer
from kmsfs.moving.volumeside import VolumeSide
from kmsfs.tree import Owner
from kmsfs.volume import DIRECT

_NEW_DIRECTORY = 0o700


class Plan(NamedTuple):
    """How a tree is moved.

    Attributes:
        jobs: how many processes work on files.
        by_content: whether only equal content makes a file one that need not be copied.
    """

    jobs: int
    by_content: bool


@contextmanager
def import_into(core: Core, path: bytes, source: str, plan: Plan) -> Iterator[Transfer]:
    """Prepare to copy what is in a plain directory into a directory of a volume, which is made if need be.

    Args:
        core: of the volume, open for writing.
        path: plain, from the volume's root.
        source: the plain directory.
        plan: how.

    Raises:
        OSError: one of them is not a directory.
    """
    plain = PlainSide(source, _identity(core))
    try:
        with _moving(core, plain, VolumeSide(core, _made(core, path)), plan) as transfer:
            yield transfer
    finally:
        plain.close()


@contextmanager
def export_from(core: Core, path: bytes, destination: str, plan: Plan) -> Iterator[Transfer]:
    """Prepare to copy what is in a directory of a volume into a plain one, which is made if need be.

    Args:
        core: of the volume.
        path: plain, from the volume's root.
        destination: the plain directory.
        plan: how.

    Raises:
        OSError: one of them is not a directory, or the copy could not be made durable.
    """
    entry = paths.find(core, path)
    if not stat.S_ISDIR(entry.status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory; one file: kmsfs cat", path)
    with suppress(FileExistsError):
        os.mkdir(destination, _NEW_DIRECTORY)  # noqa: PTH102 - any bytes
    plain = PlainSide(destination, _identity(core))
    try:
        with _moving(core, VolumeSide(core, entry.nodeid), plain, plan) as transfer:
            yield transfer
    finally:
        plain.close()


def lies_within(path: str, ciphertext: str) -> bool:
    """Say whether a path, which need not exist, leads into a ciphertext directory by whatever way."""
    wanted = os.stat(ciphertext)  # noqa: PTH116 - any bytes
    nearest = os.path.realpath(path)
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)  # noqa: PTH120 - as above
    while True:
        if os.path.samestat(os.stat(nearest), wanted):  # noqa: PTH116 - as above
            return True
        if nearest == "/":
            return False
        nearest = os.path.dirname(nearest)  # noqa: PTH120 - as above


@contextmanager
def _moving(core: Core, source: Side, target: Side, plan: Plan) -> Iterator[Transfer]:
    # Data keys that come one by one come through connections and threads, which no fork can share.
    is_alone = any(policy.mode == DIRECT for policy in core.volume.description.policies)
    jobs = 1 if is_alone else plan.jobs
    transfer = Transfer(source, target, own_rights(), jobs, by_content=plan.by_content)
    try:
        yield transfer
    except BaseException:
        transfer.close(is_done=False)
        raise
    transfer.close(is_done=True)


def _identity(core: Core) -> tuple[int, int]:
    status = os.fstat(core.volume.root_fd)
    return status.st_dev, status.st_ino


def _made(core: Core, path: bytes) -> int:
    """Return the number of a directory of the volume, whose last name may be new."""
    steps = paths.components(path)
    try:
        entry = paths.find(core, path)
    except FileNotFoundError:
        above = paths.find(core, b"/".join(steps[:-1]))
        me = Owner(os.geteuid(), os.getegid())
        return core.tree.mkdir(above.nodeid, steps[-1], _NEW_DIRECTORY, me).nodeid
    if not stat.S_ISDIR(entry.status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", path)
    return entry.nodeid
