"""Every spec with every usage: what CreateKey makes or refuses, and what metadata tells of it."""

import pytest

from agent.api.enums import (
    CustomerMasterKeySpec,
    EncapsulationAlgorithmSpec,
    EncryptionAlgorithmSpec,
    KeyAgreementAlgorithmSpec,
    KeySpec,
    KeyState,
    KeyUsage,
    MacAlgorithmSpec,
    SigningAlgorithmSpec,
)
from agent.api.errors import UnsupportedOperationException, ValidationException
from agent.crypto.specs import USAGES
from services import Service

PAIRS = [(spec, usage) for spec in KeySpec for usage in KeyUsage]
ABSENT = {KeySpec.SM2, KeySpec.ML_KEM_512}

RSA = {
    KeyUsage.ENCRYPT_DECRYPT: {
        EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1,
        EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256,
    },
    KeyUsage.SIGN_VERIFY: {name for name in SigningAlgorithmSpec if name.startswith("RSASSA_")},
}
ECDH = {KeyUsage.KEY_AGREEMENT: {KeyAgreementAlgorithmSpec.ECDH}}
ML_DSA = {KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.ML_DSA_SHAKE_256}}
ML_KEM = {KeyUsage.ENCAPSULATE_DECAPSULATE: {EncapsulationAlgorithmSpec.ML_KEM}}
SPECS: dict[KeySpec, dict[KeyUsage, set[object]]] = {
    KeySpec.SYMMETRIC_DEFAULT: {KeyUsage.ENCRYPT_DECRYPT: {EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT}},
    KeySpec.RSA_2048: RSA,
    KeySpec.RSA_3072: RSA,
    KeySpec.RSA_4096: RSA,
    KeySpec.ECC_NIST_P256: {KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.ECDSA_SHA_256}} | ECDH,
    KeySpec.ECC_NIST_P384: {KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.ECDSA_SHA_384}} | ECDH,
    KeySpec.ECC_NIST_P521: {KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.ECDSA_SHA_512}} | ECDH,
    KeySpec.ECC_SECG_P256K1: {KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.ECDSA_SHA_256}},
    KeySpec.ECC_NIST_EDWARDS25519: {
        KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.ED25519_SHA_512, SigningAlgorithmSpec.ED25519_PH_SHA_512}
    },
    KeySpec.ML_DSA_44: ML_DSA,
    KeySpec.ML_DSA_65: ML_DSA,
    KeySpec.ML_DSA_87: ML_DSA,
    KeySpec.HMAC_224: {KeyUsage.GENERATE_VERIFY_MAC: {MacAlgorithmSpec.HMAC_SHA_224}},
    KeySpec.HMAC_256: {KeyUsage.GENERATE_VERIFY_MAC: {MacAlgorithmSpec.HMAC_SHA_256}},
    KeySpec.HMAC_384: {KeyUsage.GENERATE_VERIFY_MAC: {MacAlgorithmSpec.HMAC_SHA_384}},
    KeySpec.HMAC_512: {KeyUsage.GENERATE_VERIFY_MAC: {MacAlgorithmSpec.HMAC_SHA_512}},
    KeySpec.ML_KEM_512: ML_KEM,
    KeySpec.ML_KEM_768: ML_KEM,
    KeySpec.ML_KEM_1024: ML_KEM,
    KeySpec.SM2: {
        KeyUsage.ENCRYPT_DECRYPT: {EncryptionAlgorithmSpec.SM2PKE},
        KeyUsage.SIGN_VERIFY: {SigningAlgorithmSpec.SM2DSA},
    }
    | ECDH,
}
"""The key spec reference of AWS's guide, written down a second time."""

ALGORITHM_MEMBERS = {
    KeyUsage.ENCRYPT_DECRYPT: "encryption_algorithms",
    KeyUsage.SIGN_VERIFY: "signing_algorithms",
    KeyUsage.GENERATE_VERIFY_MAC: "mac_algorithms",
    KeyUsage.KEY_AGREEMENT: "key_agreement_algorithms",
    KeyUsage.ENCAPSULATE_DECAPSULATE: "encapsulation_algorithms",
}


def test_usages_are_those_of_the_guide() -> None:
    """The program's table of usages is the guide's."""
    assert {spec: set(usages) for spec, usages in USAGES.items()} == {
        spec: set(by_usage) for spec, by_usage in SPECS.items()
    }


@pytest.mark.parametrize(("spec", "usage"), PAIRS)
async def test_create_key_of_every_spec_and_usage(service: Service, spec: KeySpec, usage: KeyUsage) -> None:
    """A pair that the guide has makes a key that tells exactly its algorithms; any other is refused."""
    algorithms = SPECS[spec].get(usage)
    if algorithms is None:
        with pytest.raises(ValidationException) as caught:
            await service.create_key(key_spec=spec, key_usage=usage)
        assert caught.value.message == f"KeyUsage {usage} is not compatible with KeySpec {spec}"
        return
    if spec in ABSENT:
        with pytest.raises(UnsupportedOperationException, match=f"KeySpec {spec} is not supported: "):
            await service.create_key(key_spec=spec, key_usage=usage)
        return
    made = await service.create_key(key_spec=spec, key_usage=usage)
    assert (made.key_spec, made.key_usage, made.key_state) == (spec, usage, KeyState.ENABLED)
    assert (made.customer_master_key_spec or "new") == (
        spec if spec in CustomerMasterKeySpec.__members__ else "new"
    )
    assert (made.current_key_material_id is not None) == (spec is KeySpec.SYMMETRIC_DEFAULT)
    for kind, member in ALGORITHM_MEMBERS.items():
        told = getattr(made, member)
        assert told is None if kind is not usage else set(told) == algorithms
    assert (await service.call("DescribeKey", key_id=made.key_id)).key_metadata == made
    (material,) = service.kms.store.materials("local", made.key_id)
    assert bool(material.public_key) == (
        usage is not KeyUsage.GENERATE_VERIFY_MAC and spec is not KeySpec.SYMMETRIC_DEFAULT
    )
