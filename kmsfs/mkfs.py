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

from kmsfs import backing, customerkeys, datakeys, locking, volume, volumedir
from kmsfs.bindings import Bindings
from kmsfs.customerkeys import CustomerKeys
from kmsfs.errors import VolumeError
from kmsfs.kms import DataKey, Kms
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
        key_id: KMS key behind it: key id, key ARN, alias name or alias ARN. Not of mode customer.
        mode: where the data keys of its files come from, except below directories that say otherwise.
        customer_key: 32 bytes, of mode customer alone: stands in place of the KMS key.
        chunk_shift: files have chunks of 2**chunk_shift bytes, except below directories that say otherwise.
        parameters: what cannot be changed later.
        agent_url: the agent that was named for it, to be told to whoever mounts it with another.
    """

    key_id: str = MANAGED_KEY
    mode: str = volume.BUCKET
    customer_key: bytes | None = field(default=None, repr=False)
    chunk_shift: int = 12
    parameters: volume.Parameters = field(default_factory=volume.Parameters)
    agent_url: str | None = None


def make_volume(path: str, agent: Kms, plan: VolumePlan) -> volume.VolumeDescription:
    """Make a volume in `path`, an empty directory or one that does not exist yet; return its description.

    Raises:
        NotEmptyError: the directory holds something.
        ManyDevicesError: it lies on an overlay that cannot hold a volume.
        KeyUnavailableError: the agent refuses the key.
        AgentError: no agent can be asked; mode customer needs none.
        OSError: the directory cannot be made or written.
    """
    _require_empty(path)
    volume_id = os.urandom(_ID_SIZE)
    made, policy = _new_volume_key(agent, plan, volume_id)
    keys = VolumeKeys.derive(made.plaintext, volume_id)
    bare = volume.VolumeDescription(
        volume_id=volume_id,
        volume_key_blob=made.blob,
        volume_key_material_id=made.key_material_id,
        policies=(policy,),
        parameters=plan.parameters,
        agent_url=plan.agent_url,
    )
    # The first key for files belongs to the volume's making: one that cannot serve a mount is found out now.
    given = CustomerKeys(() if plan.customer_key is None else (plan.customer_key,))
    keyring, description = datakeys.fetch_keys(agent, bare, given)
    keyring.new_key()
    keyring.close()
    binding = Bindings(keys.bindings).root() if plan.parameters.bindings else None
    root = DirectoryRecord(os.urandom(_ID_SIZE)).tied(binding)
    record = RecordCipher(keys.records, keys.xattr).seal(root)
    _write(path, record, volume.dump(description, keys.mac))
    return description


def _new_volume_key(agent: Kms, plan: VolumePlan, volume_id: bytes) -> tuple[DataKey, volume.Policy]:
    """Return the volume key with what the description keeps of it, and the volume's own policy."""
    if plan.customer_key is not None:
        check = customerkeys.new_check(plan.customer_key, volume_id)
        policy = volume.Policy(0, "", volume.CUSTOMER, plan.chunk_shift, check)
        wrapping = CustomerKeys((plan.customer_key,)).require(policy, volume_id)
        volume_key = os.urandom(customerkeys.KEY_SIZE)
        blob = customerkeys.wrap_volume_key(wrapping, volume_key, volume_id)
        return DataKey(volume_key, blob, "", None), policy
    made = datakeys.new_volume_key(agent, plan.key_id, volume_id)
    return made, volume.Policy(0, made.key_arn, plan.mode, plan.chunk_shift)


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
