"""Every cell of the key state table, written out once more as the Developer Guide prints it."""

from dataclasses import replace

import pytest

from agent.api.enums import KeyState, Origin
from agent.api.errors import (
    DisabledException,
    KMSInvalidStateException,
    ServiceError,
    UnsupportedOperationException,
)
from agent.api.operations import OPERATIONS
from agent.keys.states import KEY_STATES, require_state
from samples import a_key

OK, DI, IS, UO = None, DisabledException, KMSInvalidStateException, UnsupportedOperationException

COLUMNS = [
    KeyState.ENABLED,
    KeyState.DISABLED,
    KeyState.PENDING_DELETION,
    KeyState.PENDING_REPLICA_DELETION,
    KeyState.PENDING_IMPORT,
    KeyState.UNAVAILABLE,
    KeyState.CREATING,
    KeyState.UPDATING,
]
CRYPTOGRAPHIC = [OK, DI, IS, IS, IS, IS, IS, OK]
ROTATION = [OK, DI, IS, IS, UO, UO, IS, OK]
DESCRIPTION = [OK, OK, IS, IS, OK, OK, OK, OK]
ALWAYS = [OK] * 8

TABLE = {
    "Encrypt": CRYPTOGRAPHIC,
    "Decrypt": CRYPTOGRAPHIC,
    "ReEncrypt": CRYPTOGRAPHIC,
    "GenerateDataKey": CRYPTOGRAPHIC,
    "GenerateDataKeyWithoutPlaintext": CRYPTOGRAPHIC,
    "GenerateDataKeyPair": CRYPTOGRAPHIC,
    "GenerateDataKeyPairWithoutPlaintext": CRYPTOGRAPHIC,
    "Sign": CRYPTOGRAPHIC,
    "Verify": CRYPTOGRAPHIC,
    "GenerateMac": CRYPTOGRAPHIC,
    "VerifyMac": CRYPTOGRAPHIC,
    "DeriveSharedSecret": CRYPTOGRAPHIC,
    "Encapsulate": CRYPTOGRAPHIC,
    "Decapsulate": CRYPTOGRAPHIC,
    "CreateGrant": [OK, DI, IS, IS, IS, OK, IS, OK],
    "GetPublicKey": [OK, OK, IS, IS, IS, IS, IS, OK],  # AWS was seen to; the guide says DI
    "ReplicateKey": [OK, DI, IS, IS, IS, IS, IS, IS],
    "UpdatePrimaryRegion": [OK, DI, IS, IS, IS, IS, IS, OK],
    "EnableKey": [OK, OK, IS, IS, IS, OK, IS, IS],
    "DisableKey": [OK, OK, IS, IS, IS, OK, IS, IS],
    "EnableKeyRotation": ROTATION,
    "DisableKeyRotation": ROTATION,
    "RotateKeyOnDemand": [OK, DI, IS, IS, IS, UO, IS, OK],  # AWS was seen to; the guide says UO
    "ScheduleKeyDeletion": [OK, OK, IS, IS, OK, OK, OK, IS],
    "CancelKeyDeletion": [IS, IS, OK, OK, IS, IS, IS, IS],
    "CreateAlias": DESCRIPTION,
    "UpdateAlias": DESCRIPTION,
    "TagResource": DESCRIPTION,
    "UntagResource": DESCRIPTION,
    "UpdateKeyDescription": DESCRIPTION,
    "GetParametersForImport": [OK, OK, IS, IS, OK, UO, IS, IS],
    "ImportKeyMaterial": [OK, OK, IS, IS, OK, UO, IS, OK],
    "DeleteImportedKeyMaterial": [OK, OK, OK, OK, OK, UO, IS, IS],
    "DescribeKey": ALWAYS,
    "GetKeyLastUsage": ALWAYS,
    "GetKeyPolicy": ALWAYS,
    "PutKeyPolicy": ALWAYS,
    "ListKeyPolicies": ALWAYS,
    "ListAliases": ALWAYS,
    "ListGrants": ALWAYS,
    "ListResourceTags": ALWAYS,
    "ListKeyRotations": ALWAYS,
    "GetKeyRotationStatus": ALWAYS,
    "DeleteAlias": ALWAYS,
    "RetireGrant": ALWAYS,
    "RevokeGrant": ALWAYS,
}
ONLY_EXTERNAL = {"GetParametersForImport", "ImportKeyMaterial", "DeleteImportedKeyMaterial"}
WITHOUT_KEY = {
    "CreateKey",
    "GenerateRandom",
    "ListKeys",
    "ListRetirableGrants",
    "CreateCustomKeyStore",
    "UpdateCustomKeyStore",
    "DeleteCustomKeyStore",
    "DescribeCustomKeyStores",
    "ConnectCustomKeyStore",
    "DisconnectCustomKeyStore",
}
CELLS = [
    (operation, state, expected)
    for operation, row in TABLE.items()
    for state, expected in zip(COLUMNS, row, strict=True)
]
TEXTS = {
    KeyState.ENABLED: "{arn} is enabled.",
    KeyState.DISABLED: "{arn} is disabled.",
    KeyState.PENDING_DELETION: "{arn} is pending deletion.",
    KeyState.PENDING_REPLICA_DELETION: "{arn} is pending replica deletion.",
    KeyState.PENDING_IMPORT: "{arn} is pending import.",
    KeyState.UNAVAILABLE: "{arn} is unavailable.",
    KeyState.CREATING: "{arn} is creating.",
    KeyState.UPDATING: "{arn} is updating.",
}


@pytest.mark.parametrize(("operation", "state", "expected"), CELLS)
def test_cell(operation: str, state: KeyState, expected: type[ServiceError] | None) -> None:
    """The operation is allowed or refused, with AWS's exception and text."""
    origin = Origin.EXTERNAL if operation in ONLY_EXTERNAL else Origin.AWS_KMS
    key = replace(a_key(), key_state=state, origin=origin)
    if expected is None:
        require_state(key, operation)
        return
    with pytest.raises(expected) as caught:
        require_state(key, operation)
    if operation == "CancelKeyDeletion":
        text = "{arn} is not pending deletion."
    elif expected is UnsupportedOperationException:
        text = f"{{arn}} origin is {origin} which is not valid for this operation."
    else:
        text = TEXTS[state]
    assert caught.value.message == text.format(arn=key.arn)


@pytest.mark.parametrize("origin", sorted(set(Origin) - {Origin.EXTERNAL}))
@pytest.mark.parametrize("operation", sorted(ONLY_EXTERNAL))
@pytest.mark.parametrize("state", COLUMNS)
def test_import_needs_an_external_origin(operation: str, state: KeyState, origin: Origin) -> None:
    """Keys whose material is not imported refuse all that has to do with import, in every state."""
    key = replace(a_key(), key_state=state, origin=origin)
    with pytest.raises(UnsupportedOperationException, match=f"origin is {origin} which is not valid"):
        require_state(key, operation)


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        ("EnableKeyRotation", {Origin.AWS_KMS}),
        ("DisableKeyRotation", {Origin.AWS_KMS}),
        ("RotateKeyOnDemand", {Origin.AWS_KMS, Origin.EXTERNAL}),
    ],
)
def test_rotation_needs_its_origin(operation: str, allowed: set[Origin]) -> None:
    """Automatic rotation is for the service's own material, on-demand rotation for imported material too."""
    for origin in Origin:
        key = replace(a_key(), origin=origin)
        if origin in allowed:
            require_state(key, operation)
        else:
            with pytest.raises(UnsupportedOperationException):
                require_state(key, operation)


def test_the_table_is_complete() -> None:
    """Every operation that concerns a key has its row, here and in the program."""
    assert set(KEY_STATES) == set(TABLE)
    assert set(OPERATIONS) <= set(TABLE) | WITHOUT_KEY
    assert all(set(row) == set(KeyState) for row in KEY_STATES.values())
