"""Owns getting a volume's keys from the agent: the volume key, and the bucket keys that wrap data keys.

As with S3 Bucket Keys, one call to the agent serves many files. A mount that finds the KMS key rotated since
the newest bucket key was made makes a new one. Knows the agent only by its client; knows nothing of where the
description is stored.
"""

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from agent.api import errors as kms
from agent.api import operations
from agent.api.enums import DataKeySpec
from agent.api.operations import Operation
from agent.api.shapes.base import Shape
from agent.api.shapes.cryptographic import DecryptRequest, GenerateDataKeyRequest
from agent.api.shapes.keys import DescribeKeyRequest
from agent.client import AgentClient
from kmsfs.bucketkeys import BUCKET_KEY_ID_SIZE, BUCKET_KEY_SIZE, BucketKey
from kmsfs.errors import CorruptVolumeError, KeyUnavailableError
from kmsfs.keyring import Keyring
from kmsfs.volume import BucketKeyEntry, Policy, VolumeDescription

__all__ = ["BucketKey", "Keyring", "fetch_bucket_keys", "fetch_volume_key", "new_volume_key"]

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)

_NEXT_STEPS: Final[dict[type[kms.ServiceError], str]] = {
    kms.AccessDeniedException: "Ask the owner of the key to allow you to use it.",
    kms.DisabledException: "Enable it with: kms-agent key enable {key}",
    kms.InvalidCiphertextException: "The agent does not have the key material that this was encrypted under.",
    kms.KMSInvalidStateException: "See its state with: kms-agent key show {key}",
    kms.NotFoundException: "Ask an agent that has this key: --agent URL or KMS_AGENT_URL names it.",
}
_NEXT_STEP: Final = "See: kms-agent key show {key}"


def new_volume_key(client: AgentClient, key_id: str, volume_id: bytes) -> tuple[bytes, bytes, str]:
    """Make the volume key of a new volume.

    Args:
        client: of the agent.
        key_id: key id, key ARN, alias name or alias ARN.
        volume_id: 16 bytes.

    Returns:
        The volume key (32 bytes), its CiphertextBlob, and the ARN of the KMS key behind it.

    Raises:
        KeyUnavailableError: the agent refuses.
        AgentError: no agent can be asked.
    """
    return _generate(client, key_id, _volume_context(volume_id))[:3]


def fetch_volume_key(client: AgentClient, description: VolumeDescription) -> bytes:
    """Return the volume key (32 bytes); `description` need not be verified yet.

    Raises:
        CorruptVolumeError: the ciphertext is not of this volume and KMS key, or was changed.
        KeyUnavailableError: the agent refuses.
        AgentError: no agent can be asked.
    """
    context = _volume_context(description.volume_id)
    key_arn = description.policies[0].key_arn
    try:
        return _decrypt(client, key_arn, description.volume_key_blob, context)
    except KeyUnavailableError as error:
        if not isinstance(error.__cause__, (kms.InvalidCiphertextException, kms.IncorrectKeyException)):
            raise
        raise CorruptVolumeError(
            f"{key_arn} did not encrypt the volume key in the volume description for this volume: the "
            "description was changed, or belongs to another agent; restore volume.yaml from a copy",
        ) from error


def fetch_bucket_keys(
    client: AgentClient, description: VolumeDescription, *, renew: bool = True
) -> tuple[Keyring, VolumeDescription]:
    """Get every bucket key, and make a new one for each policy whose KMS key was rotated.

    Files are lost if they are written under a bucket key that the stored description does not hold: where the
    returned description is not `description`, it has to be durable on disk before the keyring is used.

    Args:
        client: of the agent.
        description: verified.
        renew: False makes no new key and leaves the description as it is, for a read-only mount; policies
            that have no bucket key yet then have no current one.

    Raises:
        KeyUnavailableError: the agent refuses the current key of policy 0 to a mount for writing. Other keys
            that cannot be had are remembered with the reason, and refused when they are asked for.
        AgentError: no agent can be asked.
    """
    keys: dict[bytes, BucketKey] = {}
    reasons: dict[bytes, str] = {}
    for entry in description.bucket_keys:
        key_arn = description.policies[entry.policy].key_arn
        context = _policy_context(description.volume_id, entry.policy)
        try:
            keys[entry.id] = BucketKey(entry.id, _decrypt(client, key_arn, entry.blob, context))
        except KeyUnavailableError as error:
            reasons[entry.id] = str(error)
    current: dict[int, BucketKey] = {}
    policy_reasons: dict[int, str] = {}
    made: list[BucketKeyEntry] = []
    for policy in description.policies:
        newest = _newest(description, policy)
        try:
            if renew and _is_outdated(client, policy, newest):
                newest, key = _new_bucket_key(client, description.volume_id, policy)
                made.append(newest)
                keys[newest.id] = key
        except KeyUnavailableError as error:
            policy_reasons[policy.index] = str(error)
            continue
        if newest is None:
            policy_reasons[policy.index] = f"policy {policy.index} has no bucket key yet: mount for writing"
        elif newest.id in keys:
            current[policy.index] = keys[newest.id]
        else:
            policy_reasons[policy.index] = reasons[newest.id]
    if renew and 0 in policy_reasons:
        raise KeyUnavailableError(policy_reasons[0])
    keyring = Keyring(tuple(keys.values()), current, reasons, policy_reasons)
    if not made:
        return keyring, description
    return keyring, replace(description, bucket_keys=(*description.bucket_keys, *made))


def _newest(description: VolumeDescription, policy: Policy) -> BucketKeyEntry | None:
    entries = (entry for entry in reversed(description.bucket_keys) if entry.policy == policy.index)
    return next(entries, None)


def _is_outdated(client: AgentClient, policy: Policy, newest: BucketKeyEntry | None) -> bool:
    if newest is None:
        return True
    request = DescribeKeyRequest(key_id=policy.key_arn)
    metadata = _call(client, operations.DESCRIBE_KEY, request, policy.key_arn).key_metadata
    # A service that does not tell its material is taken not to have rotated.
    return metadata.current_key_material_id not in (None, newest.key_material_id)


def _new_bucket_key(
    client: AgentClient, volume_id: bytes, policy: Policy
) -> tuple[BucketKeyEntry, BucketKey]:
    context = _policy_context(volume_id, policy.index)
    plaintext, blob, _, material_id = _generate(client, policy.key_arn, context)
    key = BucketKey(os.urandom(BUCKET_KEY_ID_SIZE), plaintext)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return BucketKeyEntry(key.id, policy.index, blob, material_id, created), key


def _generate(
    client: AgentClient, key_id: str, context: dict[str, str]
) -> tuple[bytes, bytes, str, str | None]:
    request = GenerateDataKeyRequest(key_id=key_id, encryption_context=context, key_spec=DataKeySpec.AES_256)
    response = _call(client, operations.GENERATE_DATA_KEY, request, key_id)
    key = _checked(response.plaintext, key_id)
    return key, response.ciphertext_blob, response.key_id, response.key_material_id


def _decrypt(client: AgentClient, key_arn: str, blob: bytes, context: dict[str, str]) -> bytes:
    request = DecryptRequest(ciphertext_blob=blob, encryption_context=context, key_id=key_arn)
    return _checked(_call(client, operations.DECRYPT, request, key_arn).plaintext, key_arn)


def _checked(plaintext: bytes | None, key_id: str) -> bytes:
    if plaintext is None or len(plaintext) != BUCKET_KEY_SIZE:
        raise KeyUnavailableError(f"the agent answered for {key_id} with something that is not a 256-bit key")
    return plaintext


def _call(
    client: AgentClient, operation: Operation[Request, Response], request: Request, key_id: str
) -> Response:
    try:
        return client.call(operation, request)
    except kms.ServiceError as error:
        reason = error.message or (error.__doc__ or "").partition("\n")[0]
        next_step = _NEXT_STEPS.get(type(error), _NEXT_STEP).format(key=key_id)
        raise KeyUnavailableError(
            f"{operation.name} with {key_id} was refused: {reason} ({error.code}). {next_step}",
        ) from error


def _volume_context(volume_id: bytes) -> dict[str, str]:
    return {"kmsfs:volume": volume_id.hex()}


def _policy_context(volume_id: bytes, policy_index: int) -> dict[str, str]:
    return {"kmsfs:volume": volume_id.hex(), "kmsfs:policy": str(policy_index)}
