"""Sign, Verify and GetPublicKey, through the pipeline."""

import hashlib
import json
from typing import Any

import pytest

import outsiders
from agent.api.enums import KeySpec, KeyState, KeyUsage, MessageType, SigningAlgorithmSpec
from agent.api.errors import (
    AccessDeniedException,
    DisabledException,
    DryRunOperationException,
    InvalidKeyUsageException,
    KMSInvalidSignatureException,
    KMSInvalidStateException,
    NotFoundException,
    ServiceError,
    UnsupportedOperationException,
    ValidationException,
)
from agent.crypto import ed25519
from agent.crypto.keypairs import load_public
from agent.crypto.mldsa import MLDSAPublicKey
from services import Service

SIGN = KeyUsage.SIGN_VERIFY
P256 = {"key_spec": KeySpec.ECC_NIST_P256, "key_usage": SIGN}
ECDSA = SigningAlgorithmSpec.ECDSA_SHA_256
DIGEST_SIZES = {
    SigningAlgorithmSpec.RSASSA_PSS_SHA_256: 32,
    SigningAlgorithmSpec.RSASSA_PSS_SHA_384: 48,
    SigningAlgorithmSpec.RSASSA_PSS_SHA_512: 64,
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_256: 32,
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_384: 48,
    SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_512: 64,
    SigningAlgorithmSpec.ECDSA_SHA_256: 32,
    SigningAlgorithmSpec.ECDSA_SHA_384: 48,
    SigningAlgorithmSpec.ECDSA_SHA_512: 64,
    SigningAlgorithmSpec.ED25519_PH_SHA_512: 64,
}
SPEC_OF = {
    "RSASSA": KeySpec.RSA_2048,
    "ECDSA_SHA_256": KeySpec.ECC_NIST_P256,
    "ECDSA_SHA_384": KeySpec.ECC_NIST_P384,
    "ECDSA_SHA_512": KeySpec.ECC_NIST_P521,
    "ED25519": KeySpec.ECC_NIST_EDWARDS25519,
    "ML_DSA": KeySpec.ML_DSA_44,
}


def spec_of(algorithm: SigningAlgorithmSpec) -> KeySpec:
    """Return a spec that has the algorithm."""
    return next(spec for prefix, spec in SPEC_OF.items() if algorithm.startswith(prefix))


@pytest.mark.parametrize("spec", [KeySpec.RSA_2048, KeySpec.ECC_NIST_P256, KeySpec.ML_DSA_65])
async def test_answers_name_key_and_algorithm(service: Service, spec: KeySpec) -> None:
    """The key by its ARN, whatever name it was called by; the algorithm as it was asked for."""
    key = await service.create_key(key_spec=spec, key_usage=SIGN)
    await service.call("CreateAlias", alias_name="alias/k", target_key_id=key.key_id)
    assert key.signing_algorithms is not None
    for name in (key.key_id, key.arn, "alias/k"):
        for algorithm in key.signing_algorithms:
            named = {"key_id": name, "signing_algorithm": algorithm, "message": b"m"}
            signed = await service.call("Sign", **named)
            assert (signed.key_id, signed.signing_algorithm) == (key.arn, algorithm)
            verified = await service.call("Verify", signature=signed.signature, **named)
            assert (verified.key_id, verified.signing_algorithm) == (key.arn, algorithm)
            assert verified.signature_valid is True


@pytest.mark.parametrize(("algorithm", "size"), DIGEST_SIZES.items())
async def test_digests_must_have_their_length(
    service: Service, algorithm: SigningAlgorithmSpec, size: int
) -> None:
    """A digest of another length is refused in AWS's words, by both operations."""
    key = (await service.create_key(key_spec=spec_of(algorithm), key_usage=SIGN)).key_id
    named = {"key_id": key, "signing_algorithm": algorithm, "message_type": MessageType.DIGEST}
    signature = (await service.call("Sign", message=bytes(size), **named)).signature
    assert (await service.call("Verify", message=bytes(size), signature=signature, **named)).signature_valid
    for wrong in {1, size - 1, size + 1, 20, 4096} - {size}:
        for operation, members in (("Sign", {}), ("Verify", {"signature": signature})):
            with pytest.raises(ValidationException) as caught:
                await service.call(operation, message=bytes(wrong), **members, **named)
            assert caught.value.message == f"Digest is invalid length for algorithm {algorithm}."


@pytest.mark.parametrize(
    ("algorithm", "message_type", "incompatible"),
    [
        # Seen on AWS: ML-DSA with DIGEST, Ed25519 with its other algorithm's type; the rest by the same rule.
        (SigningAlgorithmSpec.RSASSA_PSS_SHA_256, MessageType.EXTERNAL_MU, "key spec RSA_2048"),
        (SigningAlgorithmSpec.ECDSA_SHA_256, MessageType.EXTERNAL_MU, "key spec ECC_NIST_P256"),
        (SigningAlgorithmSpec.ED25519_SHA_512, MessageType.DIGEST, "algorithm ED25519_SHA_512"),
        (SigningAlgorithmSpec.ED25519_PH_SHA_512, MessageType.RAW, "algorithm ED25519_PH_SHA_512"),
        (SigningAlgorithmSpec.ED25519_SHA_512, MessageType.EXTERNAL_MU, "key spec ECC_NIST_EDWARDS25519"),
        (SigningAlgorithmSpec.ED25519_PH_SHA_512, MessageType.EXTERNAL_MU, "key spec ECC_NIST_EDWARDS25519"),
        (SigningAlgorithmSpec.ML_DSA_SHAKE_256, MessageType.DIGEST, "key spec ML_DSA_44"),
    ],
)
async def test_message_types_that_do_not_fit(
    service: Service, algorithm: SigningAlgorithmSpec, message_type: MessageType, incompatible: str
) -> None:
    """What the key's spec takes in no way is said of the spec, what another algorithm takes of this one."""
    key = (await service.create_key(key_spec=spec_of(algorithm), key_usage=SIGN)).key_id
    for operation, members in (("Sign", {}), ("Verify", {"signature": b"s"})):
        with pytest.raises(ValidationException) as caught:
            await service.call(
                operation,
                key_id=key,
                signing_algorithm=algorithm,
                message_type=message_type,
                message=bytes(64),
                **members,
            )
        assert caught.value.message == f"Message type {message_type} is incompatible with {incompatible}."


async def test_digests_and_messages_are_the_same_signature(service: Service) -> None:
    """A signature of a message verifies for its digest, and the other way round."""
    key = (await service.create_key(**P256)).key_id
    named = {"key_id": key, "signing_algorithm": ECDSA}
    message, digest = {"message": b"m"}, {"message": hashlib.sha256(b"m").digest(), "message_type": "DIGEST"}
    for signed, verified in ((message, digest), (digest, message)):
        signature = (await service.call("Sign", **named, **signed)).signature
        assert (await service.call("Verify", signature=signature, **named, **verified)).signature_valid
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", signature=signature, **named, message=digest["message"])


@pytest.mark.parametrize("spec", [KeySpec.ML_DSA_44, KeySpec.ML_DSA_65, KeySpec.ML_DSA_87])
async def test_ml_dsa_is_hedged_and_takes_mu(service: Service, spec: KeySpec) -> None:
    """Two signatures of one message differ; message and mu are interchangeable; mu has 64 bytes."""
    key = (await service.create_key(key_spec=spec, key_usage=SIGN)).key_id
    public_key = load_public((await service.call("GetPublicKey", key_id=key)).public_key)
    assert isinstance(public_key, MLDSAPublicKey)
    mu = outsiders.external_mu(public_key.public_bytes_raw(), b"m")
    named: dict[str, Any] = {"key_id": key, "signing_algorithm": "ML_DSA_SHAKE_256"}
    raw, external = {"message": b"m"}, {"message": mu, "message_type": "EXTERNAL_MU"}
    signatures = [(await service.call("Sign", **named, **raw)).signature for _ in range(2)]
    signatures += [(await service.call("Sign", **named, **external)).signature for _ in range(2)]
    assert len(set(signatures)) == 4
    for signature in signatures:
        for members in (raw, external):
            answer = await service.call("Verify", signature=signature, **named, **members)
            assert answer.signature_valid
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", signature=signature, **named, message=mu)
    for size in (1, 63, 65):
        with pytest.raises(ValidationException) as caught:
            await service.call("Sign", **named, message=bytes(size), message_type="EXTERNAL_MU")
        assert caught.value.message == "External Mu is invalid length for algorithm ML_DSA_SHAKE_256."


@pytest.mark.parametrize("spec", [*SPEC_OF.values(), KeySpec.ECC_SECG_P256K1])
async def test_wrong_signatures_are_invalid_without_a_word(service: Service, spec: KeySpec) -> None:
    """Damaged, cut, lengthened, another key's or message's: always the same empty refusal, never an error."""
    made = await service.create_key(key_spec=spec, key_usage=SIGN)
    other = await service.create_key(key_spec=spec, key_usage=SIGN)
    assert made.signing_algorithms is not None
    for algorithm in made.signing_algorithms:
        kind = "DIGEST" if algorithm is SigningAlgorithmSpec.ED25519_PH_SHA_512 else "RAW"
        named = {"signing_algorithm": algorithm, "message": b"m" * 64, "message_type": kind}
        good = (await service.call("Sign", key_id=made.key_id, **named)).signature
        foreign = (await service.call("Sign", key_id=other.key_id, **named)).signature
        middle = len(good) // 2
        for wrong in (
            foreign,
            good[:-1],
            good + b"\0",
            good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            bytes(len(good)),
            b"\xff" * len(good),
            b"x",
            bytes(6144),
        ):
            with pytest.raises(KMSInvalidSignatureException) as caught:
                await service.call("Verify", key_id=made.key_id, signature=wrong, **named)
            assert caught.value.message == ""
        changed = named | {"message": b"n" * 64}
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", key_id=made.key_id, signature=good, **changed)


@pytest.mark.parametrize("operation", ["Sign", "Verify"])
async def test_order_of_checks(service: Service, operation: str) -> None:
    """Shape, found, permitted, usage, state, algorithm, message, signature: the first that fails is told."""
    made = await service.create_key(**P256)
    key, bob = made.key_id, service.callers.bob
    request: dict[str, Any] = {
        "key_id": key,
        "signing_algorithm": "ECDSA_SHA_384",
        "message": b"short",
        "message_type": "DIGEST",
        "dry_run": True,
    }
    if operation == "Verify":
        request["signature"] = b"wrong"

    async def refused(error: type[ServiceError], caller: Any = None, **changes: object) -> str:  # noqa: ANN401
        with pytest.raises(error) as caught:
            await service.call(operation, caller, **(request | changes))
        return caught.value.message

    told = await refused(InvalidKeyUsageException)
    assert told == "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256."
    request["signing_algorithm"] = ECDSA
    assert await refused(ValidationException) == "Digest is invalid length for algorithm ECDSA_SHA_256."
    last = KMSInvalidSignatureException if operation == "Verify" else DryRunOperationException
    await refused(last, message=bytes(32))
    request["signing_algorithm"] = "ECDSA_SHA_384"
    service.force(key, KeyState.DISABLED)
    assert await refused(DisabledException) == f"{made.arn} is disabled."
    service.force(key, KeyState.PENDING_DELETION)
    assert await refused(KMSInvalidStateException) == f"{made.arn} is pending deletion."
    service.force(key, key_usage=KeyUsage.KEY_AGREEMENT)
    told = await refused(InvalidKeyUsageException)
    assert told == f"{made.arn} key usage is KEY_AGREEMENT which is not valid for {operation}."
    await refused(AccessDeniedException, bob)
    await refused(NotFoundException, bob, key_id="alias/none")
    with pytest.raises(ValidationException):
        await service.send(operation, json.dumps({"KeyId": "alias/none", "Message": ""}).encode(), bob)


async def test_dry_run_comes_last(service: Service) -> None:
    """A dry run of what would succeed says so; a wrong signature is one in a dry run too."""
    key = (await service.create_key(**P256)).key_id
    named = {"key_id": key, "signing_algorithm": ECDSA, "message": b"m"}
    signature = (await service.call("Sign", **named, dry_run=False)).signature
    for operation, members in (("Sign", {}), ("Verify", {"signature": signature})):
        with pytest.raises(DryRunOperationException) as caught:
            await service.call(operation, dry_run=True, **members, **named)
        assert caught.value.message == "The request would have succeeded, but the DryRun option is set."
    with pytest.raises(KMSInvalidSignatureException):
        await service.call("Verify", dry_run=True, signature=signature[:-1], **named)


async def test_get_public_key(service: Service) -> None:
    """SPKI DER, the same each time, with spec, usage and the algorithms of that usage."""
    for spec, usage in (
        (KeySpec.RSA_2048, KeyUsage.ENCRYPT_DECRYPT),
        (KeySpec.ECC_NIST_P384, KeyUsage.KEY_AGREEMENT),
        (KeySpec.ECC_NIST_P384, SIGN),
        (KeySpec.ML_DSA_87, SIGN),
        (KeySpec.ML_KEM_768, KeyUsage.ENCAPSULATE_DECAPSULATE),
    ):
        made = await service.create_key(key_spec=spec, key_usage=usage)
        answer = await service.call("GetPublicKey", key_id=made.arn)
        assert answer == await service.call("GetPublicKey", key_id=made.key_id)
        assert (answer.key_id, answer.key_spec, answer.key_usage) == (made.arn, spec, usage)
        for member in (
            "customer_master_key_spec",
            "encryption_algorithms",
            "signing_algorithms",
            "key_agreement_algorithms",
            "encapsulation_algorithms",
        ):
            assert getattr(answer, member) == getattr(made, member)
        load_public(answer.public_key)


@pytest.mark.parametrize("members", [{}, {"key_spec": "HMAC_256", "key_usage": "GENERATE_VERIFY_MAC"}])
async def test_secrets_have_no_public_key(service: Service, members: dict[str, str]) -> None:
    """GetPublicKey refuses them without a word, as AWS; but the state comes first."""
    made = await service.create_key(**members)
    with pytest.raises(UnsupportedOperationException) as caught:
        await service.call("GetPublicKey", key_id=made.key_id)
    assert caught.value.message == ""
    service.force(made.key_id, KeyState.PENDING_DELETION)
    with pytest.raises(KMSInvalidStateException) as state:
        await service.call("GetPublicKey", key_id=made.key_id)
    assert state.value.message == f"{made.arn} is pending deletion."


async def test_without_the_library_ed25519ph_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal says what to install and what works without."""
    key = (await service.create_key(key_spec="ECC_NIST_EDWARDS25519", key_usage=SIGN)).key_id
    named = {"key_id": key, "signing_algorithm": "ED25519_PH_SHA_512", "message": bytes(64)}
    named["message_type"] = "DIGEST"
    monkeypatch.setattr(ed25519, "HAS_PREHASHED", False)
    for operation, members in (("Sign", {}), ("Verify", {"signature": bytes(64)})):
        with pytest.raises(UnsupportedOperationException, match="extra ed25519ph, or use ED25519_SHA_512"):
            await service.call(operation, **members, **named)
    plain = {"key_id": key, "signing_algorithm": "ED25519_SHA_512", "message": b"m"}
    assert (await service.call("Sign", **plain)).signature


async def test_messages_and_keys_stay_out_of_the_record(service: Service) -> None:
    """The audit record names key and algorithm, not what was signed."""
    key = (await service.create_key(**P256)).key_id
    await service.call("Sign", key_id=key, signing_algorithm=ECDSA, message=b"SECRET-MESSAGE")
    record = service.records()[-1]
    assert record["eventName"] == "Sign"
    assert record["requestParameters"]["signingAlgorithm"] == ECDSA
    log = json.dumps(service.records())
    assert "SECRET" not in log
    assert "U0VDUkVU" not in log
