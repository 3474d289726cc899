"""Every operation on a key in every state it can be in, through the pipeline."""

from typing import Any, Final

import pytest

from agent.api.enums import GrantOperation, KeyState
from agent.api.errors import (
    DisabledException,
    KMSInvalidStateException,
    ServiceError,
    UnsupportedOperationException,
)
from services import ACCOUNT, Service

ERRORS: Final[dict[str, type[ServiceError] | None]] = {
    "ok": None,
    "disabled": DisabledException,
    "invalid": KMSInvalidStateException,
    "unsupported": UnsupportedOperationException,
}
STATES: Final = (
    (KeyState.ENABLED,),
    (KeyState.DISABLED,),
    (KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION),
    (KeyState.PENDING_IMPORT,),
    (KeyState.UNAVAILABLE,),
    (KeyState.CREATING,),
    (KeyState.UPDATING,),
)
TEXTS: Final = {
    KeyState.DISABLED: "is disabled.",
    KeyState.PENDING_DELETION: "is pending deletion.",
    KeyState.PENDING_REPLICA_DELETION: "is pending replica deletion.",
    KeyState.PENDING_IMPORT: "is pending import.",
    KeyState.UNAVAILABLE: "is unavailable.",
    KeyState.CREATING: "is creating.",
    KeyState.UPDATING: "is updating.",
}

# From the Developer Guide's table "Key states of AWS KMS keys": Enabled, Disabled, pending deletion,
# PendingImport, Unavailable, Creating, Updating.
CRYPTOGRAPHIC: Final = "ok disabled invalid invalid invalid invalid ok"
SWITCHES: Final = "ok ok invalid invalid ok invalid invalid"
ROTATION: Final = "ok disabled invalid unsupported unsupported invalid ok"
NAMES: Final = "ok ok invalid ok ok ok ok"
ALWAYS: Final = "ok ok ok ok ok ok ok"
TABLE: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "GenerateDataKey": ({"key_spec": "AES_256"}, CRYPTOGRAPHIC),
    "GenerateDataKeyWithoutPlaintext": ({"key_spec": "AES_256"}, CRYPTOGRAPHIC),
    "Encrypt": ({"plaintext": b"t"}, CRYPTOGRAPHIC),
    "Decrypt": ({"ciphertext_blob": "BLOB"}, CRYPTOGRAPHIC),
    "EnableKey": ({}, SWITCHES),
    "DisableKey": ({}, SWITCHES),
    "EnableKeyRotation": ({}, ROTATION),
    "DisableKeyRotation": ({}, ROTATION),
    "RotateKeyOnDemand": ({}, "ok disabled invalid invalid unsupported invalid ok"),
    "ScheduleKeyDeletion": ({}, "ok ok invalid ok ok ok invalid"),
    "CancelKeyDeletion": ({}, "invalid invalid ok invalid invalid invalid invalid"),
    "UpdateKeyDescription": ({"description": "d"}, NAMES),
    "DescribeKey": ({}, ALWAYS),
    "GetKeyPolicy": ({}, ALWAYS),
    "PutKeyPolicy": ({"policy": "POLICY"}, ALWAYS),
    "GetKeyRotationStatus": ({}, ALWAYS),
    "ListKeyRotations": ({}, ALWAYS),
    "ListAliases": ({}, ALWAYS),
    "CreateGrant": (
        {"grantee_principal": f"arn:aws:iam::{ACCOUNT}:user/bob", "operations": (GrantOperation.DECRYPT,)},
        "ok disabled invalid invalid ok invalid ok",
    ),
    "ListGrants": ({}, ALWAYS),
}


async def expect(
    service: Service, word: str, operation: str, arn: str, state: KeyState, **members: object
) -> None:
    """Call, and check that the outcome is that of the table, in AWS's words."""
    error = ERRORS[word]
    if error is None:
        await service.call(operation, **members)
        return
    with pytest.raises(error) as caught:
        await service.call(operation, **members)
    assert type(caught.value) is error
    text = "is not pending deletion." if operation == "CancelKeyDeletion" else TEXTS.get(state)
    if error is not UnsupportedOperationException:
        assert caught.value.message == f"{arn} {text}"


@pytest.mark.parametrize("operation", TABLE)
async def test_state_decides(service: Service, operation: str) -> None:
    """Each operation is allowed or refused as the table says, and a refusal changes nothing."""
    members, row = TABLE[operation]
    for word, states in zip(row.split(), STATES, strict=True):
        for state in states:
            key = (await service.create_key()).key_id
            blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
            before = service.force(key, state)
            fill = {"BLOB": blob, "POLICY": before.policy}
            filled = {name: fill.get(value, value) for name, value in members.items()}
            await expect(service, word, operation, before.arn, state, key_id=key, **filled)
            if word != "ok":
                assert service.key(key) == before


@pytest.mark.parametrize(("word", "states"), [*zip(CRYPTOGRAPHIC.split(), STATES, strict=True)])
async def test_both_keys_of_re_encrypt_must_be_usable(
    service: Service, word: str, states: tuple[KeyState, ...]
) -> None:
    """ReEncrypt is refused by the state of either key."""
    source, destination = (await service.create_key()).key_id, (await service.create_key()).key_id
    blob = (await service.call("Encrypt", key_id=source, plaintext=b"t")).ciphertext_blob
    members = {"ciphertext_blob": blob, "destination_key_id": destination}
    for key in (source, destination):
        for state in states:
            forced = service.force(key, state)
            await expect(service, word, "ReEncrypt", forced.arn, state, **members)
            service.force(key, KeyState.ENABLED)


@pytest.mark.parametrize(("word", "states"), [*zip(NAMES.split(), STATES, strict=True)])
async def test_state_decides_over_aliases(service: Service, word: str, states: tuple[KeyState, ...]) -> None:
    """Aliases are made for and moved to a key as its state allows, and deleted in any state."""
    for state in states:
        plain, key = (await service.create_key()).key_id, (await service.create_key()).key_id
        await service.call("CreateAlias", alias_name="alias/old", target_key_id=key)
        await service.call("CreateAlias", alias_name="alias/plain", target_key_id=plain)
        arn = service.force(key, state).arn
        target = {"target_key_id": key}
        await expect(service, word, "CreateAlias", arn, state, alias_name="alias/new", **target)
        await expect(service, word, "UpdateAlias", arn, state, alias_name="alias/plain", **target)
        for alias in service.kms.store.aliases("local"):
            await service.call("DeleteAlias", alias_name=alias.name)
