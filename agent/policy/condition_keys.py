"""Owns the table of condition keys: which there are, their type, and which may have several values.

Source: IAM User Guide, "AWS global condition context keys"; Service Authorization Reference, "Condition keys
for AWS Key Management Service". Names are compared without regard to case, as IAM does. A key that the agent
never gives a value is here if AWS has it: it is then absent from every request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class KeyType(Enum):
    """What the values of a condition key are."""

    STRING = auto()
    NUMERIC = auto()
    DATE = auto()
    BOOL = auto()
    IP_ADDRESS = auto()
    ARN = auto()


@dataclass(frozen=True, slots=True)
class ConditionKey:
    """One condition key, or the family of those that begin alike."""

    type: KeyType = KeyType.STRING
    multivalued: bool = False


_STRING: Final = ConditionKey()
_STRINGS: Final = ConditionKey(multivalued=True)
_NUMERIC: Final = ConditionKey(KeyType.NUMERIC)
_DATE: Final = ConditionKey(KeyType.DATE)
_BOOL: Final = ConditionKey(KeyType.BOOL)
_IP_ADDRESS: Final = ConditionKey(KeyType.IP_ADDRESS)
_ARN: Final = ConditionKey(KeyType.ARN)

CONDITION_KEYS: Final[Mapping[str, ConditionKey]] = {
    "aws:CalledVia": _STRINGS,
    "aws:CalledViaFirst": _STRING,
    "aws:CalledViaLast": _STRING,
    "aws:CurrentTime": _DATE,
    "aws:EpochTime": _DATE,
    "aws:FederatedProvider": _STRING,
    "aws:MultiFactorAuthAge": _NUMERIC,
    "aws:MultiFactorAuthPresent": _BOOL,
    "aws:PrincipalAccount": _STRING,
    "aws:PrincipalArn": _ARN,
    "aws:PrincipalIsAWSService": _BOOL,
    "aws:PrincipalOrgID": _STRING,
    "aws:PrincipalOrgPaths": _STRINGS,
    "aws:PrincipalServiceName": _STRING,
    "aws:PrincipalServiceNamesList": _STRINGS,
    "aws:PrincipalType": _STRING,
    "aws:referer": _STRING,
    "aws:RequestedRegion": _STRING,
    "aws:ResourceAccount": _STRING,
    "aws:ResourceOrgID": _STRING,
    "aws:ResourceOrgPaths": _STRINGS,
    "aws:SecureTransport": _BOOL,
    "aws:SourceAccount": _STRING,
    "aws:SourceArn": _ARN,
    "aws:SourceIdentity": _STRING,
    "aws:SourceIp": _IP_ADDRESS,
    "aws:SourceOrgID": _STRING,
    "aws:SourceOrgPaths": _STRINGS,
    "aws:SourceVpc": _STRING,
    "aws:SourceVpce": _STRING,
    "aws:TagKeys": _STRINGS,
    "aws:TokenIssueTime": _DATE,
    "aws:UserAgent": _STRING,
    "aws:userid": _STRING,
    "aws:username": _STRING,
    "aws:ViaAWSService": _BOOL,
    "aws:VpcSourceIp": _IP_ADDRESS,
    "kms:BypassPolicyLockoutSafetyCheck": _BOOL,
    "kms:CallerAccount": _STRING,
    "kms:CustomerMasterKeySpec": _STRING,
    "kms:CustomerMasterKeyUsage": _STRING,
    "kms:DataKeyPairSpec": _STRING,
    "kms:EncryptionAlgorithm": _STRING,
    "kms:EncryptionContextKeys": _STRINGS,
    "kms:ExpirationModel": _STRING,
    "kms:GrantConstraintType": _STRING,
    "kms:GrantIsForAWSResource": _BOOL,
    "kms:GrantOperations": _STRINGS,
    "kms:GranteePrincipal": _STRING,
    "kms:KeyAgreementAlgorithm": _STRING,
    "kms:KeyOrigin": _STRING,
    "kms:KeySpec": _STRING,
    "kms:KeyUsage": _STRING,
    "kms:MacAlgorithm": _STRING,
    "kms:MessageType": _STRING,
    "kms:MultiRegion": _BOOL,
    "kms:MultiRegionKeyType": _STRING,
    "kms:PolicyName": _STRING,
    "kms:PrimaryRegion": _STRING,
    "kms:ReEncryptOnSameKey": _BOOL,
    "kms:ReplicaRegion": _STRING,
    "kms:RequestAlias": _STRING,
    "kms:ResourceAliases": _STRINGS,
    "kms:RetiringPrincipal": _STRING,
    "kms:RotationPeriodInDays": _NUMERIC,
    "kms:ScheduleKeyDeletionPendingWindowInDays": _NUMERIC,
    "kms:SigningAlgorithm": _STRING,
    "kms:ValidTo": _DATE,
    "kms:ViaService": _STRING,
    "kms:WrappingAlgorithm": _STRING,
    "kms:WrappingKeySpec": _STRING,
    "kms:RecipientAttestation:ImageSha384": _STRING,
    **{f"kms:RecipientAttestation:PCR{index}": _STRING for index in range(32)},
    **{f"kms:RecipientAttestation:NitroTPMPCR{index}": _STRING for index in range(24)},
}
"""Every condition key with a fixed name."""

KEY_FAMILIES: Final[Mapping[str, ConditionKey]] = {
    "aws:PrincipalTag/": _STRING,
    "aws:RequestTag/": _STRING,
    "aws:ResourceTag/": _STRING,
    "kms:EncryptionContext:": _STRING,
}
"""Condition keys that begin like this and go on with a tag key or a key of the encryption context."""

_BY_NAME: Final = {name.lower(): key for name, key in CONDITION_KEYS.items()}
_BY_PREFIX: Final = {prefix.lower(): key for prefix, key in KEY_FAMILIES.items()}


def find(name: str) -> ConditionKey | None:
    """Return what is known of a condition key, written in any case; None if there is no such key."""
    name = name.lower()
    key = _BY_NAME.get(name)
    if key is None:
        for prefix, family in _BY_PREFIX.items():
            if name.startswith(prefix) and len(name) > len(prefix):
                return family
    return key
