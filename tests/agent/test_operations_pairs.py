"""Data key pairs, through the pipeline: of every spec, and used outside."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

import outsiders
from agent.api.enums import DataKeyPairSpec, KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    DisabledException,
    DryRunOperationException,
    InvalidCiphertextException,
    InvalidKeyUsageException,
    UnsupportedOperationException,
)
from agent.crypto import generation
from agent.operations.table import HANDLERS
from services import Service

WITH, WITHOUT = "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"
BOTH = [WITH, WITHOUT]
ABSENT = {DataKeyPairSpec.SM2, DataKeyPairSpec.ML_KEM_512}
PRESENT = [spec for spec in DataKeyPairSpec if spec not in ABSENT]

# What each spec's private key is, and its size in bits or its curve.
KINDS: dict[DataKeyPairSpec, tuple[type, object]] = {
    DataKeyPairSpec.RSA_2048: (RSAPrivateKey, 2048),
    DataKeyPairSpec.RSA_3072: (RSAPrivateKey, 3072),
    DataKeyPairSpec.RSA_4096: (RSAPrivateKey, 4096),
    DataKeyPairSpec.ECC_NIST_P256: (EllipticCurvePrivateKey, "secp256r1"),
    DataKeyPairSpec.ECC_NIST_P384: (EllipticCurvePrivateKey, "secp384r1"),
    DataKeyPairSpec.ECC_NIST_P521: (EllipticCurvePrivateKey, "secp521r1"),
    DataKeyPairSpec.ECC_SECG_P256K1: (EllipticCurvePrivateKey, "secp256k1"),
    DataKeyPairSpec.ECC_NIST_EDWARDS25519: (Ed25519PrivateKey, None),
    DataKeyPairSpec.ML_KEM_768: (MLKEM768PrivateKey, None),
    DataKeyPairSpec.ML_KEM_1024: (MLKEM1024PrivateKey, None),
}


@pytest.mark.parametrize("spec", PRESENT)
async def test_a_pair_of_each_spec(service: Service, spec: DataKeyPairSpec) -> None:
    """The private key is PKCS#8 of the spec, fits the public key, and is what the ciphertext opens to."""
    key = await service.create_key()
    context = {"a": "b"}
    made = await service.call(WITH, key_id=key.key_id, key_pair_spec=spec, encryption_context=context)
    assert (made.key_id, made.key_pair_spec) == (key.arn, spec)
    assert made.key_material_id == key.current_key_material_id
    private_key = load_der_private_key(made.private_key_plaintext, None)
    kind, detail = KINDS[spec]
    assert isinstance(private_key, kind)
    found = getattr(private_key, "key_size", None) if kind is RSAPrivateKey else None
    found = getattr(getattr(private_key, "curve", None), "name", found)
    assert found == detail
    public_key = private_key.public_key()
    assert public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == made.public_key
    sealed = {"ciphertext_blob": made.private_key_ciphertext_blob}
    opened = await service.call("Decrypt", encryption_context=context, **sealed)
    assert opened.plaintext == made.private_key_plaintext
    with pytest.raises(InvalidCiphertextException):
        await service.call("Decrypt", **sealed)


@pytest.mark.parametrize("spec", [DataKeyPairSpec.ML_KEM_768, DataKeyPairSpec.ML_KEM_1024])
async def test_ml_kem_keys_are_seeds(service: Service, spec: DataKeyPairSpec) -> None:
    """The private key has the seed and nothing else: as long for one parameter set as for the other."""
    key = (await service.create_key()).key_id
    made = await service.call(WITH, key_id=key, key_pair_spec=spec)
    seed = load_der_private_key(made.private_key_plaintext, None)
    assert isinstance(seed, MLKEM768PrivateKey | MLKEM1024PrivateKey)
    assert len(made.private_key_plaintext) == 86
    assert made.private_key_plaintext.endswith(b"\x80\x40" + seed.private_bytes_raw())


@pytest.mark.parametrize("spec", [DataKeyPairSpec.RSA_2048, DataKeyPairSpec.ECC_SECG_P256K1])
async def test_pairs_work_with_openssl(service: Service, spec: DataKeyPairSpec, tmp_path: Path) -> None:
    """What openssl signs with the private key, it verifies with the public key."""
    key = (await service.create_key()).key_id
    made = await service.call(WITH, key_id=key, key_pair_spec=spec)
    der, text, signature = tmp_path / "private.der", tmp_path / "text", tmp_path / "signature"
    der.write_bytes(made.private_key_plaintext)
    text.write_bytes(b"text")
    private = tmp_path / "private.pem"
    outsiders.openssl("pkey", "-inform", "DER", "-in", der, "-out", private)
    outsiders.openssl("dgst", "-sha256", "-sign", private, "-out", signature, text)
    public, _ = outsiders.read_public_key(tmp_path, made.public_key)
    outsiders.openssl("dgst", "-sha256", "-verify", public, "-signature", signature, text)


async def test_without_plaintext(service: Service) -> None:
    """Only the public key and the encrypted private key come; they are a pair."""
    key = await service.create_key()
    made = await service.call(WITHOUT, key_id=key.arn, key_pair_spec="ECC_NIST_P256")
    assert not hasattr(made, "private_key_plaintext")
    assert (made.key_id, made.key_material_id) == (key.arn, key.current_key_material_id)
    opened = await service.call("Decrypt", ciphertext_blob=made.private_key_ciphertext_blob)
    pair = load_der_private_key(opened.plaintext, None)
    assert pair.public_key() == load_der_public_key(made.public_key)


async def test_pairs_never_repeat(service: Service) -> None:
    """Each call makes another pair."""
    key = (await service.create_key()).key_id
    made = [await service.call(WITHOUT, key_id=key, key_pair_spec="ECC_NIST_P256") for _ in range(4)]
    assert len({each.public_key for each in made}) == 4


@pytest.mark.parametrize("operation", BOTH)
@pytest.mark.parametrize("spec", sorted(ABSENT))
async def test_specs_that_no_library_has(service: Service, operation: str, spec: str) -> None:
    """They are refused with the reason, before anything is looked up."""
    with pytest.raises(UnsupportedOperationException, match=spec):
        await service.call(operation, key_id="nowhere", key_pair_spec=spec)


@pytest.mark.parametrize("operation", BOTH)
async def test_keys_that_make_no_pairs(service: Service, operation: str) -> None:
    """Another usage, another spec, a disabled key, a custom key store, and somebody else's key: refused."""
    key = await service.create_key()
    members: dict[str, Any] = {"key_id": key.key_id, "key_pair_spec": "ECC_NIST_P256"}
    with pytest.raises(AccessDeniedException):
        await service.call(operation, service.callers.bob, **members)
    for state, changes, error in (
        (KeyState.DISABLED, {}, DisabledException),
        (KeyState.DISABLED, {"key_usage": KeyUsage.SIGN_VERIFY}, InvalidKeyUsageException),
        (KeyState.ENABLED, {"key_spec": KeySpec.RSA_2048}, InvalidKeyUsageException),
        (KeyState.ENABLED, {"custom_key_store_id": "cks-1"}, UnsupportedOperationException),
    ):
        before = service.key(key.key_id)
        service.force(key.key_id, state, **changes)
        with pytest.raises(error):
            await service.call(operation, **members)
        with service.kms.store.write() as transaction:
            transaction.put(before)
    await service.call(operation, **members)


@pytest.mark.parametrize("operation", BOTH)
async def test_a_dry_run_makes_no_pair(
    service: Service, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run costs nobody the seconds that a pair takes."""
    key = (await service.create_key()).key_id
    monkeypatch.setattr("agent.operations.pairs.generate", lambda _spec: pytest.fail("a pair was made"))
    with pytest.raises(DryRunOperationException):
        await service.call(operation, key_id=key, key_pair_spec="RSA_4096", dry_run=True)


@pytest.mark.parametrize("operation", BOTH)
def test_pairs_are_made_beside_the_event_loop(operation: str) -> None:
    """Making RSA keys takes seconds: other requests are answered meanwhile."""
    assert HANDLERS[operation].slow


async def test_a_pair_that_does_not_fit_together_is_answered_to_nobody(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that computes wrongly is noticed before the pair leaves."""
    key = (await service.create_key()).key_id
    monkeypatch.setattr(generation, "_signs", lambda *_arguments: False)
    with pytest.raises(Exception, match="failed inside the service"):
        await service.call(WITH, key_id=key, key_pair_spec="ECC_NIST_P256")
