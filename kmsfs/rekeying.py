"""Owns having a volume's own keys wrapped anew by the KMS: the volume key, and the bucket keys of policies.

The keys stay what they are and are never shown here but to see that they open again; so no file is touched.
What is asked for is asked first, and the description written once, after it. Knows nothing of files.
"""

import hmac
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kmsfs import datakeys, kms, moment, volume
from kmsfs.bucketkeys import BUCKET_KEY_ID_SIZE
from kmsfs.customerkeys import NO_CUSTOMER_KEYS
from kmsfs.errors import KeyUnavailableError, VolumeError
from kmsfs.keyring import PolicyKeys
from kmsfs.kms import DataKey, Kms, Under
from kmsfs.patience import Patience
from kmsfs.volume import BucketKeyEntry, Policy, VolumeDescription
from kmsfs.volumekeys import VolumeKeys


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """A description whose keys are wrapped anew.

    Attributes:
        description: to be written before `keys` are used.
        keys: of the policies that have other ones, or others that can be had.
        rewrapped: how many keys were wrapped anew.
        made: how many bucket keys are new.
        refused: by policy index, why its keys are as they were.
    """

    description: VolumeDescription
    keys: tuple[PolicyKeys, ...]
    rewrapped: int
    made: int
    refused: Mapping[int, str]


def chosen(description: VolumeDescription, index: int | None, key_id: str | None) -> tuple[Policy, ...]:
    """Return the policies whose keys are to be wrapped anew.

    Args:
        description: of the volume.
        index: the one that is asked for; None for the volume's own where there is a new key, else for all
            that have a KMS key.
        key_id: the new KMS key; None for the one that each has.

    Raises:
        VolumeError: there is no such policy, or it has no KMS key.
    """
    if index is None and key_id is None:
        return tuple(policy for policy in description.policies if policy.mode != volume.CUSTOMER)
    wanted = index or 0
    if wanted >= len(description.policies):
        raise VolumeError(f"the volume has no policy {wanted}; see: kmsfs policy list")
    policy = description.policies[wanted]
    if policy.mode == volume.CUSTOMER:
        raise VolumeError(
            f"the key of policy {wanted} is the customer's and not a KMS key; to change it, give the "
            "directories another policy with kmsfs policy set, then run kmsfs rewrap --files"
        )
    return (policy,)


def rekey(
    service: Kms,
    description: VolumeDescription,
    keys: VolumeKeys,
    policies: Sequence[Policy],
    key_id: str | None = None,
) -> Rekeyed:
    """Have the keys of policies wrapped under the current material of their KMS key, or under another one.

    Args:
        service: has both keys.
        description: of the volume.
        keys: of the volume.
        policies: which ones; with policy 0 the volume key is wrapped anew too. Of several, those go on whose
            KMS key is not refused.
        key_id: key id, key ARN, alias name or alias ARN of the new KMS key; new files then get a new bucket
            key as well. None for the one that each policy has.

    Raises:
        KeyUnavailableError: the service refuses the one policy; nothing has changed.
        AgentError: it cannot be asked.
    """
    fetched: list[PolicyKeys] = []
    refused: dict[int, str] = {}
    rewrapped = made = 0
    for policy in policies:
        try:
            changed, keys_of_it = _rekeyed(service, description, keys, policy, key_id)
        except KeyUnavailableError as error:
            if len(policies) == 1:
                raise
            refused[policy.index] = str(error)
            continue
        own = sum(entry.policy == policy.index for entry in description.bucket_keys)
        rewrapped += own + (policy.index == 0)
        made += len(changed.bucket_keys) - len(description.bucket_keys)
        description = changed
        fetched += [] if keys_of_it is None else [keys_of_it]
    return Rekeyed(description, tuple(fetched), rewrapped, made, refused)


def _rekeyed(
    service: Kms, description: VolumeDescription, keys: VolumeKeys, policy: Policy, key_id: str | None
) -> tuple[VolumeDescription, PolicyKeys | None]:
    if policy.index == 0:
        description = _with_volume_key(service, description, keys, key_id or policy.key_arn)
    if policy.mode == volume.DIRECT and key_id is None:
        # Its data keys are files' own.
        return description, None
    description = _with_policy(service, description, policy, key_id)
    return description, _opened_again(service, description, policy.index)


def _with_volume_key(
    service: Kms, description: VolumeDescription, keys: VolumeKeys, key_id: str
) -> VolumeDescription:
    context = kms.volume_context(description.volume_id)
    source = Under(description.policies[0].key_arn, context)
    result = kms.re_encrypt(service, description.volume_key_blob, source, Under(key_id, context))
    plaintext = kms.decrypt(service, result.key_arn, result.blob, context)
    if not hmac.compare_digest(VolumeKeys.derive(plaintext, description.volume_id).mac, keys.mac):
        raise KeyUnavailableError("the agent gave back another key than the one that it was to wrap anew")
    return replace(description, volume_key_blob=result.blob, volume_key_material_id=result.key_material_id)


def _with_policy(
    service: Kms, description: VolumeDescription, policy: Policy, key_id: str | None
) -> VolumeDescription:
    """Return the description with the bucket keys of a policy wrapped anew, and a new one where need be."""
    context = kms.policy_context(description.volume_id, policy.index)
    key_arn = policy.key_arn
    made: tuple[BucketKeyEntry, ...] = ()
    if key_id is not None or _is_rotated(service, description, policy):
        # Whoever had the old KMS key may have had the old bucket keys.
        drawn = kms.generate_data_key(service, key_id or key_arn, context)
        key_arn = drawn.key_arn if key_id is not None else key_arn
        if policy.mode == volume.BUCKET:
            made = (_entry(policy, drawn),)
    entries = tuple(
        _rewrapped(service, entry, Under(policy.key_arn, context), Under(key_arn, context))
        if entry.policy == policy.index
        else entry
        for entry in description.bucket_keys
    )
    policies = list(description.policies)
    policies[policy.index] = replace(policy, key_arn=key_arn)
    return replace(description, policies=tuple(policies), bucket_keys=(*entries, *made))


def _is_rotated(service: Kms, description: VolumeDescription, policy: Policy) -> bool:
    """Say whether the newest bucket key of a policy is from before its KMS key was rotated."""
    if policy.mode != volume.BUCKET:
        return False
    materials = [entry.key_material_id for entry in description.bucket_keys if entry.policy == policy.index]
    return kms.current_material(service, policy.key_arn) not in (None, *materials[-1:])


def _entry(policy: Policy, drawn: DataKey) -> BucketKeyEntry:
    identity, created = os.urandom(BUCKET_KEY_ID_SIZE), moment.spell(time.time())
    return BucketKeyEntry(identity, policy.index, drawn.blob, drawn.key_material_id, created)


def _rewrapped(service: Kms, entry: BucketKeyEntry, source: Under, destination: Under) -> BucketKeyEntry:
    result = kms.re_encrypt(service, entry.blob, source, destination)
    return replace(entry, blob=result.blob, key_material_id=result.key_material_id)


def _opened_again(service: Kms, description: VolumeDescription, index: int) -> PolicyKeys:
    """Return the keys of a policy as they come out of what is about to be written."""
    policy = description.policies[index]
    keys = datakeys.fetch_policy(service, description, policy, NO_CUSTOMER_KEYS, Patience(), renew=False).keys
    reasons = [keys.reason, *keys.missing.values()]
    if any(reasons):
        raise KeyUnavailableError(f"what was wrapped anew does not open again: {next(filter(None, reasons))}")
    return keys
