"""Owns AWS managed keys: which there are, and how one is made when it is first asked for."""

import json
from collections.abc import Mapping
from typing import Final

from agent.api.enums import KeyManager
from agent.keys import rotation
from agent.keys.key import Alias, Key
from agent.operations.creation import make_key
from agent.operations.kms import Kms
from agent.operations.targets import KeyTarget, Target, alias_name

MANAGED_ALIASES: Final[Mapping[str, str]] = {
    "alias/aws/kmsfs": "Default key that protects my kmsfs volumes when no other key is defined",
}
"""Aliases of the service's own keys, with the keys' descriptions."""

USE_ACTIONS: Final = frozenset(
    {
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
    }
)
READ_ACTIONS: Final = frozenset(
    {"kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListKeyRotations"}
)
"""What the account may do with a managed key, besides using it."""

_PREFIX: Final = "alias/aws/"
_ROOT_ARN: Final = "arn:aws:iam::{}:root"


def missing(kms: Kms, target: Target) -> str | None:
    """Return the managed alias that `target` names, if its key has yet to be made; else None."""
    if isinstance(target, KeyTarget) and target.takes_alias and _PREFIX in target.key_id:
        name = alias_name(kms, target.key_id)
        if name is not None and name in MANAGED_ALIASES and kms.store.alias(kms.region, name) is None:
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
            description=MANAGED_ALIASES[name],
            key_manager=KeyManager.AWS,
            policy=policy(kms),
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


def policy(kms: Kms) -> str:
    """Return the fixed policy of a managed key: the account uses it, reads about it, changes nothing."""
    principal = {"AWS": _ROOT_ARN.format(kms.account_id)}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Id": "auto-kmsfs-1",
            "Statement": [
                {
                    "Sid": "Allow the account to use the key",
                    "Effect": "Allow",
                    "Principal": principal,
                    "Action": sorted(USE_ACTIONS),
                    "Resource": "*",
                },
                {
                    "Sid": "Allow the account to read about the key",
                    "Effect": "Allow",
                    "Principal": principal,
                    "Action": sorted(READ_ACTIONS),
                    "Resource": "*",
                },
            ],
        },
        indent=2,
    )
