"""What a user has to be allowed at a volume's KMS keys, in the forms in which it is printed."""

from __future__ import annotations

import pytest

from kmsfs.permissions import identity_policy, key_uses
from kmsfs.volume import CustomerCheck, Policy, VolumeDescription

ACCOUNT = "000000000000"
KEY = f"arn:aws:kms:local:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
VOLUME_ID = bytes(range(16))
CUSTOMERS = Policy(2, "", "customer", 12, CustomerCheck(bytes(16), bytes(32)))
DESCRIPTION = VolumeDescription(
    VOLUME_ID, b"blob", (Policy(0, KEY), Policy(1, OTHER), CUSTOMERS, Policy(3, KEY, "direct"))
)


def test_each_key_once() -> None:
    """A key that stands behind several policies is told once; a customer's needs nothing."""
    uses = key_uses(DESCRIPTION, "user/postfix")
    assert [(use.key_arn, use.policies) for use in uses] == [(KEY, (0, 3)), (OTHER, (1,))]


def test_statements() -> None:
    """Only with the volume's id in the encryption context; DescribeKey, which has none, apart."""
    use, _ = key_uses(DESCRIPTION, "user/postfix")
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/postfix"}
    assert use.statements == (
        {
            "Sid": f"KmsfsVolume{VOLUME_ID.hex()}",
            "Effect": "Allow",
            "Principal": principal,
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": "*",
            "Condition": {"StringEquals": {"kms:EncryptionContext:kmsfs:volume": VOLUME_ID.hex()}},
        },
        {
            "Sid": f"KmsfsRotation{VOLUME_ID.hex()}",
            "Effect": "Allow",
            "Principal": principal,
            "Action": "kms:DescribeKey",
            "Resource": "*",
        },
    )


@pytest.mark.parametrize(
    ("principal", "arn"),
    [
        ("role/mail", "arn:aws-us-gov:iam::111122223333:role/mail"),
        ("arn:aws:iam::444455556666:user/x", "arn:aws:iam::444455556666:user/x"),
    ],
)
def test_principals(principal: str, arn: str) -> None:
    """A name is of the key's own account and partition; an ARN stays as it is."""
    _, use = key_uses(DESCRIPTION, principal)
    assert [statement["Principal"] for statement in use.statements] == [{"AWS": arn}] * 2


def test_the_grant() -> None:
    """The command has the same in it, and a shell takes it apart again."""
    use, _ = key_uses(DESCRIPTION, "user/o'brien")
    assert use.command == (
        f"kms-agent grant create {KEY} --to 'user/o'\"'\"'brien' --operation GenerateDataKey "
        f"--operation Decrypt --operation DescribeKey --context-has kmsfs:volume={VOLUME_ID.hex()}"
    )


def test_the_users_own_policy() -> None:
    """It names the keys, and no principal: it is attached to one."""
    statements = identity_policy(DESCRIPTION)["Statement"]
    assert isinstance(statements, list)
    assert [statement["Resource"] for statement in statements] == [[KEY, OTHER]] * 2
    assert not any("Principal" in statement for statement in statements)
