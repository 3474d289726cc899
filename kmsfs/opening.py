"""Owns opening a volume: lock, keys, verified description. What comes of it is an `OpenVolume`.

Nothing on disk changes until the agent has given every key that a mount needs. From then until it ends
properly, a mount for writing stands in the description as the one since which the volume is in use. One that
never ended so stands there for good: which files it left with lengths that contradict their sealed sizes is
known only once each has been opened.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from agent.client import AgentClient
from kmsfs import datakeys, locking, moment, volume, volumedir
from kmsfs.durable import sync_filesystem
from kmsfs.names import NameCipher, PlainNames, SivNames
from kmsfs.openvolume import OpenVolume
from kmsfs.records import RecordCipher
from kmsfs.volumekeys import VolumeKeys


@contextmanager
def open_volume(
    path: str, client: AgentClient, *, mountpoint: str = "", read_only: bool = False
) -> Iterator[OpenVolume]:
    """Open a volume until the body ends; the agent is asked before the body only.

    When the body ends, everything is written to storage and the volume no longer in use; when it raises, the
    volume stays so, and later mounts repair what they find.

    Args:
        path: the ciphertext directory.
        client: of the agent that has the keys.
        mountpoint: where it will be mounted, for messages to others who want to use the volume.
        read_only: change nothing on disk, and share the volume with other such mounts.

    Raises:
        NotAVolumeError: there is no volume.
        VolumeLockedError: it is mounted.
        CorruptVolumeError: its description is damaged or was changed.
        KeyUnavailableError: the agent refuses a key that a mount needs.
        AgentError: no agent can be asked.
    """
    with (
        volumedir.root_directory(path) as root_fd,
        volumedir.volume_directory(root_fd) as volume_fd,
        locking.locked(volume_fd, shared=read_only) as lock_fd,
    ):
        unverified = volume.load(volumedir.read_description(volume_fd))
        volume_key = datakeys.fetch_volume_key(client, unverified.description)
        keys = VolumeKeys.derive(volume_key, unverified.description.volume_id)
        description = volume.verify(unverified, keys.mac)
        keyring, renewed = datakeys.fetch_bucket_keys(client, description, renew=not read_only)
        opened = OpenVolume(
            root_fd=root_fd,
            description=renewed,
            keys=keys,
            names=_names(renewed.parameters, keys),
            records=RecordCipher(keys.records, keys.xattr),
            keyring=keyring,
            was_clean=description.in_use_since is None,
            read_only=read_only,
        )
        if read_only:
            yield opened
            return
        with _in_use(opened, volume_fd):
            holder = locking.Holder(os.getpid(), os.uname().nodename, mountpoint, opened.was_clean)
            locking.write_holder(lock_fd, holder)
            try:
                yield opened
            finally:
                locking.write_holder(lock_fd, None)


@contextmanager
def _in_use(opened: OpenVolume, volume_fd: int) -> Iterator[None]:
    """Keep the description as it is while a mount may change the volume, new bucket keys included."""
    description = opened.description
    since = description.in_use_since or moment.spell(time.time())
    _write(opened, volume_fd, replace(description, in_use_since=since))
    yield
    if opened.was_clean:
        sync_filesystem(opened.root_fd)
        _write(opened, volume_fd, description)


def _write(opened: OpenVolume, volume_fd: int, description: volume.VolumeDescription) -> None:
    volumedir.write_description(volume_fd, volume.dump(description, opened.keys.mac))


def _names(parameters: volume.Parameters, keys: VolumeKeys) -> NameCipher:
    return PlainNames() if parameters.names == "plain" else SivNames(keys.names)
