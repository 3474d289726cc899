"""Signing, MACs and public keys in every state of a key, through the pipeline."""

from typing import Any

import pytest

from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.errors import DisabledException, KMSInvalidStateException, ServiceError
from services import Service

SIGNING: dict[str, Any] = {"key_spec": KeySpec.ECC_NIST_P256, "key_usage": KeyUsage.SIGN_VERIFY}
AUTHENTICATING: dict[str, Any] = {"key_spec": KeySpec.HMAC_256, "key_usage": KeyUsage.GENERATE_VERIFY_MAC}
SIGN: dict[str, Any] = {"message": b"m", "signing_algorithm": "ECDSA_SHA_256"}
MAC: dict[str, Any] = {"message": b"m", "mac_algorithm": "HMAC_SHA_256"}

# The Developer Guide's table "Key states of AWS KMS keys": one row for all of these operations.
# AWS was seen to give out the public key of a disabled key all the same.
STATES: dict[KeyState, tuple[type[ServiceError], str] | None] = {
    KeyState.ENABLED: None,
    KeyState.DISABLED: (DisabledException, "is disabled."),
    KeyState.PENDING_DELETION: (KMSInvalidStateException, "is pending deletion."),
    KeyState.PENDING_REPLICA_DELETION: (KMSInvalidStateException, "is pending replica deletion."),
    KeyState.PENDING_IMPORT: (KMSInvalidStateException, "is pending import."),
    KeyState.UNAVAILABLE: (KMSInvalidStateException, "is unavailable."),
    KeyState.CREATING: (KMSInvalidStateException, "is creating."),
    KeyState.UPDATING: None,
}


def test_every_state_is_in_the_table() -> None:
    """No state was forgotten."""
    assert set(STATES) == set(KeyState)


@pytest.mark.parametrize("state", STATES)
async def test_operations_in_every_state(service: Service, state: KeyState) -> None:
    """Each operation works or is refused as the table says, whatever else is wrong with the request."""
    signing = await service.create_key(**SIGNING)
    authenticating = await service.create_key(**AUTHENTICATING)
    signature = (await service.call("Sign", key_id=signing.key_id, **SIGN)).signature
    mac = (await service.call("GenerateMac", key_id=authenticating.key_id, **MAC)).mac
    for made in (signing, authenticating):
        service.force(made.key_id, state)
    verdict = STATES[state]
    for made, operation, members in (
        (signing, "Sign", SIGN),
        (signing, "Verify", SIGN | {"signature": signature}),
        (signing, "GetPublicKey", {}),
        (authenticating, "GenerateMac", MAC),
        (authenticating, "VerifyMac", MAC | {"mac": mac}),
    ):
        if verdict is None or (operation, state) == ("GetPublicKey", KeyState.DISABLED):
            await service.call(operation, key_id=made.key_id, **members)
            continue
        error, text = verdict
        wrong = {name: b"wrong" for name in ("signature", "mac") if name in members}
        for changes in ({}, wrong):
            with pytest.raises(error) as caught:
                await service.call(operation, key_id=made.key_id, **(members | changes))
            assert type(caught.value) is error
            assert caught.value.message == f"{made.arn} {text}"
