"""Owns where a command's path leads, and doing a job there: at the door of a mount, or in a volume itself.

So that a command is the same for a path on a mount, for one in a volume that is not mounted, and for one in
the ciphertext directory of a volume that is.
"""

import os
from collections.abc import Generator, Mapping
from typing import NamedTuple

from kmsfs import control, jobs, mountinfo, offline, statusdoor
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.jobs import Progress
from kmsfs.mountinfo import Mount


class Place(NamedTuple):
    """A place in a volume.

    Attributes:
        directory: the ciphertext directory.
        path: plain, from the volume's root.
        mount: where it is mounted; None where it is not, as far as this process sees.
    """

    directory: str
    path: bytes
    mount: Mount | None


def on_mount(text: str) -> Place | None:
    """Return the place of a path on a mount; None where it is on none of ours."""
    resolved = mountinfo.resolve(text)
    holding = [each for each in mountinfo.read() if _is_within(resolved, each.mountpoint)]
    # Of two at one path, the later one is on top.
    mount = max(reversed(holding), key=lambda each: len(each.mountpoint), default=None)
    if mount is None or not mount.is_kmsfs:
        return None
    return Place(mount.source, os.fsencode(os.path.relpath(resolved, mount.mountpoint)), mount)


def in_volume(directory: str, path: bytes) -> Place:
    """Return the place of a plain path in the volume of a ciphertext directory, mounted or not."""
    resolved = os.path.realpath(directory)
    mounts = [mount for mount in mountinfo.kmsfs_mounts() if mount.source == resolved]
    return Place(resolved, path, mounts[-1] if mounts else None)


def do(
    place: Place,
    request: Mapping[str, object],
    agent_url: str | None,
    customer_keys: CustomerKeys = NO_CUSTOMER_KEYS,
) -> Generator[Progress, None, Mapping[str, object]]:
    """Do a job at a place; yield what it tells of how far it is, return what it ends with.

    Args:
        place: its path goes into the request.
        request: {"ask": …} and what else the job takes.
        agent_url: for a volume that is not mounted; a mount has its own.
        customer_keys: that the user gave; likewise.

    Raises:
        NoAnswerError: the mount does not answer, or not to this user.
        KmsfsError, AgentError, OSError: what opening the volume, and the job, give.
    """
    asked = {**request, "path": os.fsdecode(place.path)}
    if place.mount is not None:
        door = statusdoor.socket_path(place.mount.owner_uid, place.mount.device, os.environ)
        return (yield from statusdoor.command(door, asked))
    is_reading = not control.changes(asked)
    with offline.opened(
        place.directory, agent_url, read_only=is_reading, customer_keys=customer_keys
    ) as core:
        return (yield from jobs.here(control.job(core, asked)))


def _is_within(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")
