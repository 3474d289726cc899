"""Owns opening a volume: lock, keys, verified description, mark. What comes of it is an `OpenVolume`.

Nothing on disk changes until the agent has given every key that a mount needs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from agent.client import AgentClient
from kmsfs import datakeys, locking, volume, volumedir
from kmsfs.names import NameCipher, PlainNames, SivNames
from kmsfs.openvolume import OpenVolume
from kmsfs.records import RecordCipher
from kmsfs.volumekeys import VolumeKeys


@contextmanager
def open_volume(
    path: str, client: AgentClient, *, mountpoint: str = "", read_only: bool = False
) -> Iterator[OpenVolume]:
    """Open a volume until the body ends; the agent is asked before the body only.

    When the body ends, everything is written to storage and the volume marked clean; when it raises, the
    volume stays marked, and the next mount repairs what it finds.

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
        if renewed != description:
            volumedir.write_description(volume_fd, volume.dump(renewed, keys.mac))
        opened = OpenVolume(
            root_fd=root_fd,
            description=renewed,
            keys=keys,
            names=_names(renewed.parameters, keys),
            records=RecordCipher(keys.records, keys.xattr),
            keyring=keyring,
            was_clean=locking.was_clean(volume_fd),
            read_only=read_only,
        )
        with nullcontext() if read_only else _in_use(root_fd, volume_fd, lock_fd, mountpoint):
            yield opened


@contextmanager
def _in_use(root_fd: int, volume_fd: int, lock_fd: int, mountpoint: str) -> Iterator[None]:
    locking.write_holder(lock_fd, locking.Holder(os.getpid(), os.uname().nodename, mountpoint))
    try:
        with locking.marked(root_fd, volume_fd):
            yield
    finally:
        locking.write_holder(lock_fd, None)


def _names(parameters: volume.Parameters, keys: VolumeKeys) -> NameCipher:
    return PlainNames() if parameters.names == "plain" else SivNames(keys.names)
