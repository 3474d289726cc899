"""Owns running a job on a volume for a command: at the door of its mount, or without one."""

import os
from collections.abc import Generator, Mapping
from typing import NamedTuple

from kmsfs import control, mountinfo, offline, statusdoor
from kmsfs.cli.targets import split
from kmsfs.customerkeys import CustomerKeys
from kmsfs.jobs import Call, Progress
from kmsfs.mountinfo import Mount


class Reached(NamedTuple):
    """A place in a volume.

    Attributes:
        mount: of the volume; None where it is not mounted, as far as this process sees.
        ciphertext: the ciphertext directory.
        path: plain, from the volume's root.
    """

    mount: Mount | None
    ciphertext: str
    path: str


def reach(text: str) -> Reached:
    """Find what is meant: a path on a mount, or DIR, or DIR:PATH, of a volume that may be mounted."""
    resolved = mountinfo.resolve(text)
    for mount in sorted(mountinfo.read(), key=lambda mount: len(mount.mountpoint), reverse=True):
        below = os.path.relpath(resolved, mount.mountpoint)
        if below == ".." or below.startswith("../"):
            continue
        if mount.is_kmsfs:
            return Reached(mount, mount.source, "" if below == "." else below)
        break
    target = split(text)
    ciphertext = os.path.realpath(target.directory)
    mounts = [mount for mount in mountinfo.kmsfs_mounts() if mount.source == ciphertext]
    return Reached(mounts[0] if mounts else None, target.directory, os.fsdecode(target.path))


def run(
    reached: Reached, request: Mapping[str, object], agent_url: str | None, customer_keys: CustomerKeys
) -> Generator[Progress, None, Mapping[str, object]]:
    """Have a job done; yield what it tells of how far it is, return what it ends with.

    Args:
        reached: the volume.
        request: what `control` understands; it changes the volume.
        agent_url: which agent a volume that is not mounted is opened with.
        customer_keys: that it is opened with.
    """
    mount = reached.mount
    if mount is not None:
        path = statusdoor.socket_path(mount.owner_uid, mount.device, os.environ)
        return (yield from statusdoor.command(path, request))
    opened = offline.opened(reached.ciphertext, agent_url, read_only=False, customer_keys=customer_keys)
    with opened as core:
        job = control.job(core, request)
        while True:
            try:
                step = next(job)
            except StopIteration as end:
                result: Mapping[str, object] = end.value
                return result
            if isinstance(step, Call):
                step.work()
            elif step is not None:
                yield step
