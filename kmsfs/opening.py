"""Owns opening a volume: lock, keys, verified description, recovery. What comes of it is an `OpenVolume`.

Nothing on disk changes until the agent has given every key that a mount needs. From then until it ends
properly, a mount for writing stands in the description, under its MAC, as the one since which the volume is
in use. One that never ended so is found there by the next, which recovers the volume before it serves it.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Final

from kmsfs import backing, datakeys, locking, moment, recovery, volume, volumedir
from kmsfs.bindings import Bindings
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.homes import Homes
from kmsfs.keyring import Keyring
from kmsfs.kms import Kms
from kmsfs.livedescription import LiveDescription
from kmsfs.loading import Loader
from kmsfs.names import NameCipher, PlainNames, SivNames
from kmsfs.openvolume import OpenVolume
from kmsfs.records import RecordCipher
from kmsfs.volumekeys import VolumeKeys

_LOG: Final = logging.getLogger(__name__)


@contextmanager
def open_volume(
    path: str,
    agent: Kms,
    *,
    customer_keys: CustomerKeys = NO_CUSTOMER_KEYS,
    mountpoint: str = "",
    read_only: bool = False,
) -> Iterator[OpenVolume]:
    """Open a volume until the body ends; in the body, the agent is asked for what has to come from it alone.

    When the body ends, everything is written to storage and the volume no longer in use; when it raises, the
    volume stays so, and the next mount for writing recovers it.

    Args:
        path: the ciphertext directory.
        agent: has the keys. It is asked later too, for data keys of mode direct.
        customer_keys: that the user gave.
        mountpoint: where it will be mounted, for messages to others who want to use the volume.
        read_only: change nothing on disk, and share the volume with other such mounts.

    Raises:
        NotAVolumeError: there is no volume.
        ManyDevicesError: it lies on an overlay that cannot hold a volume.
        VolumeLockedError: it is mounted.
        CorruptVolumeError: its description is damaged or was changed.
        KeyUnavailableError: the agent refuses a key that a mount needs, or it is a customer's and not given.
        AgentError: no agent can be asked.
        OSError: the store fails, or has no room for the description or for recovery.
    """
    with (
        volumedir.root_directory(path) as root_fd,
        volumedir.volume_directory(root_fd) as volume_fd,
        locking.locked(volume_fd, shared=read_only) as lock_fd,
    ):
        unverified = volume.load(volumedir.read_description(volume_fd))
        volumedir.require_one_device(volume_fd, volumedir.DESCRIPTION_NAME)
        volume_key = datakeys.fetch_volume_key(agent, unverified.description, customer_keys)
        keys = VolumeKeys.derive(volume_key, unverified.description.volume_id)
        description = volume.verify(unverified, keys.mac)
        keyring, renewed = datakeys.fetch_keys(agent, description, customer_keys, renew=not read_only)
        opened = OpenVolume(
            root_fd=root_fd,
            live=LiveDescription(renewed, volume_fd, keys.mac),
            keys=keys,
            names=_names(renewed.parameters, keys),
            records=RecordCipher(keys.records, keys.xattr),
            keyring=keyring,
            was_clean=description.in_use_since is None,
            read_only=read_only,
            agent=agent,
            customer_keys=customer_keys,
            bindings=Bindings(keys.bindings) if renewed.parameters.bindings else None,
        )
        _warn_of_missing(keyring)
        with closing(keyring):
            if read_only:
                _warn_if_in_use(description)
                yield opened
                return
            holder = locking.Holder(os.getpid(), os.uname().nodename, mountpoint)
            with locking.named(lock_fd, holder), _in_use(opened, description):
                yield opened


@contextmanager
def _in_use(opened: OpenVolume, stored: volume.VolumeDescription) -> Iterator[None]:
    """Recover the volume if it was left in use, then keep it in use until the body ends.

    Args:
        opened: the volume; its description may have more bucket keys than the stored one.
        stored: the description as it is on disk.
    """
    began = time.time()
    since, after = moment.spell(began), None
    if stored.in_use_since is not None:
        if opened.description != stored:
            # A copy, so that it is written.
            opened.live.change(replace)
        is_recovered = _recover(opened, moment.read(stored.in_use_since), began)
        if not is_recovered:
            since = after = stored.in_use_since
    opened.live.change(lambda description: replace(description, in_use_since=since))
    yield
    backing.sync_filesystem(opened.root_fd)
    opened.live.close(lambda description: replace(description, in_use_since=after))


def _recover(opened: OpenVolume, in_use_since: int, now: float) -> bool:
    """Recover the volume; until a new description is written, the next mount does it again.

    Returns whether all of it is; a later mount has to look at files whose key cannot be had now.
    """
    _LOG.info("the volume was not unmounted cleanly: recovering it")
    loader = Loader(opened.description, opened.keyring)
    homes = Homes(opened.records, opened.names, opened.bindings)
    found = recovery.recover(opened.root_fd, loader, homes, in_use_since, now)
    opened.counters.repaired_files = found.repaired
    _LOG.log(
        logging.WARNING if found.repaired or found.beyond_repair else logging.INFO,
        "the volume was not unmounted cleanly and is recovered: %d files checked, %d repaired, "
        "%d beyond repair and left as they are, %d leftovers removed",
        found.checked, found.repaired, found.beyond_repair, found.removed,
    )  # fmt: skip
    if found.without_key:
        _LOG.warning(
            "%d files could not be checked, because their keys cannot be had now; the next mount that has "
            "them does it, and until then the volume counts as not unmounted cleanly", found.without_key,
        )  # fmt: skip
    return not found.without_key


def _warn_of_missing(keyring: Keyring) -> None:
    for index, reason in keyring.reasons().items():
        _LOG.warning("policy %d: files cannot be made under it now: %s", index, reason)
    missing = Counter(keyring.unavailable.values())
    for reason, number in missing.items():
        if reason not in keyring.reasons().values():
            _LOG.warning("files under %d older keys of the volume cannot be opened now: %s", number, reason)


def _warn_if_in_use(description: volume.VolumeDescription) -> None:
    if description.in_use_since is not None:
        _LOG.warning(
            "the volume was not unmounted cleanly: files that were being written then may give I/O errors; "
            "mount it once for writing to repair them"
        )


def _names(parameters: volume.Parameters, keys: VolumeKeys) -> NameCipher:
    return PlainNames() if parameters.names == "plain" else SivNames(keys.names)
