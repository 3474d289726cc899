"""Every spec and usage with every operation: a key of another usage, or without the algorithm, is refused."""

from typing import Any

import pytest

from agent.api.enums import KeySpec, KeyState, KeyUsage, MacAlgorithmSpec, SigningAlgorithmSpec
from agent.api.errors import InvalidKeyUsageException
from agent.crypto.specs import MAC_ALGORITHMS, SIGNING_ALGORITHMS, USAGES
from agent.operations.table import HANDLERS
from services import Service

KEYS = [(spec, usage) for spec, usages in USAGES.items() for usage in sorted(usages)]

# What each operation needs, and a request that is complete but for the key.
OPERATIONS: dict[str, tuple[KeyUsage, dict[str, Any]]] = {
    "Encrypt": (KeyUsage.ENCRYPT_DECRYPT, {"plaintext": b"m"}),
    "Decrypt": (KeyUsage.ENCRYPT_DECRYPT, {}),
    "GenerateDataKey": (KeyUsage.ENCRYPT_DECRYPT, {"key_spec": "AES_256"}),
    "GenerateDataKeyWithoutPlaintext": (KeyUsage.ENCRYPT_DECRYPT, {"key_spec": "AES_256"}),
    "GenerateDataKeyPair": (KeyUsage.ENCRYPT_DECRYPT, {"key_pair_spec": "ECC_NIST_P256"}),
    "GenerateDataKeyPairWithoutPlaintext": (KeyUsage.ENCRYPT_DECRYPT, {"key_pair_spec": "ECC_NIST_P256"}),
    "Sign": (KeyUsage.SIGN_VERIFY, {"message": b"m", "signing_algorithm": "ECDSA_SHA_256"}),
    "Verify": (
        KeyUsage.SIGN_VERIFY,
        {"message": b"m", "signing_algorithm": "ECDSA_SHA_256", "signature": b"s"},
    ),
    "GenerateMac": (KeyUsage.GENERATE_VERIFY_MAC, {"message": b"m", "mac_algorithm": "HMAC_SHA_256"}),
    "VerifyMac": (
        KeyUsage.GENERATE_VERIFY_MAC,
        {"message": b"m", "mac_algorithm": "HMAC_SHA_256", "mac": b"m"},
    ),
    "DeriveSharedSecret": (
        KeyUsage.KEY_AGREEMENT,
        {"key_agreement_algorithm": "ECDH", "public_key": b"p"},
    ),
    "Encapsulate": (KeyUsage.ENCAPSULATE_DECAPSULATE, {"encapsulation_algorithm": "ML_KEM"}),
    "Decapsulate": (
        KeyUsage.ENCAPSULATE_DECAPSULATE,
        {"encapsulation_algorithm": "ML_KEM", "shared_secret_ciphertext_blob": b"c"},
    ),
}


async def key_of(service: Service, spec: KeySpec, usage: KeyUsage) -> tuple[str, str, bytes]:
    """Return id and ARN of a disabled key, and a ciphertext that names it; its material is not reached."""
    made = await service.create_key()
    blob = (await service.call("Encrypt", key_id=made.key_id, plaintext=b"m")).ciphertext_blob
    service.force(made.key_id, KeyState.DISABLED, key_spec=spec, key_usage=usage)
    assert made.arn is not None
    return made.key_id, made.arn, blob


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name in HANDLERS])
async def test_keys_of_another_usage(service: Service, operation: str) -> None:
    """Whatever the spec, and though the key is disabled, the refusal is about the usage, in AWS's words."""
    needed, members = OPERATIONS[operation]
    refused = 0
    for spec, usage in KEYS:
        if usage is needed:
            continue
        key, arn, blob = await key_of(service, spec, usage)
        if operation == "Decrypt":  # whether the ciphertext is the key's own comes first
            members = {"ciphertext_blob": blob}
        with pytest.raises(InvalidKeyUsageException) as caught:
            await service.call(operation, key_id=key, **members)
        assert caught.value.message == f"{arn} key usage is {usage} which is not valid for {operation}."
        refused += 1
    assert refused >= len(KEYS) // 3


async def test_re_encrypt_with_keys_of_another_usage(service: Service) -> None:
    """Source and destination both must be keys that encrypt."""
    good = (await service.create_key()).key_id
    good_blob = (await service.call("Encrypt", key_id=good, plaintext=b"m")).ciphertext_blob
    for spec, usage in KEYS:
        if usage is KeyUsage.ENCRYPT_DECRYPT:
            continue
        key, arn, blob = await key_of(service, spec, usage)
        for source, ciphertext, destination in ((key, blob, good), (good, good_blob, key)):
            with pytest.raises(InvalidKeyUsageException) as caught:
                await service.call(
                    "ReEncrypt",
                    ciphertext_blob=ciphertext,
                    source_key_id=source,
                    destination_key_id=destination,
                )
            assert caught.value.message == f"{arn} key usage is {usage} which is not valid for ReEncrypt."


@pytest.mark.parametrize("spec", SIGNING_ALGORITHMS)
async def test_every_signing_algorithm_of_another_spec(service: Service, spec: KeySpec) -> None:
    """A key takes its own algorithms only."""
    key, _, _ = await key_of(service, spec, KeyUsage.SIGN_VERIFY)
    service.force(key, KeyState.ENABLED)
    for algorithm in set(SigningAlgorithmSpec) - set(SIGNING_ALGORITHMS[spec]):
        for operation, members in (("Sign", {}), ("Verify", {"signature": b"s"})):
            with pytest.raises(InvalidKeyUsageException) as caught:
                await service.call(
                    operation, key_id=key, message=b"m", signing_algorithm=algorithm, **members
                )
            assert caught.value.message == f"Algorithm {algorithm} is incompatible with key spec {spec}."


@pytest.mark.parametrize("spec", MAC_ALGORITHMS)
async def test_every_mac_algorithm_of_another_spec(service: Service, spec: KeySpec) -> None:
    """A key takes its own algorithm only."""
    key, _, _ = await key_of(service, spec, KeyUsage.GENERATE_VERIFY_MAC)
    service.force(key, KeyState.ENABLED)
    for algorithm in set(MacAlgorithmSpec) - set(MAC_ALGORITHMS[spec]):
        for operation, members in (("GenerateMac", {}), ("VerifyMac", {"mac": b"m"})):
            with pytest.raises(InvalidKeyUsageException) as caught:
                await service.call(operation, key_id=key, message=b"m", mac_algorithm=algorithm, **members)
            assert caught.value.message == f"Algorithm {algorithm} is incompatible with key spec {spec}."
