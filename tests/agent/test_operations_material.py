"""Import of key material, through the pipeline: what may come, what must come again, what is recorded."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.api.enums import (
    ExpirationModel,
    ImportState,
    ImportType,
    KeySpec,
    KeyState,
    KeyUsage,
)
from agent.api.errors import (
    IncorrectKeyMaterialException,
    ValidationException,
)
from importing import (
    FOREVER,
    bring,
    create_external_key,
    import_key,
    materials,
    parameters,
    pkcs8,
    state,
)
from services import START, Service

DAY = 86_400
ONE, TWO = (bytes([number]) * 32 for number in (1, 2))
EXPIRES = ExpirationModel.KEY_MATERIAL_EXPIRES
NEW, EXISTING = ImportType.NEW_KEY_MATERIAL, ImportType.EXISTING_KEY_MATERIAL


WRONG: list[tuple[KeySpec, KeyUsage, Callable[[], bytes]]] = [
    *(
        (KeySpec.SYMMETRIC_DEFAULT, KeyUsage.ENCRYPT_DECRYPT, lambda size=size: bytes(size))
        for size in (1, 16, 31, 33)
    ),
    (KeySpec.HMAC_224, KeyUsage.GENERATE_VERIFY_MAC, lambda: bytes(27)),
    (KeySpec.HMAC_512, KeyUsage.GENERATE_VERIFY_MAC, lambda: bytes(63)),
    (KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC, lambda: bytes(129)),
    (KeySpec.ECC_NIST_P256, KeyUsage.SIGN_VERIFY, lambda: pkcs8(ec.generate_private_key(ec.SECP256K1()))),
    (KeySpec.ECC_SECG_P256K1, KeyUsage.SIGN_VERIFY, lambda: pkcs8(ec.generate_private_key(ec.SECP256R1()))),
    (KeySpec.ECC_NIST_P384, KeyUsage.SIGN_VERIFY, lambda: pkcs8(ed25519.Ed25519PrivateKey.generate())),
    (KeySpec.ECC_NIST_EDWARDS25519, KeyUsage.SIGN_VERIFY, lambda: bytes(32)),
    (KeySpec.RSA_3072, KeyUsage.SIGN_VERIFY, lambda: pkcs8(rsa.generate_private_key(65537, 2048))),
    (KeySpec.ML_DSA_65, KeyUsage.SIGN_VERIFY, lambda: bytes(32)),
    (
        KeySpec.RSA_2048,
        KeyUsage.SIGN_VERIFY,
        lambda: rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
    ),
    (
        KeySpec.ECC_NIST_P256,
        KeyUsage.SIGN_VERIFY,
        lambda: ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
    ),
    (
        KeySpec.ECC_NIST_P256,
        KeyUsage.SIGN_VERIFY,
        lambda: ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    ),
]


@pytest.mark.parametrize(("spec", "usage", "make"), WRONG)
async def test_material_that_does_not_fit(
    service: Service, spec: KeySpec, usage: KeyUsage, make: Callable[[], bytes]
) -> None:
    """Material of another size, kind, curve or encoding is refused, and the refusal says what is needed."""
    made = await create_external_key(service, spec, usage)
    got = await parameters(service, made.key_id)
    with pytest.raises(IncorrectKeyMaterialException) as caught:
        await bring(service, got, make())
    assert f"A key with KeySpec {spec} takes" in caught.value.message
    assert await state(service, made.key_id) is KeyState.PENDING_IMPORT


def halves_of_two(first: bytes, second: bytes, point: Callable[[bytes], bytes]) -> bytes:
    """Return a private key in which the public half is another key's."""
    assert point(first) in first
    return first.replace(point(first), point(second))


async def test_halves_that_do_not_fit(service: Service) -> None:
    """A key pair made up of two is refused."""
    made = await create_external_key(service, KeySpec.ECC_NIST_P256, KeyUsage.SIGN_VERIFY)
    one, two = [pkcs8(ec.generate_private_key(ec.SECP256R1())) for _ in range(2)]
    mixed = halves_of_two(one, two, lambda encoded: encoded[-65:])
    with pytest.raises(IncorrectKeyMaterialException):
        await bring(service, await parameters(service, made.key_id), mixed)
    made = await create_external_key(service, KeySpec.RSA_2048, KeyUsage.SIGN_VERIFY)
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    bent = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(IncorrectKeyMaterialException):
        await bring(service, await parameters(service, made.key_id), pkcs8(bent))


async def test_the_same_material_again(service: Service) -> None:
    """Its id stays, its expiry and description can be changed; a description that is not given stays."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    identifier = await bring(service, got, ONE, key_material_description="from the vault")
    assert identifier is not None
    again = [
        ({}, FOREVER, None, "from the vault"),
        ({"valid_to": START + DAY}, EXPIRES, START + DAY, "from the vault"),
        ({"import_type": EXISTING, "key_material_description": "b"}, FOREVER, None, "b"),
        ({"key_material_id": identifier}, FOREVER, None, "b"),
    ]
    for members, model, valid_to, description in again:
        assert await bring(service, got, ONE, **members) == identifier
        (entry,) = (await materials(service, key)).values()
        assert (entry.expiration_model, entry.valid_to) == (model, valid_to)
        assert entry.key_material_description == description
        assert (entry.key_material_state, entry.import_state) == ("CURRENT", ImportState.IMPORTED)
        assert (entry.rotation_date, entry.rotation_type) == (None, None)
    other = (await create_external_key(service)).key_id
    assert await bring(service, await parameters(service, other), ONE) != identifier


async def test_importing_does_not_enable_a_disabled_key(service: Service) -> None:
    """Who changes an expiry does not undo what someone else has switched off."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    await bring(service, got, ONE)
    await service.call("DisableKey", key_id=key)
    await bring(service, got, ONE, valid_to=START + DAY)
    assert await state(service, key) is KeyState.DISABLED


async def test_other_material_is_refused(service: Service) -> None:
    """What is imported again must be the same, byte for byte, even long after it was deleted."""
    made = await create_external_key(service)
    got = await parameters(service, made.key_id)
    identifier = await bring(service, got, ONE)
    for deleted in (False, True):
        if deleted:
            await service.call("DeleteImportedKeyMaterial", key_id=made.key_id)
        for members in ({}, {"import_type": EXISTING}, {"key_material_id": identifier}):
            with pytest.raises(IncorrectKeyMaterialException) as caught:
                await bring(service, got, TWO, **members)
            assert f"is not associated with KMS key {made.arn}." in caught.value.message
    with pytest.raises(IncorrectKeyMaterialException) as caught:
        await bring(service, got, ONE, key_material_id="0" * 64)
    assert caught.value.message == (
        f"Key material (id: {identifier}) does not match the specified key material (id: {'0' * 64})."
    )
    with pytest.raises(IncorrectKeyMaterialException) as caught:
        await bring(service, got, ONE, import_type=NEW)
    assert caught.value.message == (
        f"Key material (id: {identifier}) being imported as NEW_KEY_MATERIAL is already associated "
        f"with KMS key {made.arn}."
    )
    with pytest.raises(ValidationException):
        await bring(service, got, TWO, import_type=NEW, key_material_id=identifier)


async def test_existing_material_of_a_key_that_has_none(service: Service) -> None:
    """The first import is of new material, whether said so or not."""
    key = (await create_external_key(service)).key_id
    got = await parameters(service, key)
    with pytest.raises(IncorrectKeyMaterialException):
        await bring(service, got, ONE, import_type=EXISTING)
    await bring(service, got, ONE, import_type=NEW)


@pytest.mark.parametrize(
    ("spec", "usage", "first", "second"),
    [
        (KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC, lambda: bytes(32), lambda: bytes(33)),
        (
            KeySpec.ECC_NIST_P256,
            KeyUsage.SIGN_VERIFY,
            lambda: pkcs8(ec.generate_private_key(ec.SECP256R1())),
            lambda: pkcs8(ec.generate_private_key(ec.SECP256R1())),
        ),
    ],
)
async def test_keys_that_do_not_rotate_have_one_material(
    service: Service, spec: KeySpec, usage: KeyUsage, first: Callable[[], bytes], second: Callable[[], bytes]
) -> None:
    """HMAC keys and key pairs take the same material again and no other, and no members about several."""
    made = await create_external_key(service, spec, usage)
    got = await parameters(service, made.key_id)
    material = first()
    for members in (
        {"import_type": NEW},
        {"import_type": EXISTING},
        {"key_material_description": "d"},
        {"key_material_id": "0" * 64},
    ):
        with pytest.raises(ValidationException) as caught:
            await bring(service, got, material, **members)
        assert "can be set for symmetric encryption keys only" in caught.value.message or members == {
            "key_material_id": "0" * 64
        }
    await bring(service, got, material)
    with pytest.raises(IncorrectKeyMaterialException) as caught:
        await bring(service, got, second())
    assert caught.value.message == (
        f"This is not the key material that was imported into KMS key {made.arn} before."
    )
    deleted = await service.call("DeleteImportedKeyMaterial", key_id=made.key_id)
    assert (deleted.key_id, deleted.key_material_id) == (made.arn, None)
    with pytest.raises(ValidationException):
        await service.call("DeleteImportedKeyMaterial", key_id=made.key_id, key_material_id="0" * 64)
    await bring(service, got, material)
    assert await state(service, made.key_id) is KeyState.ENABLED
    described = (await service.call("DescribeKey", key_id=made.key_id)).key_metadata
    assert (described.current_key_material_id, described.expiration_model) == (None, FOREVER)


async def test_a_private_key_in_another_spelling_is_the_same(service: Service) -> None:
    """RSA numbers can be written with either of two private exponents: it is one key."""
    made = await create_external_key(service, KeySpec.RSA_2048, KeyUsage.SIGN_VERIFY)
    got = await parameters(service, made.key_id)
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    exponent = pow(65537, -1, (numbers.p - 1) * (numbers.q - 1))
    other = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, exponent, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key()
    await bring(service, got, pkcs8(key))
    if pkcs8(other) != pkcs8(key):
        await bring(service, got, pkcs8(other))
    assert len(service.kms.store.materials("local", made.key_id)) == 1


async def test_what_is_recorded(service: Service) -> None:
    """Neither token nor material nor wrapping key gets into the log, their settings do."""
    made = await import_key(service, ONE)
    got = await parameters(service, made.key_id)
    await bring(service, got, ONE, import_type=EXISTING, key_material_description="d", valid_to=START + DAY)
    asked, imported = service.records()[-2:]
    assert asked["requestParameters"] == {
        "keyId": made.key_id,
        "wrappingAlgorithm": "RSA_AES_KEY_WRAP_SHA_256",
        "wrappingKeySpec": "RSA_2048",
    }
    assert asked["readOnly"] is True
    told = imported["requestParameters"]
    assert set(told) == {"keyId", "importType", "keyMaterialDescription", "validTo"}
    assert imported["readOnly"] is False
    assert imported["responseElements"] == {"keyId": made.arn, "keyMaterialId": made.current_key_material_id}
