"""Request quotas and resource quotas, through the pipeline."""

from dataclasses import replace
from typing import Any

import pytest

from agent.api.enums import DataKeyPairSpec, KeySpec
from agent.api.errors import AccessDeniedException, LimitExceededException, ThrottlingException
from agent.api.operations import ADMINISTRATION, OPERATIONS
from agent.api.quotas import CRYPTOGRAPHIC, DATA_KEY_PAIRS, GROUPS, cryptographic_group, pair_group
from agent.settings.quotas import Quotas, RequestRate
from agent.throttle import Throttle
from services import Service


def limit(service: Service, *, per: str = "account", burst: int = 2, **requests: float) -> None:
    """Have the service keep request quotas from now on."""
    rates = {group: RequestRate(per_second=rate, burst=burst) for group, rate in requests.items()}
    service.kms = replace(service.kms, quotas=Quotas(per=per, requests=rates), throttle=Throttle())


async def outcomes(service: Service, calls: list[tuple[str, dict[str, Any]]]) -> list[bool]:
    """Return which calls got through."""
    passed = []
    for operation, members in calls:
        try:
            await service.call(operation, **members)
        except ThrottlingException:
            passed.append(False)
        else:
            passed.append(True)
    return passed


async def test_too_many_requests_are_refused_and_recorded(service: Service) -> None:
    """Nothing is done for them; a little later there is room again."""
    limit(service, CreateKey=0.5)
    assert await outcomes(service, [("CreateKey", {})] * 4) == [True, True, False, False]
    assert len(service.kms.store.keys("local")) == 2
    record = service.records()[-1]
    assert (record["eventName"], record["errorCode"]) == ("CreateKey", "ThrottlingException")
    assert record["errorMessage"] == "Rate exceeded"
    service.clock.advance(seconds=2)
    assert await outcomes(service, [("CreateKey", {})] * 2) == [True, False]
    assert await outcomes(service, [("ListKeys", {})]) == [True]


async def test_cryptographic_operations_share_the_quota_of_their_kind_of_key(service: Service) -> None:
    """Symmetric keys, HMAC keys and random bytes share one; RSA keys have another, curves a third."""
    symmetric = (await service.create_key()).key_id
    mac = (await service.create_key(key_spec="HMAC_256", key_usage="GENERATE_VERIFY_MAC")).key_id
    curve = (await service.create_key(key_spec="ECC_NIST_P256", key_usage="SIGN_VERIFY")).key_id
    rsa = (await service.create_key(key_spec="RSA_2048", key_usage="SIGN_VERIFY")).key_id
    blob = (await service.call("Encrypt", key_id=symmetric, plaintext=b"t")).ciphertext_blob
    limit(service, burst=4, cryptographic_symmetric=0.1, cryptographic_rsa=0.1)
    used_up: list[tuple[str, dict[str, Any]]] = [
        ("Encrypt", {"key_id": symmetric, "plaintext": b"t"}),
        ("Decrypt", {"ciphertext_blob": blob}),
        ("GenerateMac", {"key_id": mac, "mac_algorithm": "HMAC_SHA_256", "message": b"m"}),
        ("GenerateRandom", {"number_of_bytes": 1}),
        ("GenerateDataKey", {"key_id": symmetric, "key_spec": "AES_256"}),
        ("Decrypt", {"ciphertext_blob": blob}),
    ]
    assert await outcomes(service, used_up) == [True] * 4 + [False] * 2
    sign = {"message": b"m"}
    signed = [("Sign", {"key_id": rsa, "signing_algorithm": "RSASSA_PSS_SHA_256"} | sign)] * 5
    assert await outcomes(service, signed) == [True] * 4 + [False]
    assert (
        await outcomes(
            service, [("Sign", {"key_id": curve, "signing_algorithm": "ECDSA_SHA_256"} | sign)] * 5
        )
        == [True] * 5
    )
    assert await outcomes(service, [("DescribeKey", {"key_id": symmetric})]) == [True]


async def test_refused_requests_count_too(service: Service) -> None:
    """Whoever asks in vain, asks."""
    key = (await service.create_key()).key_id
    limit(service, cryptographic_symmetric=0.1)
    for _ in range(2):
        with pytest.raises(AccessDeniedException):
            await service.call("Encrypt", service.callers.alice, key_id=key, plaintext=b"t")
    with pytest.raises(ThrottlingException):
        await service.call("Encrypt", service.callers.alice, key_id=key, plaintext=b"t")


async def test_each_account_and_region_has_its_own(service: Service) -> None:
    """What one account asks in one Region takes nothing from another."""
    limit(service, ListKeys=0.1)
    assert await outcomes(service, [("ListKeys", {})] * 3) == [True, True, False]
    elsewhere = Service(service.kms.in_region("us-east-1"), service.audit, service.clock, service.directory)
    assert await outcomes(elsewhere, [("ListKeys", {})] * 3) == [True, True, False]
    with pytest.raises(ThrottlingException):
        await service.call("ListKeys", service.callers.owner)
    with pytest.raises(AccessDeniedException):
        await service.call("ListKeys", service.callers.foreigner)


async def test_quotas_can_be_each_principal_s(service: Service) -> None:
    """Then a busy principal does not take the others' requests."""
    limit(service, per="principal", ListKeys=0.1)
    assert await outcomes(service, [("ListKeys", {})] * 3) == [True, True, False]
    await service.call("ListKeys", service.callers.owner)


async def test_nothing_is_limited_by_itself(service: Service) -> None:
    """Without quotas none is kept, and naming one group limits no other."""
    limit(service, CreateKey=1)
    assert all(await outcomes(service, [("ListKeys", {})] * 500))


async def test_resource_quotas(service: Service) -> None:
    """Keys and aliases beyond their quotas are refused, in each Region on its own; ending one makes room."""
    key = (await service.create_key()).key_id
    service.kms = replace(service.kms, quotas=Quotas(keys=2, aliases_per_key=1))
    await service.create_key()
    with pytest.raises(LimitExceededException, match="has 2 KMS keys already"):
        await service.create_key()
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=key)
    with pytest.raises(LimitExceededException, match="has 1 aliases already"):
        await service.call("CreateAlias", alias_name="alias/b", target_key_id=key)
    east = Service(service.kms.in_region("us-east-1"), service.audit, service.clock, service.directory)
    family = (await east.create_key(multi_region=True)).key_id
    with pytest.raises(LimitExceededException):
        await east.call("ReplicateKey", key_id=family, replica_region="local")


def test_every_operation_has_a_quota() -> None:
    """Each belongs to one group, and each kind of key and pair has a group."""
    own = {*OPERATIONS, *ADMINISTRATION} - CRYPTOGRAPHIC - DATA_KEY_PAIRS
    shared = {cryptographic_group(spec) for spec in KeySpec} | {pair_group(spec) for spec in DataKeyPairSpec}
    assert set(OPERATIONS) >= CRYPTOGRAPHIC | DATA_KEY_PAIRS
    assert own | shared == GROUPS
