"""Owns AWS managed keys: which there are, and how one is made when it is first asked for.

A service's own key is for whoever the service asks for, and only while it asks (`kms:ViaService`), as on AWS.
That of kmsfs is the exception: kmsfs asks in the name of whoever mounts, so the account may use it directly.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.api.enums import KeyManager
from agent.keys import rotation
from agent.keys.key import Alias, Key
from agent.operations.creation import make_key
from agent.operations.kms import Kms
from agent.operations.targets import KeyTarget, Target, alias_name

Statement = dict[str, Any]

_PREFIX: Final = "alias/aws/"
_ROOT_ARN: Final = "arn:aws:iam::{}:root"
_DESCRIPTION: Final = "Default key that protects my {} when no other key is defined"


@dataclass(frozen=True, slots=True)
class ManagedKey:
    """One key that a service has in each account.

    Attributes:
        service: as in `kms:ViaService`, before the Region; None where the account uses the key itself.
        title: what the policy calls the service.
        protects: what it protects, for its description.
    """

    service: str | None
    title: str
    protects: str


MANAGED_KEYS: Final[Mapping[str, ManagedKey]] = {
    "alias/aws/ebs": ManagedKey("ec2", "EBS", "EBS volumes"),
    "alias/aws/kmsfs": ManagedKey(None, "kmsfs", "kmsfs volumes"),
    "alias/aws/rds": ManagedKey("rds", "RDS", "RDS database volumes"),
    "alias/aws/s3": ManagedKey("s3", "S3", "S3 objects"),
    "alias/aws/secretsmanager": ManagedKey("secretsmanager", "AWS Secrets Manager", "Secrets Manager data"),
    "alias/aws/ssm": ManagedKey("ssm", "SSM", "SSM parameters"),
}
"""The services' keys, by the aliases that AWS has for them."""


def missing(kms: Kms, target: Target) -> str | None:
    """Return the managed alias that `target` names, if its key has yet to be made; else None."""
    if isinstance(target, KeyTarget) and target.takes_alias and _PREFIX in target.key_id:
        name = alias_name(kms, target.key_id)
        if name is not None and name in MANAGED_KEYS and kms.store.alias(kms.region, name) is None:
            return name
    return None


def create(kms: Kms, name: str) -> Key:
    """Make the key behind a managed alias, unless someone has meanwhile; it rotates every year."""
    with kms.store.write() as transaction:
        alias = kms.store.alias(kms.region, name)
        if alias is not None and alias.target_key_id is not None:
            key = kms.store.key(kms.region, alias.target_key_id)
            assert key is not None
            return key
        made, material = make_key(
            kms,
            creator_arn=_ROOT_ARN.format(kms.account_id),
            description=_DESCRIPTION.format(MANAGED_KEYS[name].protects),
            key_manager=KeyManager.AWS,
            policy=policy(kms, name),
        )
        key = rotation.enable(made, None, made.creation_date)
        assert material is not None
        transaction.put(key)
        transaction.put(material)
        transaction.put(
            Alias(
                name=name,
                region=kms.region,
                account_id=kms.account_id,
                target_key_id=key.key_id,
                creation_date=key.creation_date,
                last_updated_date=key.creation_date,
            )
        )
    return key


def policy(kms: Kms, name: str) -> str:
    """Return the fixed policy of a managed key: it is used, looked at, and changed by nobody."""
    managed = MANAGED_KEYS[name]
    use = _direct_use(kms, managed) if managed.service is None else _use_through(kms, managed)
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Id": f"auto-{name.removeprefix(_PREFIX)}-1",
            "Statement": [
                use,
                {
                    "Sid": "Allow direct access to key metadata to the account",
                    "Effect": "Allow",
                    "Principal": _account(kms),
                    "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                    "Resource": "*",
                },
            ],
        },
        indent=2,
    )


def _use_through(kms: Kms, managed: ManagedKey) -> Statement:
    """Return the statement of AWS's policies: everybody in the account, while the service asks for them."""
    return {
        "Sid": f"Allow access through {managed.title} for all principals in the account that are authorized "
        f"to use {managed.title}",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncrypt*",
            "kms:GenerateDataKey*",
            "kms:CreateGrant",
            "kms:DescribeKey",
        ],
        "Resource": "*",
        "Condition": {
            "StringEquals": {
                "kms:CallerAccount": kms.account_id,
                "kms:ViaService": f"{managed.service}.{kms.region}.amazonaws.com",
            }
        },
    }


def _direct_use(kms: Kms, managed: ManagedKey) -> Statement:
    return {
        "Sid": f"Allow the account to use the key for {managed.title}",
        "Effect": "Allow",
        "Principal": _account(kms),
        "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"],
        "Resource": "*",
    }


def _account(kms: Kms) -> dict[str, str]:
    return {"AWS": _ROOT_ARN.format(kms.account_id)}
