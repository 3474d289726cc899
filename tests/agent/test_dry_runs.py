"""DryRun wherever it exists: what would succeed says so and does nothing, what would fail fails alike."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    DisabledException,
    DryRunOperationException,
    NotFoundException,
    ServiceError,
)
from agent.api.operations import OPERATIONS
from enclaves import spki
from services import ACCOUNT, Service

TEXT = "The request would have succeeded, but the DryRun option is set."
DRY = sorted(name for name, each in OPERATIONS.items() if "dry_run" in each.request.__struct_fields__)
MODIFIED = sorted(
    name for name, each in OPERATIONS.items() if "dry_run_modifiers" in each.request.__struct_fields__
)
GRANTS = {"CreateGrant", "RevokeGrant", "RetireGrant"}
SPECS = {
    **dict.fromkeys(("Sign", "Verify"), (KeySpec.ECC_NIST_P256, KeyUsage.SIGN_VERIFY)),
    **dict.fromkeys(("GenerateMac", "VerifyMac"), (KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC)),
    **dict.fromkeys(("Encapsulate", "Decapsulate"), (KeySpec.ML_KEM_768, KeyUsage.ENCAPSULATE_DECAPSULATE)),
    "DeriveSharedSecret": (KeySpec.ECC_NIST_P256, KeyUsage.KEY_AGREEMENT),
}


async def complete(service: Service, operation: str, key_id: str) -> dict[str, Any]:
    """Return a request that succeeds."""
    signing = {"message": b"m", "signing_algorithm": "ECDSA_SHA_256"}
    authenticating = {"message": b"m", "mac_algorithm": "HMAC_SHA_256"}
    kem = {"encapsulation_algorithm": "ML_KEM"}
    data_key = {"key_spec": "AES_256"}
    pair = {"key_pair_spec": "ECC_NIST_P256"}
    grant = {"grantee_principal": f"arn:aws:iam::{ACCOUNT}:user/alice", "operations": ("Encrypt",)}

    async def made(name: str, member: str, members: dict[str, Any]) -> Any:  # noqa: ANN401 -- any member
        return getattr(await service.call(name, key_id=key_id, **members), member)

    plain = {"plaintext": b"t"}
    requests: dict[str, dict[str, Any]] = {
        "Encrypt": plain,
        "GenerateDataKey": data_key,
        "GenerateDataKeyWithoutPlaintext": data_key,
        "GenerateDataKeyPair": pair,
        "GenerateDataKeyPairWithoutPlaintext": pair,
        "Sign": signing,
        "GenerateMac": authenticating,
        "Encapsulate": kem,
        "DeriveSharedSecret": {
            "key_agreement_algorithm": "ECDH",
            "public_key": spki(ec.generate_private_key(ec.SECP256R1())),
        },
        "CreateGrant": grant,
    }
    if operation in requests:
        rest = requests[operation]
    elif operation == "Verify":
        rest = signing | {"signature": await made("Sign", "signature", signing)}
    elif operation == "VerifyMac":
        rest = authenticating | {"mac": await made("GenerateMac", "mac", authenticating)}
    elif operation == "Decapsulate":
        blob = await made("Encapsulate", "shared_secret_ciphertext_blob", kem)
        rest = kem | {"shared_secret_ciphertext_blob": blob}
    elif operation in {"RevokeGrant", "RetireGrant"}:
        rest = {"key_id": service.key(key_id).arn, "grant_id": await made("CreateGrant", "grant_id", grant)}
    else:
        rest = {"ciphertext_blob": await made("Encrypt", "ciphertext_blob", plain)}
    if operation == "ReEncrypt":
        return {"source_key_id": key_id, "destination_key_id": key_id, **rest}
    return {"key_id": key_id, **rest}


async def key_for(service: Service, operation: str) -> str:
    """Make a key that the operation works with."""
    if operation not in SPECS:
        made = await service.create_key()
    else:
        spec, usage = SPECS[operation]
        made = await service.create_key(key_spec=spec, key_usage=usage)
    assert made.key_id is not None
    return made.key_id


@pytest.mark.parametrize("operation", DRY)
async def test_what_would_succeed_says_so(service: Service, operation: str) -> None:
    """The exact text, an entry with the error, and nothing kept; without DryRun the same request succeeds."""
    members = await complete(service, operation, await key_for(service, operation))
    before = kept(service)
    with pytest.raises(DryRunOperationException) as caught:
        await service.call(operation, dry_run=True, **members)
    assert caught.value.message == TEXT
    assert kept(service) == before
    record = service.records()[-1]
    assert (record["eventName"], record["errorCode"]) == (operation, "DryRunOperationException")
    assert record["requestParameters"]["dryRun"] is True
    await service.call(operation, dry_run=False, **members)
    if operation != "CreateGrant":
        return
    assert kept(service) != before


@pytest.mark.parametrize("operation", DRY)
async def test_what_would_fail_fails(service: Service, operation: str) -> None:
    """A caller without permission and a key that is not there are told that, in a dry run as without."""
    key = await key_for(service, operation)
    members = await complete(service, operation, key)
    with pytest.raises(AccessDeniedException):
        await service.call(operation, service.callers.bob, dry_run=True, **members)
    absent = "12345678-1234-1234-1234-123456789012"
    elsewhere = {
        name: value.replace(key, absent) if name.endswith("key_id") else value
        for name, value in members.items()
    }
    with pytest.raises(NotFoundException):
        await service.call(operation, dry_run=True, **elsewhere)


@pytest.mark.parametrize("operation", sorted(set(DRY) - GRANTS))
async def test_a_dry_run_of_a_disabled_key(service: Service, operation: str) -> None:
    """The state comes before DryRun."""
    key = await key_for(service, operation)
    members = await complete(service, operation, key)
    service.force(key, KeyState.DISABLED)
    with pytest.raises(DisabledException):
        await service.call(operation, dry_run=True, **members)


WRONG: dict[str, dict[str, Any]] = {
    "Decrypt": {"encryption_context": {"a": "b"}},
    "ReEncrypt": {"source_encryption_context": {"a": "b"}},
    "Verify": {"signature": b"s"},
    "VerifyMac": {"mac": b"m"},
    "Decapsulate": {"shared_secret_ciphertext_blob": b"c"},
    "DeriveSharedSecret": {"public_key": b"p"},
    "Sign": {"message_type": "DIGEST"},
}


@pytest.mark.parametrize("operation", sorted(WRONG))
async def test_the_cryptography_comes_before_dry_run(service: Service, operation: str) -> None:
    """What is wrong with the input is told as without DryRun, word for word."""
    members = await complete(service, operation, await key_for(service, operation)) | WRONG[operation]
    told = []
    for dry_run in (False, True):
        with pytest.raises(ServiceError) as caught:
            await service.call(operation, dry_run=dry_run, **members)
        told.append((caught.value.code, caught.value.message))
    assert told[0] == told[1]
    assert told[0][0] != "DryRunOperationException"


def test_modifiers() -> None:
    """Only what reads a ciphertext of the service's own can be told to ignore it."""
    assert {"Decrypt", "ReEncrypt"} == set(MODIFIED)


@pytest.mark.parametrize("operation", MODIFIED)
async def test_an_ignored_ciphertext(service: Service, operation: str) -> None:
    """Permission and state are checked, the ciphertext is not; without DryRun the modifier means nothing."""
    key = await key_for(service, operation)
    members = await complete(service, operation, key)
    ignoring = members | {"dry_run": True, "dry_run_modifiers": ("IGNORE_CIPHERTEXT",)}
    for blob in (None, b"nonsense", members["ciphertext_blob"]):
        with pytest.raises(DryRunOperationException) as caught:
            await service.call(operation, **(ignoring | {"ciphertext_blob": blob}))
        assert caught.value.message == TEXT
    with pytest.raises(AccessDeniedException):
        await service.call(operation, service.callers.bob, **ignoring)
    await service.call(operation, **(ignoring | {"dry_run": False}))
    service.force(key, KeyState.DISABLED)
    with pytest.raises(DisabledException):
        await service.call(operation, **ignoring)


def kept(service: Service) -> tuple[object, ...]:
    """Return what the store has of keys and grants."""
    store = service.kms.store
    keys = store.keys(service.kms.region)
    return (keys, *(store.grants(service.kms.region, key.key_id) for key in keys))
