"""Encrypt, Decrypt and ReEncrypt with RSA keys, through the pipeline and against other programs."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

import outsiders
import published
from agent.api.enums import EncryptionAlgorithmSpec, KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    DisabledException,
    DryRunOperationException,
    InvalidCiphertextException,
    InvalidKeyUsageException,
    KMSInvalidStateException,
    ValidationException,
)
from agent.api.shapes.keys import KeyMetadata
from importing import import_key
from services import Service

SHA_1, SHA_256 = EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1, EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256
DIGESTS = {SHA_1: "sha1", SHA_256: "sha256"}

# What fits, as AWS documents it.
MOST = [
    (KeySpec.RSA_2048, SHA_1, 214),
    (KeySpec.RSA_2048, SHA_256, 190),
    (KeySpec.RSA_3072, SHA_1, 342),
    (KeySpec.RSA_3072, SHA_256, 318),
    (KeySpec.RSA_4096, SHA_1, 470),
    (KeySpec.RSA_4096, SHA_256, 446),
]


async def rsa_key(service: Service, spec: KeySpec = KeySpec.RSA_2048, **members: object) -> KeyMetadata:
    """Make an RSA key that encrypts."""
    return await service.create_key(key_spec=spec, key_usage=KeyUsage.ENCRYPT_DECRYPT, **members)


@pytest.mark.parametrize(("spec", "algorithm", "most"), MOST)
async def test_what_fits(service: Service, spec: KeySpec, algorithm: str, most: int) -> None:
    """The longest plaintext comes back; one byte more is refused in AWS's words. The blob is OAEP's alone."""
    key = await rsa_key(service, spec)
    named = {"key_id": key.key_id, "encryption_algorithm": algorithm}
    for size in (1, most):
        sealed = await service.call("Encrypt", plaintext=bytes(size), **named)
        assert (sealed.key_id, sealed.encryption_algorithm) == (key.arn, algorithm)
        assert len(sealed.ciphertext_blob) == int(spec[-4:]) // 8
        opened = await service.call("Decrypt", ciphertext_blob=sealed.ciphertext_blob, **named)
        assert (opened.plaintext, opened.key_id) == (bytes(size), key.arn)
        assert (opened.encryption_algorithm, opened.key_material_id) == (algorithm, None)
    with pytest.raises(ValidationException) as caught:
        await service.call("Encrypt", plaintext=bytes(most + 1), **named)
    assert caught.value.message == (
        f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {most} bytes."
    )


@pytest.mark.parametrize("algorithm", [SHA_1, SHA_256])
async def test_openssl_and_back(service: Service, algorithm: EncryptionAlgorithmSpec, tmp_path: Path) -> None:
    """What openssl encrypts to the public key decrypts here; what is encrypted here, openssl decrypts."""
    oaep = [
        part
        for option in ("padding_mode:oaep", f"oaep_md:{DIGESTS[algorithm]}", f"mgf1_md:{DIGESTS[algorithm]}")
        for part in ("-pkeyopt", f"rsa_{option}")
    ]
    pem, pkcs8 = outsiders.new_private_key(tmp_path, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    key = await import_key(service, pkcs8, KeySpec.RSA_2048)
    named = {"key_id": key.key_id, "encryption_algorithm": algorithm}
    public, _ = outsiders.read_public_key(
        tmp_path, (await service.call("GetPublicKey", key_id=key.key_id)).public_key
    )
    path = tmp_path / "text"
    path.write_bytes(b"from outside")
    blob = outsiders.openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-in", path, *oaep).stdout
    assert (await service.call("Decrypt", ciphertext_blob=blob, **named)).plaintext == b"from outside"
    path.write_bytes((await service.call("Encrypt", plaintext=b"from inside", **named)).ciphertext_blob)
    opened = outsiders.openssl("pkeyutl", "-decrypt", "-inkey", pem, "-in", path, *oaep).stdout
    assert opened == b"from inside"


async def test_published_ciphertexts_decrypt(service: Service) -> None:
    """The published ciphertexts of another implementation decrypt under their imported keys."""
    values, count, key = dict[str, bytes](), 0, None
    for label, value in published.labelled("asymmetric/RSA/oaep-custom/oaep-sha256-sha256.txt"):
        values[label.lower()] = value
        if label.lower() == "coefficient":
            key = None
        elif label == "Encryption" and len(value) == 256:
            if key is None:
                key = await import_key(service, published.rsa_pkcs8(values), KeySpec.RSA_2048)
            opened = await service.call(
                "Decrypt", ciphertext_blob=value, key_id=key.key_id, encryption_algorithm=SHA_256
            )
            assert opened.plaintext == values["message"]
            count += 1
    assert count >= 6


async def test_wrong_ciphertexts(service: Service) -> None:
    """Damaged, of another length, key or algorithm: all the same, and without a word."""
    key, other = await rsa_key(service), await rsa_key(service)
    named = {"key_id": key.key_id, "encryption_algorithm": SHA_256}
    blob = (await service.call("Encrypt", plaintext=b"t", **named)).ciphertext_blob
    symmetric = await service.create_key()
    foreign = (await service.call("Encrypt", key_id=symmetric.key_id, plaintext=b"t")).ciphertext_blob
    wrong = [blob[:-1], blob + b"\0", b"\0" + blob[:-1], b"x", bytes(256), b"\xff" * 256, foreign]
    wrong += [blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] for at in range(0, 256, 17)]
    requests: list[dict[str, Any]] = [{"ciphertext_blob": each, **named} for each in wrong]
    requests += [
        {"ciphertext_blob": blob, **named, "key_id": other.key_id},
        {"ciphertext_blob": blob, **named, "encryption_algorithm": SHA_1},
    ]
    for request in requests:
        with pytest.raises(InvalidCiphertextException) as caught:
            await service.call("Decrypt", **request)
        assert caught.value.message == ""
    assert (await service.call("Decrypt", ciphertext_blob=blob, **named)).plaintext == b"t"


async def test_the_algorithm_must_fit_the_key(service: Service) -> None:
    """RSA keys take RSA's algorithms only, which must be named; symmetric keys take none of them."""
    asymmetric, symmetric = await rsa_key(service), await service.create_key()
    cases = [
        (asymmetric, "RSA_2048", None, "SYMMETRIC_DEFAULT"),
        (asymmetric, "RSA_2048", "SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT"),
        (asymmetric, "RSA_2048", "SM2PKE", "SM2PKE"),
        (symmetric, "SYMMETRIC_DEFAULT", SHA_256, SHA_256),
    ]
    for key, spec, algorithm, told in cases:
        requests = [("Encrypt", {"plaintext": b"t"})]
        if algorithm in ("SM2PKE", SHA_256):  # else the ciphertext is looked at first
            requests.append(("Decrypt", {"ciphertext_blob": b"c"}))
        for operation, members in requests:
            with pytest.raises(InvalidKeyUsageException) as caught:
                await service.call(operation, key_id=key.key_id, encryption_algorithm=algorithm, **members)
            assert caught.value.message == f"Algorithm {told} is incompatible with key spec {spec}."


async def test_no_context_goes_with_rsa(service: Service) -> None:
    """There is nothing to bind a context to, so one is refused rather than ignored; an empty one is none."""
    key = (await rsa_key(service)).key_id
    symmetric = (await service.create_key()).key_id
    named = {"key_id": key, "encryption_algorithm": SHA_256}
    blob = (await service.call("Encrypt", plaintext=b"t", encryption_context={}, **named)).ciphertext_blob
    sealed = (await service.call("Encrypt", key_id=symmetric, plaintext=b"t")).ciphertext_blob
    context = {"a": "b"}
    from_rsa = {"source_key_id": key, "source_encryption_algorithm": SHA_256, "ciphertext_blob": blob}
    to_rsa = {"destination_key_id": key, "destination_encryption_algorithm": SHA_256}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("Encrypt", {"plaintext": b"t", "encryption_context": context, **named}),
        ("Decrypt", {"ciphertext_blob": blob, "encryption_context": context, **named}),
        ("ReEncrypt", {**from_rsa, "destination_key_id": symmetric, "source_encryption_context": context}),
        ("ReEncrypt", {**to_rsa, "ciphertext_blob": sealed, "destination_encryption_context": context}),
    ]
    for operation, members in requests:
        with pytest.raises(ValidationException) as caught:
            await service.call(operation, **members)
        assert caught.value.message == (
            "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
        )


async def test_the_ciphertext_names_no_key(service: Service) -> None:
    """Without a KeyId an RSA ciphertext belongs to nobody; with its algorithm the request is told why."""
    key = (await rsa_key(service)).key_id
    symmetric = (await service.create_key()).key_id
    blob = (
        await service.call("Encrypt", key_id=key, plaintext=b"t", encryption_algorithm=SHA_256)
    ).ciphertext_blob
    with pytest.raises(InvalidCiphertextException):
        await service.call("Decrypt", ciphertext_blob=blob)
    with pytest.raises(ValidationException, match=r"^KeyId is required"):
        await service.call("Decrypt", ciphertext_blob=blob, encryption_algorithm=SHA_256)
    with pytest.raises(ValidationException, match=r"^SourceKeyId is required"):
        await service.call(
            "ReEncrypt",
            ciphertext_blob=blob,
            source_encryption_algorithm=SHA_256,
            destination_key_id=symmetric,
        )


async def test_re_encrypt_between_kinds(service: Service) -> None:
    """From symmetric to RSA, from RSA to RSA, and back to symmetric: the plaintext stays the same."""
    symmetric = await service.create_key()
    small, large = await rsa_key(service), await rsa_key(service, KeySpec.RSA_3072)
    context = {"a": "b"}
    first = await service.call("Encrypt", key_id=symmetric.key_id, plaintext=b"t", encryption_context=context)
    to_small = {"destination_key_id": small.key_id, "destination_encryption_algorithm": SHA_256}
    second = await service.call(
        "ReEncrypt", ciphertext_blob=first.ciphertext_blob, source_encryption_context=context, **to_small
    )
    assert second.source_key_material_id == symmetric.current_key_material_id
    assert second.destination_key_material_id is None
    assert (second.source_encryption_algorithm, second.destination_encryption_algorithm) == (
        "SYMMETRIC_DEFAULT",
        SHA_256,
    )
    from_small = {"source_key_id": small.key_id, "source_encryption_algorithm": SHA_256}
    third = await service.call(
        "ReEncrypt",
        ciphertext_blob=second.ciphertext_blob,
        destination_key_id=large.key_id,
        destination_encryption_algorithm=SHA_1,
        **from_small,
    )
    assert (third.source_key_id, third.key_id) == (small.arn, large.arn)
    assert (third.source_key_material_id, third.destination_key_material_id) == (None, None)
    fourth = await service.call(
        "ReEncrypt",
        ciphertext_blob=third.ciphertext_blob,
        source_key_id=large.key_id,
        source_encryption_algorithm=SHA_1,
        destination_key_id=symmetric.key_id,
        destination_encryption_context=context,
    )
    opened = await service.call("Decrypt", ciphertext_blob=fourth.ciphertext_blob, encryption_context=context)
    assert opened.plaintext == b"t"
    long = await service.call("Encrypt", key_id=symmetric.key_id, plaintext=bytes(191))
    with pytest.raises(ValidationException, match="larger than 190 bytes"):
        await service.call("ReEncrypt", ciphertext_blob=long.ciphertext_blob, **to_small)


async def test_order_of_checks(service: Service) -> None:
    """State, algorithm, size, DryRun: the first that fails is told."""
    key = await rsa_key(service)
    good = {"key_id": key.key_id, "encryption_algorithm": SHA_256, "plaintext": b"t", "dry_run": True}
    long = good | {"plaintext": bytes(191)}
    wrong = long | {"encryption_algorithm": "SYMMETRIC_DEFAULT"}
    for members, error in (
        (good, DryRunOperationException),
        (long, ValidationException),
        (wrong, InvalidKeyUsageException),
    ):
        with pytest.raises(error):
            await service.call("Encrypt", **members)
    for state, error in (
        (KeyState.DISABLED, DisabledException),
        (KeyState.PENDING_DELETION, KMSInvalidStateException),
    ):
        service.force(key.key_id, state)
        with pytest.raises(error):
            await service.call("Encrypt", **wrong)


async def test_whoever_has_the_public_key_can_encrypt(service: Service) -> None:
    """A disabled key encrypts nowhere but with the public key that somebody has already."""
    key = await rsa_key(service)
    public_key = load_der_public_key((await service.call("GetPublicKey", key_id=key.key_id)).public_key)
    assert isinstance(public_key, RSAPublicKey)
    blob = public_key.encrypt(b"t", OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None))
    service.force(key.key_id, KeyState.DISABLED)
    named = {"key_id": key.key_id, "encryption_algorithm": SHA_256}
    with pytest.raises(DisabledException):
        await service.call("Decrypt", ciphertext_blob=blob, **named)
    service.force(key.key_id, KeyState.ENABLED)
    assert (await service.call("Decrypt", ciphertext_blob=blob, **named)).plaintext == b"t"
