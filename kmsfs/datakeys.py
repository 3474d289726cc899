"""Owns getting a volume's keys when it is opened: the volume key, and what each policy makes files with.

As with S3 Bucket Keys, one call to the service serves many files. A mount that finds the KMS key rotated
since the newest bucket key was made makes a new one. Knows the service only by what `kms` asks it; knows
nothing of where the description is stored.
"""

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from agent.client import AgentError
from kmsfs import customerkeys, kms, volume
from kmsfs.bucketkeys import BUCKET_KEY_ID_SIZE, BucketKey
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.directkeys import DirectKeys
from kmsfs.errors import CorruptVolumeError, KeyUnavailableError
from kmsfs.keyring import Keyring, PolicyKeys
from kmsfs.kms import DataKey, Kms
from kmsfs.patience import Patience
from kmsfs.volume import BucketKeyEntry, Policy, VolumeDescription
from kmsfs.wrapping import policy_reference


class Fetched(NamedTuple):
    """The keys of one policy, and the bucket key that was made for it, if one was."""

    keys: PolicyKeys
    made: BucketKeyEntry | None = None


def new_volume_key(service: Kms, key_id: str, volume_id: bytes) -> DataKey:
    """Make the volume key of a new volume, 32 bytes.

    Args:
        service: who makes it.
        key_id: key id, key ARN, alias name or alias ARN.
        volume_id: 16 bytes.

    Raises:
        KeyUnavailableError: the service refuses.
        AgentError: it cannot be asked.
    """
    return kms.generate_data_key(service, key_id, kms.volume_context(volume_id))


def fetch_volume_key(
    service: Kms, description: VolumeDescription, customer_keys: CustomerKeys = NO_CUSTOMER_KEYS
) -> bytes:
    """Return the volume key (32 bytes); `description` need not be verified yet.

    Raises:
        CorruptVolumeError: the ciphertext is not of this volume and KMS key, or was changed.
        KeyUnavailableError: the service refuses, or the customer's key was not given.
        AgentError: no agent can be asked.
    """
    own, volume_id = description.policies[0], description.volume_id
    if own.mode == volume.CUSTOMER:
        wrapping = customer_keys.require(own, volume_id)
        return customerkeys.unwrap_volume_key(wrapping, description.volume_key_blob, volume_id)
    try:
        return kms.decrypt(service, own.key_arn, description.volume_key_blob, kms.volume_context(volume_id))
    except KeyUnavailableError as error:
        if not kms.is_foreign(error):
            raise
        raise CorruptVolumeError(
            f"{own.key_arn} did not encrypt the volume key in the volume description for this volume: the "
            "description was changed, or belongs to another agent; restore volume.yaml from a copy",
        ) from error


def fetch_keys(
    service: Kms,
    description: VolumeDescription,
    customer_keys: CustomerKeys = NO_CUSTOMER_KEYS,
    *,
    renew: bool = True,
) -> tuple[Keyring, VolumeDescription]:
    """Get the keys of every policy, and make a new bucket key for each one whose KMS key was rotated.

    Files are lost if they are written under a bucket key that the stored description does not hold: where the
    returned description is not `description`, it has to be durable on disk before the keyring is used.

    Args:
        service: who is asked, now and later.
        description: verified.
        customer_keys: that the user gave.
        renew: False makes no new key and leaves the description as it is, for a read-only mount; policies
            that have no bucket key yet then have no current one.

    Raises:
        KeyUnavailableError: the service refuses the current key of policy 0 to a mount for writing. Other
            keys that cannot be had are remembered with the reason, and refused when they are asked for.
        AgentError: no agent can be asked for the keys of policy 0.
    """
    keyring, patience = Keyring(), Patience()
    made = []
    for policy in description.policies:
        try:
            fetched = fetch_policy(service, description, policy, customer_keys, patience, renew=renew)
        except AgentError as error:
            # Only here can a volume be without its agent: its own key is a customer's.
            if description.policies[0].mode != volume.CUSTOMER:
                raise
            fetched = Fetched(_unasked(description, policy, str(error)))
        if renew and policy.index == 0 and fetched.keys.reason:
            raise KeyUnavailableError(fetched.keys.reason)
        keyring.put(fetched.keys)
        if fetched.made is not None:
            made.append(fetched.made)
    if not made:
        return keyring, description
    return keyring, replace(description, bucket_keys=(*description.bucket_keys, *made))


def fetch_policy(
    service: Kms,
    description: VolumeDescription,
    policy: Policy,
    customer_keys: CustomerKeys,
    patience: Patience,
    *,
    renew: bool = True,
) -> Fetched:
    """Get the keys of one policy, which `description` need not name yet; arguments as of `fetch_keys`.

    Raises:
        AgentError: no agent can be asked. What it refuses is in the answer, as a reason.
    """
    volume_id = description.volume_id
    if policy.mode == volume.DIRECT:
        return Fetched(PolicyKeys(policy.index, direct=DirectKeys(service, volume_id, policy, patience)))
    if policy.mode == volume.CUSTOMER:
        return Fetched(_customers(policy, volume_id, customer_keys))
    return _bucket(service, description, policy, renew=renew)


def _customers(policy: Policy, volume_id: bytes, customer_keys: CustomerKeys) -> PolicyKeys:
    try:
        key = customer_keys.require(policy, volume_id)
    except KeyUnavailableError as error:
        reason = str(error)
        return PolicyKeys(policy.index, missing={policy_reference(policy.index): reason}, reason=reason)
    return PolicyKeys(policy.index, (key,), key)


def _bucket(service: Kms, description: VolumeDescription, policy: Policy, *, renew: bool) -> Fetched:
    volume_id, index = description.volume_id, policy.index
    context = kms.policy_context(volume_id, index)
    entries = [entry for entry in description.bucket_keys if entry.policy == index]
    keys: dict[bytes, BucketKey] = {}
    missing: dict[bytes, str] = {}
    for entry in entries:
        try:
            plaintext = kms.decrypt(service, policy.key_arn, entry.blob, context)
            keys[entry.id] = BucketKey(entry.id, plaintext)
        except KeyUnavailableError as error:
            missing[entry.id] = str(error)
    made, reason = None, ""
    try:
        if renew and _is_outdated(service, policy, entries):
            made, key = _new_bucket_key(service, volume_id, policy)
            keys[made.id] = key
    except KeyUnavailableError as error:
        reason = str(error)
    newest = made or (entries[-1] if entries else None)
    if newest is None:
        reason = reason or f"policy {index} has no bucket key yet: mount for writing"
    elif not reason:
        reason = missing.get(newest.id, "")
    current = None if newest is None or reason else keys[newest.id]
    return Fetched(PolicyKeys(index, tuple(keys.values()), current, missing, reason), made)


def _is_outdated(service: Kms, policy: Policy, entries: list[BucketKeyEntry]) -> bool:
    if not entries:
        return True
    # A service that does not tell its material is taken not to have rotated.
    return kms.current_material(service, policy.key_arn) not in (None, entries[-1].key_material_id)


def _new_bucket_key(service: Kms, volume_id: bytes, policy: Policy) -> tuple[BucketKeyEntry, BucketKey]:
    made = kms.generate_data_key(service, policy.key_arn, kms.policy_context(volume_id, policy.index))
    key = BucketKey(os.urandom(BUCKET_KEY_ID_SIZE), made.plaintext)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return BucketKeyEntry(key.id, policy.index, made.blob, made.key_material_id, created), key


def _unasked(description: VolumeDescription, policy: Policy, reason: str) -> PolicyKeys:
    missing = {entry.id: reason for entry in description.bucket_keys if entry.policy == policy.index}
    return PolicyKeys(policy.index, missing=missing, reason=reason)
