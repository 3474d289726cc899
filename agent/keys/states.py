"""Owns which operation a key's state and origin allow, as data. Knows nothing of what operations do.

The table is that of the AWS KMS Developer Guide, "Key states of AWS KMS keys"; where AWS was seen to do
otherwise, what it did counts.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from agent.api.enums import KeyState, Origin
from agent.api.errors import DisabledException, KMSInvalidStateException, UnsupportedOperationException
from agent.keys.key import Key


class Verdict(Enum):
    """What a state says to an operation."""

    OK = auto()
    DISABLED = auto()
    INVALID = auto()
    UNSUPPORTED = auto()


_VERDICTS: Final = {
    "ok": Verdict.OK,
    "disabled": Verdict.DISABLED,
    "invalid": Verdict.INVALID,
    "unsupported": Verdict.UNSUPPORTED,
}

_COLUMNS: Final[tuple[tuple[KeyState, ...], ...]] = (
    (KeyState.ENABLED,),
    (KeyState.DISABLED,),
    (KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION),
    (KeyState.PENDING_IMPORT,),
    (KeyState.UNAVAILABLE,),
    (KeyState.CREATING,),
    (KeyState.UPDATING,),
)

# One word per column. UpdateAlias asks for the new target: the old one may be in any state.
_ROWS: Final[Mapping[str, str]] = {
    # operations                    Enabled Disabled Pending… PendingImport Unavailable Creating Updating
    "Encrypt Decrypt ReEncrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair "
    "GenerateDataKeyPairWithoutPlaintext Sign Verify GenerateMac VerifyMac DeriveSharedSecret Encapsulate "
    "Decapsulate": "ok disabled invalid invalid invalid invalid ok",
    "CreateGrant": "ok disabled invalid invalid ok invalid ok",
    # The guide has GetPublicKey fail for a disabled key; AWS was seen to answer it.
    "GetPublicKey": "ok ok invalid invalid invalid invalid ok",
    "UpdatePrimaryRegion": "ok disabled invalid invalid invalid invalid ok",
    "ReplicateKey": "ok disabled invalid invalid invalid invalid invalid",
    "EnableKey DisableKey": "ok ok invalid invalid ok invalid invalid",
    "EnableKeyRotation DisableKeyRotation": "ok disabled invalid unsupported unsupported invalid ok",
    # In the guide as the two above; since imported keys rotate, AWS was seen to say what they wait for.
    "RotateKeyOnDemand": "ok disabled invalid invalid unsupported invalid ok",
    "ScheduleKeyDeletion": "ok ok invalid ok ok ok invalid",
    "CancelKeyDeletion": "invalid invalid ok invalid invalid invalid invalid",
    "CreateAlias UpdateAlias TagResource UntagResource UpdateKeyDescription": "ok ok invalid ok ok ok ok",
    "GetParametersForImport": "ok ok invalid ok unsupported invalid invalid",
    "ImportKeyMaterial": "ok ok invalid ok unsupported invalid ok",
    "DeleteImportedKeyMaterial": "ok ok ok ok unsupported invalid invalid",
    "DescribeKey GetKeyLastUsage GetKeyPolicy PutKeyPolicy ListKeyPolicies ListAliases ListGrants "
    "ListResourceTags ListKeyRotations GetKeyRotationStatus DeleteAlias RetireGrant RevokeGrant": (
        "ok ok ok ok ok ok ok"
    ),
}

KEY_STATES: Final[Mapping[str, Mapping[KeyState, Verdict]]] = MappingProxyType(
    {
        operation: {
            state: _VERDICTS[word]
            for word, states in zip(row.split(), _COLUMNS, strict=True)
            for state in states
        }
        for operations, row in _ROWS.items()
        for operation in operations.split()
    }
)

_ORIGINS: Final[Mapping[str, frozenset[Origin]]] = {
    "EnableKeyRotation": frozenset({Origin.AWS_KMS}),
    "DisableKeyRotation": frozenset({Origin.AWS_KMS}),
    "RotateKeyOnDemand": frozenset({Origin.AWS_KMS, Origin.EXTERNAL}),
    "GetParametersForImport": frozenset({Origin.EXTERNAL}),
    "ImportKeyMaterial": frozenset({Origin.EXTERNAL}),
    "DeleteImportedKeyMaterial": frozenset({Origin.EXTERNAL}),
}
_ANY_ORIGIN: Final = frozenset(Origin)

_PASSING: Final = frozenset({KeyState.CREATING, KeyState.UPDATING})

_CONDITIONS: Final[Mapping[KeyState, str]] = {
    KeyState.ENABLED: "is enabled",
    KeyState.DISABLED: "is disabled",
    KeyState.PENDING_DELETION: "is pending deletion",
    KeyState.PENDING_REPLICA_DELETION: "is pending replica deletion",
    KeyState.PENDING_IMPORT: "is pending import",
    KeyState.UNAVAILABLE: "is unavailable",
    KeyState.CREATING: "is creating",
    KeyState.UPDATING: "is updating",
}


def require_state(key: Key, operation_name: str) -> None:
    """Refuse an operation that the key's origin or state does not allow.

    For UpdateAlias `key` is the new target.

    Raises:
        UnsupportedOperationException: never possible for a key of this origin, or not in this state.
        DisabledException: the key is disabled.
        KMSInvalidStateException: any other state that does not allow it.
    """
    if key.origin not in _ORIGINS.get(operation_name, _ANY_ORIGIN):
        raise UnsupportedOperationException(wrong_origin(key))
    verdict = KEY_STATES[operation_name][key.key_state]
    if verdict is Verdict.OK:
        return
    if verdict is Verdict.UNSUPPORTED:
        raise UnsupportedOperationException(wrong_origin(key))
    if operation_name == "CancelKeyDeletion":
        raise KMSInvalidStateException(f"{key.arn} is not pending deletion.")
    refusal = DisabledException if verdict is Verdict.DISABLED else KMSInvalidStateException
    raise refusal(f"{key.arn} {_CONDITIONS[key.key_state]}.")


def settled(key: Key, now: float) -> Key:
    """Return a key as it is at `now`: passing states end by themselves, nobody has to come and end them.

    A new replica becomes enabled, or waits for its material where that is imported; what is updating becomes
    enabled, as it was before.
    """
    if key.transition_date is None or key.transition_date > now:
        return key
    state = key.key_state
    if state is KeyState.CREATING and key.origin is Origin.EXTERNAL:
        state = KeyState.PENDING_IMPORT
    elif state in _PASSING:
        state = KeyState.ENABLED
    return replace(key, key_state=state, transition_date=None)


def wrong_origin(key: Key) -> str:
    """Return the text of a refusal of what a key of this origin never does."""
    return f"{key.arn} origin is {key.origin} which is not valid for this operation."
