"""GenerateMac and VerifyMac, through the pipeline."""

import hashlib
import hmac
from typing import Any

import pytest

import published
from agent.api.enums import KeySpec, KeyState, KeyUsage, MacAlgorithmSpec
from agent.api.errors import (
    AccessDeniedException,
    DisabledException,
    DryRunOperationException,
    InvalidKeyUsageException,
    KMSInvalidMacException,
    ServiceError,
)
from importing import import_key
from services import Service

MAC = KeyUsage.GENERATE_VERIFY_MAC
BITS = [224, 256, 384, 512]


@pytest.mark.parametrize("bits", BITS)
async def test_round_trip(service: Service, bits: int) -> None:
    """A MAC has its algorithm's length, is the same each time, and verifies; its key is as long as it is."""
    made = await service.create_key(key_spec=f"HMAC_{bits}", key_usage=MAC)
    named = {"key_id": made.key_id, "mac_algorithm": f"HMAC_SHA_{bits}", "message": b"m" * 4096}
    answer = await service.call("GenerateMac", **named)
    assert (answer.key_id, answer.mac_algorithm) == (made.arn, f"HMAC_SHA_{bits}")
    assert answer.mac == (await service.call("GenerateMac", **named)).mac
    verified = await service.call("VerifyMac", mac=answer.mac, **named)
    assert (verified.key_id, verified.mac_valid) == (made.arn, True)
    (material,) = service.kms.store.materials("local", made.key_id)
    secret = service.kms.barrier.unwrap_material(material)
    assert len(secret) == len(answer.mac) == bits // 8
    assert hmac.digest(secret, b"m" * 4096, f"sha{bits}") == answer.mac


@pytest.mark.parametrize("bits", BITS)
async def test_published_macs(service: Service, bits: int) -> None:
    """RFC 4231 with its keys imported: as K0 of FIPS 198-1, since some are too short or too long."""
    block = 64 if bits <= 256 else 128
    for _, case in published.cases(f"HMAC/rfc-4231-sha{bits}.txt", last="MD"):
        key, message, code = (bytes.fromhex(case[name]) for name in ("Key", "Msg", "MD"))
        if len(key) > block:
            key = hashlib.new(f"sha{bits}", key).digest()
        made = await import_key(service, key.ljust(block, b"\0"), KeySpec(f"HMAC_{bits}"), MAC)
        named = {"key_id": made.key_id, "mac_algorithm": f"HMAC_SHA_{bits}", "message": message}
        assert (await service.call("GenerateMac", **named)).mac == code
        assert (await service.call("VerifyMac", mac=code, **named)).mac_valid


async def test_wrong_macs_are_invalid_without_a_word(service: Service) -> None:
    """Every changed bit, every other length, another message: the same empty refusal."""
    key = (await service.create_key(key_spec="HMAC_256", key_usage=MAC)).key_id
    named = {"key_id": key, "mac_algorithm": "HMAC_SHA_256", "message": b"m"}
    code = (await service.call("GenerateMac", **named)).mac
    wrong = [code[:at] + bytes([code[at] ^ 1]) + code[at + 1 :] for at in range(len(code))]
    wrong += [code[:16], code[:-1], code + b"\0", b"\0", bytes(6144), hashlib.sha256(b"m").digest()]
    for other in wrong:
        with pytest.raises(KMSInvalidMacException) as caught:
            await service.call("VerifyMac", mac=other, **named)
        assert caught.value.message == ""
    with pytest.raises(KMSInvalidMacException):
        await service.call("VerifyMac", mac=code, **(named | {"message": b"n"}))


@pytest.mark.parametrize("spec_bits", BITS)
async def test_a_spec_has_one_algorithm(service: Service, spec_bits: int) -> None:
    """Only the algorithm of the spec's own size goes with it."""
    key = (await service.create_key(key_spec=f"HMAC_{spec_bits}", key_usage=MAC)).key_id
    for algorithm in MacAlgorithmSpec:
        if algorithm == f"HMAC_SHA_{spec_bits}":
            continue
        for operation, members in (("GenerateMac", {}), ("VerifyMac", {"mac": b"x"})):
            with pytest.raises(InvalidKeyUsageException) as caught:
                await service.call(operation, key_id=key, message=b"m", mac_algorithm=algorithm, **members)
            assert caught.value.message == (
                f"Algorithm {algorithm} is incompatible with key spec HMAC_{spec_bits}."
            )


@pytest.mark.parametrize("operation", ["GenerateMac", "VerifyMac"])
async def test_order_of_checks(service: Service, operation: str) -> None:
    """Permitted, usage, state, algorithm, the MAC, DryRun: a wrong MAC in a dry run is a wrong MAC."""
    made = await service.create_key(key_spec="HMAC_256", key_usage=MAC)
    request: dict[str, Any] = {
        "key_id": made.key_id,
        "mac_algorithm": "HMAC_SHA_512",
        "message": b"m",
        "dry_run": True,
    }
    if operation == "VerifyMac":
        request["mac"] = b"wrong"

    async def refused(error: type[ServiceError], caller: Any = None) -> str:  # noqa: ANN401
        with pytest.raises(error) as caught:
            await service.call(operation, caller, **request)
        return caught.value.message

    await refused(InvalidKeyUsageException)
    request["mac_algorithm"] = "HMAC_SHA_256"
    await refused(KMSInvalidMacException if operation == "VerifyMac" else DryRunOperationException)
    request["mac_algorithm"] = "HMAC_SHA_512"
    service.force(made.key_id, KeyState.DISABLED)
    assert await refused(DisabledException) == f"{made.arn} is disabled."
    service.force(made.key_id, key_usage=KeyUsage.ENCRYPT_DECRYPT)
    told = await refused(InvalidKeyUsageException)
    assert told == f"{made.arn} key usage is ENCRYPT_DECRYPT which is not valid for {operation}."
    await refused(AccessDeniedException, service.callers.bob)


async def test_dry_run_of_a_right_mac(service: Service) -> None:
    """A dry run that would succeed says so."""
    key = (await service.create_key(key_spec="HMAC_512", key_usage=MAC)).key_id
    named = {"key_id": key, "mac_algorithm": "HMAC_SHA_512", "message": b"m"}
    code = (await service.call("GenerateMac", **named)).mac
    with pytest.raises(DryRunOperationException):
        await service.call("VerifyMac", mac=code, dry_run=True, **named)
