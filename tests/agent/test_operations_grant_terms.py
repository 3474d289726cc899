"""What a grant permits and on which keys, through the pipeline: operations, and the encryption context."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from agent.api.enums import GrantOperation, KeySpec, KeyUsage
from agent.api.errors import ValidationException
from agent.api.shapes.grants import GrantConstraints
from granting import DECRYPT, equals, grant, may, subset
from services import Service

CONTEXT: Final = {"Department": "IT", "Purpose": "Test"}

USES: Final[tuple[tuple[str, tuple[GrantOperation, ...], dict[str, Any], str], ...]] = (
    ("Encrypt", (GrantOperation.ENCRYPT,), {"key_id": "KEY", "plaintext": b"t"}, "encryption_context"),
    ("Decrypt", DECRYPT, {"ciphertext_blob": "BLOB"}, "encryption_context"),
    ("GenerateDataKey", (GrantOperation.GENERATE_DATA_KEY,), {"key_id": "KEY", "number_of_bytes": 32}, ""),
    (
        "GenerateDataKeyWithoutPlaintext",
        (GrantOperation.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,),
        {"key_id": "KEY", "number_of_bytes": 32},
        "",
    ),
    (
        "ReEncrypt",
        (GrantOperation.RE_ENCRYPT_FROM, GrantOperation.RE_ENCRYPT_TO),
        {"ciphertext_blob": "BLOB", "destination_key_id": "KEY"},
        "source_encryption_context destination_encryption_context",
    ),
)
CONSTRAINTS: Final = (
    (None, {}, True),
    (None, CONTEXT, True),
    (GrantConstraints(), CONTEXT, True),
    (equals(**CONTEXT), CONTEXT, True),
    (equals(**CONTEXT), dict(reversed(CONTEXT.items())), True),
    (equals(**CONTEXT), {}, False),
    (equals(**CONTEXT), {"Department": "IT"}, False),
    (equals(**CONTEXT), {**CONTEXT, "more": ""}, False),
    (equals(**CONTEXT), {"Department": "it", "Purpose": "Test"}, False),
    (equals(**CONTEXT), {"department": "IT", "Purpose": "Test"}, False),
    (equals(), {}, True),
    (equals(), {"a": ""}, False),
    (equals(a="bc"), {"ab": "c"}, False),
    (subset(**CONTEXT), CONTEXT, True),
    (subset(**CONTEXT), {"more": "", **CONTEXT}, True),
    (subset(Department="IT"), CONTEXT, True),
    (subset(**CONTEXT), {"Department": "IT"}, False),
    (subset(Department="IT"), {"Department": "it"}, False),
    (subset(Department="IT"), {"department": "IT"}, False),
    (subset(Department="IT"), {}, False),
    (subset(), {}, True),
    (subset(), {"a": ""}, True),
)


@pytest.mark.parametrize("use", USES, ids=[operation for operation, *_ in USES])
@pytest.mark.parametrize(("constraints", "context", "permitted"), CONSTRAINTS)
async def test_constraints_decide_over_the_encryption_context(
    service: Service,
    use: tuple[str, tuple[GrantOperation, ...], Mapping[str, Any], str],
    constraints: GrantConstraints | None,
    context: Mapping[str, str],
    *,
    permitted: bool,
) -> None:
    """Every operation with an encryption context is permitted only if that meets the grant's constraint."""
    operation, needed, members, context_members = use
    key_id, bob = (await service.create_key()).key_id, service.callers.bob
    sealed = await service.call("Encrypt", key_id=key_id, plaintext=b"t", encryption_context=context or None)
    fill = {"KEY": key_id, "BLOB": sealed.ciphertext_blob}
    filled = {name: fill.get(value, value) for name, value in members.items()}
    filled |= dict.fromkeys((context_members or "encryption_context").split(), context or None)
    await grant(service, key_id, operations=needed, constraints=constraints)
    assert await may(service, bob, operation, **filled) is permitted


@pytest.mark.parametrize("missing", [GrantOperation.RE_ENCRYPT_FROM, GrantOperation.RE_ENCRYPT_TO])
async def test_re_encrypt_needs_both_operations(service: Service, missing: GrantOperation) -> None:
    """A grant for one half of ReEncrypt does not permit it, and constraints see the context of their half."""
    source, target = (await service.create_key()).key_id, (await service.create_key()).key_id
    bob = service.callers.bob
    sealed = await service.call("Encrypt", key_id=source, plaintext=b"t", encryption_context={"half": "from"})
    halves = {
        GrantOperation.RE_ENCRYPT_FROM: (source, {"half": "from"}),
        GrantOperation.RE_ENCRYPT_TO: (target, {"half": "to"}),
    }
    request = {
        "ciphertext_blob": sealed.ciphertext_blob,
        "destination_key_id": target,
        "source_encryption_context": {"half": "from"},
        "destination_encryption_context": {"half": "to"},
    }
    for operation, (key_id, context) in halves.items():
        if operation is not missing:
            await grant(service, key_id, operations=(operation,), constraints=equals(**context))
    assert not await may(service, bob, "ReEncrypt", **request)
    await grant(service, halves[missing][0], operations=(missing,), constraints=subset(half="other"))
    assert not await may(service, bob, "ReEncrypt", **request)
    await grant(service, halves[missing][0], operations=(missing,), constraints=equals(**halves[missing][1]))
    assert await may(service, bob, "ReEncrypt", **request)


async def test_constraints_do_not_apply_where_there_is_no_context(service: Service) -> None:
    """DescribeKey is permitted by a grant with a constraint."""
    key_id, bob = (await service.create_key()).key_id, service.callers.bob
    assert not await may(service, bob, "DescribeKey", key_id=key_id)
    await grant(service, key_id, operations=(GrantOperation.DESCRIBE_KEY,), constraints=equals(**CONTEXT))
    assert await may(service, bob, "DescribeKey", key_id=key_id)


FITTING: Final[Mapping[KeyUsage, str]] = {
    KeyUsage.ENCRYPT_DECRYPT: "Encrypt, Decrypt, ReEncryptFrom, ReEncryptTo",
    KeyUsage.SIGN_VERIFY: "Sign, Verify",
    KeyUsage.GENERATE_VERIFY_MAC: "GenerateMac, VerifyMac",
    KeyUsage.KEY_AGREEMENT: "DeriveSharedSecret",
    KeyUsage.ENCAPSULATE_DECAPSULATE: "Encapsulate, Decapsulate",
}
DATA_KEYS: Final = (
    ", GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateDataKeyPair, "
    "GenerateDataKeyPairWithoutPlaintext"
)
RSA: Final = (KeySpec.RSA_2048, KeySpec.RSA_3072, KeySpec.RSA_4096)
NIST: Final = (KeySpec.ECC_NIST_P256, KeySpec.ECC_NIST_P384, KeySpec.ECC_NIST_P521)
SIGNING: Final = (
    *RSA,
    *NIST,
    KeySpec.ECC_SECG_P256K1,
    KeySpec.ECC_NIST_EDWARDS25519,
    KeySpec.ML_DSA_44,
    KeySpec.ML_DSA_65,
    KeySpec.ML_DSA_87,
)
PAIRINGS: Final = (
    (KeySpec.SYMMETRIC_DEFAULT, KeyUsage.ENCRYPT_DECRYPT),
    *((spec, KeyUsage.ENCRYPT_DECRYPT) for spec in RSA),
    *((spec, KeyUsage.SIGN_VERIFY) for spec in SIGNING),
    *((spec, KeyUsage.KEY_AGREEMENT) for spec in NIST),
    *((spec, KeyUsage.GENERATE_VERIFY_MAC) for spec in KeySpec if spec.startswith("HMAC")),
    *((spec, KeyUsage.ENCAPSULATE_DECAPSULATE) for spec in KeySpec if spec.startswith("ML_KEM")),
)


@pytest.mark.parametrize(("spec", "usage"), PAIRINGS)
async def test_operations_must_fit_the_key(service: Service, spec: KeySpec, usage: KeyUsage) -> None:
    """Of the 19 operations a grant takes those that the key can perform, and names them in the refusal."""
    key_id = (await service.create_key()).key_id
    service.force(key_id, key_spec=spec, key_usage=usage)
    symmetric = spec is KeySpec.SYMMETRIC_DEFAULT or usage is KeyUsage.GENERATE_VERIFY_MAC
    valid = "CreateGrant, RetireGrant, DescribeKey, "
    valid += FITTING[usage] if symmetric else f"GetPublicKey, {FITTING[usage]}"
    valid += DATA_KEYS if spec is KeySpec.SYMMETRIC_DEFAULT else ""
    for operation in GrantOperation:
        if operation in valid.split(", "):
            await grant(service, key_id, operations=(operation,))
            continue
        with pytest.raises(ValidationException) as caught:
            await grant(service, key_id, operations=(operation, GrantOperation.DESCRIBE_KEY))
        assert caught.value.message == (
            f"Operations [{operation}] are not supported when creating a grant for "
            f"{'a symmetric' if symmetric else 'an asymmetric'} KMS key with key usage {usage}. "
            f"Valid operations are [{valid}]"
        )
    if spec is not KeySpec.SYMMETRIC_DEFAULT:
        for constraints in (equals(), subset(a="b")):
            with pytest.raises(ValidationException) as caught:
                await grant(
                    service, key_id, operations=(GrantOperation.DESCRIBE_KEY,), constraints=constraints
                )
            assert caught.value.message == (
                "EncryptionContext is supported only when creating a grant for a symmetric encryption "
                "KMS key."
            )
