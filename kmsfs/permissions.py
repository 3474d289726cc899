"""Owns what a user of a volume has to be allowed at its KMS keys, and no more. Pure.

Every request about a volume's keys has its id in the encryption context, which is what the statements rest
on: they are good for this volume alone. DescribeKey has no context; it tells whether a key was rotated, and a
mount does without.
"""

import shlex
from typing import Final, NamedTuple

from kmsfs import kms
from kmsfs.volume import VolumeDescription

_OPERATIONS: Final = ("GenerateDataKey", "Decrypt", "DescribeKey")
_ARN_FIELDS: Final = 6


class KeyUse(NamedTuple):
    """What is needed of one KMS key.

    Attributes:
        key_arn: the key.
        policies: indexes of the policies that it stands behind.
        statements: of a key policy, to be added to those it has.
        grant: the words of a command that has the same effect.
    """

    key_arn: str
    policies: tuple[int, ...]
    statements: tuple[dict[str, object], ...]
    grant: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.grant)


def key_uses(description: VolumeDescription, principal: str) -> tuple[KeyUse, ...]:
    """Return what is needed of each KMS key of a volume.

    Args:
        description: of the volume; it need not be verified, and its policies of mode customer need nothing.
        principal: an ARN, or user/NAME or role/NAME of the key's account.
    """
    arns = dict.fromkeys(policy.key_arn for policy in description.policies if policy.key_arn)
    return tuple(_key_use(description, key_arn, principal) for key_arn in arns)


def identity_policy(description: VolumeDescription) -> dict[str, object]:
    """Return a policy of the user's own that allows the same, for all KMS keys of a volume."""
    arns = dict.fromkeys(policy.key_arn for policy in description.policies if policy.key_arn)
    return {"Version": "2012-10-17", "Statement": _statements(description, {}, list(arns))}


def _key_use(description: VolumeDescription, key_arn: str, principal: str) -> KeyUse:
    statements = _statements(description, {"Principal": {"AWS": _arn(key_arn, principal)}}, "*")
    policies = tuple(policy.index for policy in description.policies if policy.key_arn == key_arn)
    (pair,) = kms.volume_context(description.volume_id).items()
    operations = [word for operation in _OPERATIONS for word in ("--operation", operation)]
    context = ["--context-has", "=".join(pair)]
    grant = ("kms-agent", "grant", "create", key_arn, "--to", principal, *operations, *context)
    return KeyUse(key_arn, policies, tuple(statements), grant)


def _statements(
    description: VolumeDescription, principal: dict[str, object], resource: str | list[str]
) -> list[dict[str, object]]:
    volume_id = description.volume_id.hex()
    context = {
        f"kms:EncryptionContext:{name}": value
        for name, value in kms.volume_context(description.volume_id).items()
    }
    *with_context, without = [f"kms:{operation}" for operation in _OPERATIONS]
    return [
        {
            "Sid": f"KmsfsVolume{volume_id}",
            "Effect": "Allow",
            **principal,
            "Action": with_context,
            "Resource": resource,
            "Condition": {"StringEquals": context},
        },
        {
            "Sid": f"KmsfsRotation{volume_id}",
            "Effect": "Allow",
            **principal,
            "Action": without,
            "Resource": resource,
        },
    ]


def _arn(key_arn: str, principal: str) -> str:
    """Return a principal's ARN."""
    fields = key_arn.split(":", _ARN_FIELDS - 1)
    if principal.startswith("arn:") or len(fields) != _ARN_FIELDS:
        return principal
    return f"arn:{fields[1]}:iam::{fields[4]}:{principal}"
