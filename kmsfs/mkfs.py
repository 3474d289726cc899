"""Owns making a volume. Either there is a whole one afterwards, or nothing has changed.

The agent is asked for everything first. On disk the root directory's record comes first and the directory
with the description last, by rename: it alone makes a directory a volume.
"""

import os
import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.client import AgentClient
from kmsfs import backing, datakeys, locking, volume, volumedir
from kmsfs.errors import VolumeError
from kmsfs.records import DirectoryRecord, RecordCipher
from kmsfs.volumekeys import VolumeKeys

MANAGED_KEY: Final = "alias/aws/kmsfs"

_ID_SIZE: Final = 16
_ROOT_RECORD_NAME: Final = b".kmsfs"
_NEW_DIRECTORY_PREFIX: Final = b".kmsfs.tmp."
_DIRECTORY_MODE: Final = 0o700


class NotEmptyError(VolumeError):
    """A volume can only be made in an empty directory."""


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """What a new volume is to be.

    Attributes:
        key_id: KMS key behind it: key id, key ARN, alias name or alias ARN.
        chunk_shift: files have chunks of 2**chunk_shift bytes, except below directories that say otherwise.
        parameters: what cannot be changed later.
        agent_url: the agent that was named for it, to be told to whoever mounts it with another.
    """

    key_id: str = MANAGED_KEY
    chunk_shift: int = 12
    parameters: volume.Parameters = field(default_factory=volume.Parameters)
    agent_url: str | None = None


def make_volume(path: str, client: AgentClient, plan: VolumePlan) -> volume.VolumeDescription:
    """Make a volume in `path`, an empty directory or one that does not exist yet; return its description.

    Raises:
        NotEmptyError: the directory holds something.
        ManyDevicesError: it lies on an overlay that cannot hold a volume.
        KeyUnavailableError: the agent refuses the key.
        AgentError: no agent can be asked.
        OSError: the directory cannot be made or written.
    """
    _require_empty(path)
    volume_id = os.urandom(_ID_SIZE)
    volume_key, blob, key_arn = datakeys.new_volume_key(client, plan.key_id, volume_id)
    keys = VolumeKeys.derive(volume_key, volume_id)
    bare = volume.VolumeDescription(
        volume_id=volume_id,
        volume_key_blob=blob,
        policies=(volume.Policy(0, key_arn, chunk_shift=plan.chunk_shift),),
        parameters=plan.parameters,
        agent_url=plan.agent_url,
    )
    # The first bucket key belongs to the volume's making: a key that cannot serve a mount is found out now.
    _, description = datakeys.fetch_bucket_keys(client, bare)
    record = RecordCipher(keys.records, keys.xattr).seal(DirectoryRecord(os.urandom(_ID_SIZE)))
    _write(path, record, volume.dump(description, keys.mac))
    return description


def _require_empty(path: str) -> None:
    with suppress(FileNotFoundError):
        names = os.listdir(os.fsencode(path))  # noqa: PTH208 - bytes names
        if volumedir.DIRECTORY_NAME in names:
            raise NotEmptyError(f"{path} holds a kmsfs volume already")
        if names:
            raise NotEmptyError(f"{path} is not empty; a volume needs a directory of its own")


def _write(path: str, record: bytes, description: bytes) -> None:
    new_name = _NEW_DIRECTORY_PREFIX + secrets.token_hex(8).encode()
    with ExitStack() as undo:
        _make_directory(path, undo)
        with volumedir.root_directory(path) as root_fd:
            backing.symlink(root_fd, _ROOT_RECORD_NAME, record)
            undo.callback(_remove, path, _ROOT_RECORD_NAME)
            volumedir.require_one_device(root_fd, _ROOT_RECORD_NAME)
            backing.mkdir(root_fd, new_name, _DIRECTORY_MODE)
            undo.callback(_remove_directory, path, new_name)
            new_fd = backing.open_directory(root_fd, new_name)
            try:
                locking.create_lock(new_fd)
                volumedir.write_description(new_fd, description)
            finally:
                os.close(new_fd)
            backing.fsync_directory(root_fd)
            backing.rename(root_fd, new_name, root_fd, volumedir.DIRECTORY_NAME)
            # From here on there is a volume, whole, whatever a last fsync may say.
            undo.pop_all()
            backing.fsync_directory(root_fd)


def _make_directory(path: str, undo: ExitStack) -> None:
    with suppress(FileExistsError):
        Path(path).mkdir(_DIRECTORY_MODE)
        undo.callback(Path(path).rmdir)


def _remove(path: str, name: bytes) -> None:
    with volumedir.root_directory(path) as root_fd:
        backing.unlink(root_fd, name)


def _remove_directory(path: str, name: bytes) -> None:
    with volumedir.root_directory(path) as root_fd:
        directory_fd = backing.open_directory(root_fd, name)
        try:
            for entry in backing.list_names(directory_fd):
                backing.unlink(directory_fd, entry)
        finally:
            os.close(directory_fd)
        backing.rmdir(root_fd, name)
