"""Owns what is told of how a file is encrypted, or will be: policy, mode, KMS key, encryption context. Pure.

In the words in which S3 tells it of an object. Knows nothing of how it is asked for.
"""

import json
from typing import Final, NamedTuple

from kmsfs import kms
from kmsfs.errors import CorruptHeaderError, KeyUnavailableError
from kmsfs.header import ClearHeader
from kmsfs.volume import CUSTOMER, DIRECT, VolumeDescription
from kmsfs.wrapping import Mode, referenced_policy

ATTRIBUTES: Final = (b"kmsfs.key-id", b"kmsfs.policy", b"kmsfs.encryption-context")
"""The extended attributes that tell it."""


class Encryption(NamedTuple):
    """How a file is encrypted.

    Attributes:
        policy: index of the policy it was made under.
        mode: "bucket", "direct" or "customer".
        key_arn: the KMS key; "" where the key is the customer's.
        chunk_shift: it has chunks of 2**chunk_shift bytes.
        context: EncryptionContext under which the KMS key was used; empty where the key is the customer's.
    """

    policy: int
    mode: str
    key_arn: str
    chunk_shift: int
    context: dict[str, str]

    def as_json(self) -> dict[str, object]:
        """Return what `kmsfs policy show --json` prints."""
        return {
            "policy": self.policy,
            "mode": self.mode,
            "key_arn": self.key_arn or None,
            "chunk_size_bytes": 1 << self.chunk_shift,
            "encryption_context": self.context or None,
        }

    def attribute(self, name: bytes) -> bytes | None:
        """Return the value of one of ATTRIBUTES; None where there is nothing to tell."""
        if name == b"kmsfs.key-id":
            return self.key_arn.encode() or None
        if name == b"kmsfs.encryption-context":
            return json.dumps(self.context).encode() if self.context else None
        told = {"policy": self.policy, "mode": self.mode, "chunk_size_bytes": 1 << self.chunk_shift}
        return json.dumps(told).encode()


def of_new_files(description: VolumeDescription, policy_index: int) -> Encryption:
    """Return how files are encrypted that are made under a policy; of mode direct, each adds its id.

    Raises:
        KeyUnavailableError: the volume has no such policy.
    """
    if policy_index >= len(description.policies):
        raise KeyUnavailableError(
            f"the volume has no policy {policy_index}: volume.yaml is an older copy; restore a newer one"
        )
    policy = description.policies[policy_index]
    context = {} if policy.mode == CUSTOMER else kms.policy_context(description.volume_id, policy_index)
    return Encryption(policy_index, policy.mode, policy.key_arn, policy.chunk_shift, context)


def of_file(description: VolumeDescription, clear: ClearHeader) -> Encryption:
    """Return how a file with this header is encrypted.

    Raises:
        CorruptHeaderError: the header names a key that the volume has not.
        KeyUnavailableError: it names a policy that the volume has not.
    """
    index = _policy(description, clear)
    if index is None:
        raise CorruptHeaderError("the header names a key that does not belong to this volume")
    made = of_new_files(description, index)._replace(chunk_shift=clear.chunk_shift)
    if made.mode == DIRECT:
        return made._replace(context=kms.file_context(description.volume_id, index, clear.file_id))
    return made


def _policy(description: VolumeDescription, clear: ClearHeader) -> int | None:
    if clear.mode is not Mode.BUCKET:
        return referenced_policy(clear.reference)
    found = (entry.policy for entry in description.bucket_keys if entry.id == clear.reference)
    return next(found, None)
