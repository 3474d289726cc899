"""Parameters for import, through the pipeline: wrapping keys, tokens, and what is refused of both."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from agent.api.enums import (
    AlgorithmSpec,
    KeySpec,
    KeyState,
    KeyUsage,
    WrappingKeySpec,
)
from agent.api.errors import (
    ExpiredImportTokenException,
    InvalidCiphertextException,
    InvalidImportTokenException,
    UnsupportedOperationException,
)
from agent.crypto import keywrap
from importing import (
    ANY_MATERIAL,
    FOREVER,
    Parameters,
    bring,
    create_external_key,
    parameters,
    pkcs8,
    state,
)
from services import START, Service

DAY = 86_400
ONE = bytes([1]) * 32


@pytest.mark.parametrize(
    "spec", [WrappingKeySpec.RSA_2048, WrappingKeySpec.RSA_3072, WrappingKeySpec.RSA_4096]
)
async def test_parameters(service: Service, spec: WrappingKeySpec) -> None:
    """Each wrapping key is of the spec asked for, and its token fits into a request and holds for a day."""
    made = await create_external_key(service)
    for algorithm in sorted(keywrap.ALGORITHMS) if spec is WrappingKeySpec.RSA_2048 else [ANY_MATERIAL]:
        got = await service.call(
            "GetParametersForImport",
            key_id=made.key_id,
            wrapping_algorithm=algorithm,
            wrapping_key_spec=spec,
        )
        assert (got.key_id, got.parameters_valid_to) == (made.arn, START + DAY)
        assert 1000 < len(got.import_token) <= 6144
        assert keywrap.load_public(got.public_key).key_size == int(spec[4:])
        ready = Parameters(made.key_id, algorithm, got.public_key, got.import_token)
        await bring(service, ready, ONE)


WRAPPINGS: list[tuple[KeySpec, KeyUsage, AlgorithmSpec, WrappingKeySpec, str]] = [
    (
        KeySpec.SYMMETRIC_DEFAULT,
        KeyUsage.ENCRYPT_DECRYPT,
        AlgorithmSpec.RSAES_PKCS1_V1_5,
        WrappingKeySpec.RSA_2048,
        "WrappingAlgorithm RSAES_PKCS1_V1_5 is no longer supported",
    ),
    (
        KeySpec.SYMMETRIC_DEFAULT,
        KeyUsage.ENCRYPT_DECRYPT,
        AlgorithmSpec.SM2PKE,
        WrappingKeySpec.SM2,
        "WrappingAlgorithm SM2PKE with WrappingKeySpec SM2 is not supported",
    ),
    (
        KeySpec.SYMMETRIC_DEFAULT,
        KeyUsage.ENCRYPT_DECRYPT,
        AlgorithmSpec.RSAES_OAEP_SHA_256,
        WrappingKeySpec.SM2,
        "is not supported",
    ),
    (
        KeySpec.SYMMETRIC_DEFAULT,
        KeyUsage.ENCRYPT_DECRYPT,
        AlgorithmSpec.SM2PKE,
        WrappingKeySpec.RSA_2048,
        "is not supported",
    ),
    *(
        (
            spec,
            KeyUsage.SIGN_VERIFY,
            algorithm,
            wrapping_spec,
            f"cannot encrypt key material of KeySpec {spec}",
        )
        for spec, wrapping_spec in (
            (KeySpec.RSA_2048, WrappingKeySpec.RSA_2048),
            (KeySpec.RSA_4096, WrappingKeySpec.RSA_4096),
            (KeySpec.ECC_NIST_P521, WrappingKeySpec.RSA_2048),
        )
        for algorithm in (AlgorithmSpec.RSAES_OAEP_SHA_1, AlgorithmSpec.RSAES_OAEP_SHA_256)
    ),
]


@pytest.mark.parametrize(("spec", "usage", "algorithm", "wrapping_spec", "text"), WRAPPINGS)
async def test_wrappings_that_are_refused(
    service: Service,
    spec: KeySpec,
    usage: KeyUsage,
    algorithm: AlgorithmSpec,
    wrapping_spec: WrappingKeySpec,
    text: str,
) -> None:
    """What AWS refuses is refused, and the refusal says what to use."""
    made = await create_external_key(service, spec, usage)
    with pytest.raises(UnsupportedOperationException) as caught:
        await parameters(service, made.key_id, algorithm, wrapping_spec)
    assert text in caught.value.message
    assert "Use RSA_AES_KEY_WRAP_SHA_256" in caught.value.message


@pytest.mark.parametrize(
    ("algorithm", "wrapping_spec", "spec", "usage", "make"),
    [
        *(
            (algorithm, WrappingKeySpec.RSA_2048, spec, usage, make)
            for algorithm in (AlgorithmSpec.RSAES_OAEP_SHA_1, AlgorithmSpec.RSAES_OAEP_SHA_256, ANY_MATERIAL)
            for spec, usage, make in (
                (KeySpec.HMAC_512, KeyUsage.GENERATE_VERIFY_MAC, lambda: bytes(128)),
                (
                    KeySpec.ECC_NIST_P384,
                    KeyUsage.KEY_AGREEMENT,
                    lambda: pkcs8(ec.generate_private_key(ec.SECP384R1())),
                ),
                (
                    KeySpec.ECC_NIST_EDWARDS25519,
                    KeyUsage.SIGN_VERIFY,
                    lambda: pkcs8(ed25519.Ed25519PrivateKey.generate()),
                ),
            )
        ),
        (
            AlgorithmSpec.RSAES_OAEP_SHA_256,
            WrappingKeySpec.RSA_3072,
            KeySpec.ECC_NIST_P521,
            KeyUsage.SIGN_VERIFY,
            lambda: pkcs8(ec.generate_private_key(ec.SECP521R1())),
        ),
        (
            AlgorithmSpec.RSA_AES_KEY_WRAP_SHA_1,
            WrappingKeySpec.RSA_2048,
            KeySpec.RSA_4096,
            KeyUsage.ENCRYPT_DECRYPT,
            lambda: pkcs8(rsa.generate_private_key(65537, 4096)),
        ),
    ],
)
async def test_wrappings_that_fit(
    service: Service,
    algorithm: AlgorithmSpec,
    wrapping_spec: WrappingKeySpec,
    spec: KeySpec,
    usage: KeyUsage,
    make: Callable[[], bytes],
) -> None:
    """Every wrapping that is not refused has room for every material that it is for."""
    made = await create_external_key(service, spec, usage)
    got = await parameters(service, made.key_id, algorithm, wrapping_spec)
    assert await bring(service, got, make()) is None
    assert await state(service, made.key_id) is KeyState.ENABLED


async def test_only_external_keys(service: Service) -> None:
    """A key with material of the service's own refuses all three operations, in AWS's words."""
    made = await service.create_key()
    other = await parameters(service, (await create_external_key(service)).key_id)
    members = {**other.members(ONE), "key_id": made.key_id, "expiration_model": FOREVER}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("ImportKeyMaterial", members),
        ("DeleteImportedKeyMaterial", {"key_id": made.key_id}),
        (
            "GetParametersForImport",
            {
                "key_id": made.key_id,
                "wrapping_algorithm": ANY_MATERIAL,
                "wrapping_key_spec": WrappingKeySpec.RSA_2048,
            },
        ),
    ]
    for operation, asked in calls:
        with pytest.raises(UnsupportedOperationException) as caught:
            await service.call(operation, **asked)
        assert caught.value.message == f"{made.arn} origin is AWS_KMS which is not valid for this operation."


async def test_tokens_of_others(service: Service) -> None:
    """Another key's token, another agent's and a damaged one are invalid, without a word."""
    key, other = [(await create_external_key(service)).key_id for _ in range(2)]
    good = await parameters(service, key)
    foreign = await parameters(service, other)
    damaged = good.token[:-1] + bytes([good.token[-1] ^ 1])
    for token in (foreign.token, damaged, b"t", good.token[:40], good.token + b"\0"):
        with pytest.raises(InvalidImportTokenException) as caught:
            await bring(service, Parameters(key, good.algorithm, good.public_key, token), ONE)
        assert caught.value.message == ""
    assert await state(service, key) is KeyState.PENDING_IMPORT


async def test_token_and_wrapping_key_belong_together(service: Service) -> None:
    """Material encrypted to another wrapping key of the same key is not decrypted."""
    key = (await create_external_key(service)).key_id
    first, second = [await parameters(service, key) for _ in range(2)]
    mixed = Parameters(key, ANY_MATERIAL, first.public_key, second.token)
    for members in (mixed.members(ONE), {**first.members(ONE), "encrypted_key_material": bytes(296)}):
        with pytest.raises(InvalidCiphertextException) as caught:
            await service.call("ImportKeyMaterial", **members, expiration_model=FOREVER)
        assert caught.value.message == ""


async def test_tokens_expire(service: Service) -> None:
    """A token holds for 24 hours and not for a second more, for as many imports as one likes."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    service.clock.advance(days=1, seconds=-1)
    for _ in range(2):
        await bring(service, got, ONE)
    service.clock.advance(seconds=1)
    with pytest.raises(ExpiredImportTokenException):
        await bring(service, got, ONE)
