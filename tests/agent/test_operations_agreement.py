"""Shared secrets, through the pipeline: ECDH against openssl, ML-KEM against the library, and refusals."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

import outsiders
from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    DisabledException,
    DryRunOperationException,
    InvalidCiphertextException,
    InvalidKeyUsageException,
    ValidationException,
)
from agent.api.shapes.keys import KeyMetadata
from enclaves import enclave_key, spki
from importing import import_key
from services import Service

CURVES = {
    KeySpec.ECC_NIST_P256: ("P-256", ec.SECP256R1(), 32),
    KeySpec.ECC_NIST_P384: ("P-384", ec.SECP384R1(), 48),
    KeySpec.ECC_NIST_P521: ("P-521", ec.SECP521R1(), 66),
}
ML_KEM = {KeySpec.ML_KEM_768: 1088, KeySpec.ML_KEM_1024: 1568}
P256_PREFIX = "3059301306072a8648ce3d020106082a8648ce3d030107034200"


async def ecdh_key(service: Service, spec: KeySpec = KeySpec.ECC_NIST_P256) -> KeyMetadata:
    """Make a key that agrees on secrets."""
    return await service.create_key(key_spec=spec, key_usage=KeyUsage.KEY_AGREEMENT)


async def kem_key(service: Service, spec: KeySpec = KeySpec.ML_KEM_768) -> KeyMetadata:
    """Make a key that encapsulates secrets."""
    return await service.create_key(key_spec=spec, key_usage=KeyUsage.ENCAPSULATE_DECAPSULATE)


async def public_key_of(service: Service, key: KeyMetadata) -> bytes:
    """Return a key's public half."""
    answer = await service.call("GetPublicKey", key_id=key.key_id)
    public_key: bytes = answer.public_key
    return public_key


def derivation(key: KeyMetadata, public_key: bytes) -> dict[str, Any]:
    """Return the members of a DeriveSharedSecret."""
    return {"key_id": key.key_id, "key_agreement_algorithm": "ECDH", "public_key": public_key}


@pytest.mark.parametrize("spec", CURVES)
async def test_two_kms_keys_agree(service: Service, spec: KeySpec) -> None:
    """Each key with the other's public half gives the same secret, as long as the field."""
    one, other = await ecdh_key(service, spec), await ecdh_key(service, spec)
    first = await service.call("DeriveSharedSecret", **derivation(one, await public_key_of(service, other)))
    second = await service.call("DeriveSharedSecret", **derivation(other, await public_key_of(service, one)))
    assert first.shared_secret == second.shared_secret
    assert len(first.shared_secret) == CURVES[spec][2]
    assert (first.key_id, first.key_agreement_algorithm, first.key_origin) == (one.arn, "ECDH", "AWS_KMS")
    itself = await service.call("DeriveSharedSecret", **derivation(one, await public_key_of(service, one)))
    assert itself.shared_secret != first.shared_secret


@pytest.mark.parametrize("spec", CURVES)
async def test_openssl_agrees(service: Service, spec: KeySpec, tmp_path: Path) -> None:
    """openssl, with its own private key and the KMS key's public half, gets the same secret."""
    name = CURVES[spec][0]
    private, _ = outsiders.new_private_key(
        tmp_path, "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{name}"
    )
    theirs = outsiders.openssl("pkey", "-in", private, "-pubout", "-outform", "DER").stdout
    key = await ecdh_key(service, spec)
    ours, _ = outsiders.read_public_key(tmp_path, await public_key_of(service, key))
    expected = outsiders.openssl("pkeyutl", "-derive", "-inkey", private, "-peerkey", ours).stdout
    answer = await service.call("DeriveSharedSecret", **derivation(key, theirs))
    assert answer.shared_secret == expected


async def test_an_imported_key_says_so(service: Service, tmp_path: Path) -> None:
    """A key of the caller's own agrees as it did outside, and its origin is told."""
    private, pkcs8 = outsiders.new_private_key(
        tmp_path, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"
    )
    key = await import_key(service, pkcs8, KeySpec.ECC_NIST_P256, KeyUsage.KEY_AGREEMENT)
    peer = await ecdh_key(service)
    theirs, _ = outsiders.read_public_key(tmp_path, await public_key_of(service, peer))
    answer = await service.call("DeriveSharedSecret", **derivation(key, await public_key_of(service, peer)))
    assert answer.key_origin == "EXTERNAL"
    assert answer.shared_secret == (
        outsiders.openssl("pkeyutl", "-derive", "-inkey", private, "-peerkey", theirs).stdout
    )


@pytest.mark.parametrize("spec", CURVES)
async def test_a_compressed_point_is_the_same_key(service: Service, spec: KeySpec, tmp_path: Path) -> None:
    """RFC 5480 allows both forms of a point, so both give the same secret."""
    key = await ecdh_key(service, spec)
    peer = spki(ec.generate_private_key(CURVES[spec][1]))
    compressed = converted(tmp_path, peer, "-conv_form", "compressed")
    assert len(compressed) < len(peer)
    answers = {
        (await service.call("DeriveSharedSecret", **derivation(key, form))).shared_secret
        for form in (peer, compressed)
    }
    assert len(answers) == 1


def converted(directory: Path, public_key: bytes, *form: str) -> bytes:
    """Have openssl write a public key in another form."""
    path = directory / "peer.der"
    path.write_bytes(public_key)
    reading = ("-pubin", "-inform", "DER", "-in", path, "-pubout", "-outform", "DER")
    return outsiders.openssl("ec", *reading, *form).stdout


async def test_public_keys_that_are_none(service: Service, tmp_path: Path) -> None:
    """Another curve or kind, a point off the curve or at infinity, and every other spelling: refused."""
    key = await ecdh_key(service)
    good = spki(ec.generate_private_key(ec.SECP256R1()))
    assert good.hex().startswith(P256_PREFIX)
    x25519 = X25519PrivateKey.generate().public_key()
    wrong = [
        b"x",
        good[:-1],
        good + b"\0",
        good[26:],
        good[:-1] + bytes([good[-1] ^ 1]),
        bytes.fromhex(P256_PREFIX + "04") + bytes(64),
        bytes.fromhex("3019301306072a8648ce3d020106082a8648ce3d03010703020000"),
        spki(ec.generate_private_key(ec.SECP384R1())),
        spki(ec.generate_private_key(ec.SECP256K1())),
        spki(enclave_key()),
        x25519.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        converted(tmp_path, good, "-conv_form", "hybrid"),
        converted(tmp_path, good, "-param_enc", "explicit"),
        await public_key_of(service, await kem_key(service)),
    ]
    for public_key in wrong:
        with pytest.raises(ValidationException, match="curve of the KMS key"):
            await service.call("DeriveSharedSecret", **derivation(key, public_key))


@pytest.mark.parametrize("spec", ML_KEM)
async def test_encapsulation_and_back(service: Service, spec: KeySpec) -> None:
    """What Encapsulate hides, Decapsulate recovers: 32 bytes, other ones each time."""
    key = await kem_key(service, spec)
    named = {"key_id": key.key_id, "encapsulation_algorithm": "ML_KEM"}
    made = [await service.call("Encapsulate", **named) for _ in range(3)]
    assert len({each.shared_secret for each in made}) == 3
    for each in made:
        assert len(each.shared_secret) == 32
        assert len(each.shared_secret_ciphertext_blob) == ML_KEM[spec]
        assert (each.key_id, each.encapsulation_algorithm) == (key.arn, "ML_KEM")
        blob = each.shared_secret_ciphertext_blob
        opened = await service.call("Decapsulate", shared_secret_ciphertext_blob=blob, **named)
        assert opened.shared_secret == each.shared_secret
        assert (opened.key_id, opened.encapsulation_algorithm) == (key.arn, "ML_KEM")


@pytest.mark.parametrize("spec", ML_KEM)
async def test_secrets_hidden_outside(service: Service, spec: KeySpec) -> None:
    """Whoever has the public key can share a secret with the KMS key."""
    key = await kem_key(service, spec)
    public_key = load_der_public_key(await public_key_of(service, key))
    assert isinstance(public_key, MLKEM768PublicKey | MLKEM1024PublicKey)
    secret, ciphertext = public_key.encapsulate()
    opened = await service.call(
        "Decapsulate",
        key_id=key.key_id,
        encapsulation_algorithm="ML_KEM",
        shared_secret_ciphertext_blob=ciphertext,
    )
    assert opened.shared_secret == secret


@pytest.mark.parametrize("spec", ML_KEM)
async def test_implicit_rejection(service: Service, spec: KeySpec) -> None:
    """A damaged or foreign ciphertext gives 32 other bytes, always the same; only the length is an error."""
    key, other = await kem_key(service, spec), await kem_key(service, spec)
    named = {"key_id": key.key_id, "encapsulation_algorithm": "ML_KEM"}
    made = await service.call("Encapsulate", **named)
    foreign = await service.call("Encapsulate", key_id=other.key_id, encapsulation_algorithm="ML_KEM")
    blob = made.shared_secret_ciphertext_blob
    wrong = [
        blob[:-1] + bytes([blob[-1] ^ 1]),
        bytes([blob[0] ^ 0x80]) + blob[1:],
        bytes(len(blob)),
        foreign.shared_secret_ciphertext_blob,
    ]
    secrets = set()
    for ciphertext in wrong:
        answers = {
            (
                await service.call("Decapsulate", shared_secret_ciphertext_blob=ciphertext, **named)
            ).shared_secret
            for _ in range(2)
        }
        assert len(answers) == 1
        secrets |= answers
    assert len(secrets) == len(wrong)
    assert {len(secret) for secret in secrets} == {32}
    assert not secrets & {made.shared_secret, foreign.shared_secret}
    sizes = {1, len(blob) - 1, len(blob) + 1, 6144, *ML_KEM.values()} - {len(blob)}
    for size in sizes:
        with pytest.raises(InvalidCiphertextException) as caught:
            await service.call("Decapsulate", shared_secret_ciphertext_blob=bytes(size), **named)
        assert caught.value.message == ""


async def cases(service: Service) -> list[tuple[str, KeyMetadata, dict[str, Any]]]:
    """Return each operation with a key and a request that succeeds."""
    ecdh, kem = await ecdh_key(service), await kem_key(service)
    named = {"key_id": kem.key_id, "encapsulation_algorithm": "ML_KEM"}
    blob = (await service.call("Encapsulate", **named)).shared_secret_ciphertext_blob
    return [
        ("DeriveSharedSecret", ecdh, derivation(ecdh, spki(ec.generate_private_key(ec.SECP256R1())))),
        ("Encapsulate", kem, named),
        ("Decapsulate", kem, named | {"shared_secret_ciphertext_blob": blob}),
    ]


async def test_order_of_checks(service: Service) -> None:
    """Permission, usage, state, what is wrong with the input, DryRun: the first that fails is told."""
    for operation, key, members in await cases(service):
        broken = dict(members)
        if operation == "DeriveSharedSecret":
            broken["public_key"] = b"x"
        if operation == "Decapsulate":
            broken["shared_secret_ciphertext_blob"] = b"x"
        dry = {"dry_run": True}
        with pytest.raises(DryRunOperationException):
            await service.call(operation, **members, **dry)
        if broken != members:
            with pytest.raises((ValidationException, InvalidCiphertextException)):
                await service.call(operation, **broken, **dry)
        service.force(key.key_id, KeyState.DISABLED)
        with pytest.raises(DisabledException):
            await service.call(operation, **broken, **dry)
        usage = service.key(key.key_id).key_usage
        service.force(key.key_id, key_usage=KeyUsage.SIGN_VERIFY)
        with pytest.raises(InvalidKeyUsageException):
            await service.call(operation, **broken, **dry)
        with pytest.raises(AccessDeniedException):
            await service.call(operation, service.callers.bob, **broken, **dry)
        service.force(key.key_id, KeyState.ENABLED, key_usage=usage)


async def test_secrets_stay_out_of_the_record(service: Service) -> None:
    """Neither a secret nor its ciphertext is in the audit log or in a representation."""
    for operation, _, members in await cases(service):
        answer = await service.call(operation, **members)
        secret = answer.shared_secret
        assert "shared_secret=" not in repr(answer)
        record = service.records()[-1]
        assert record["eventName"] == operation
        assert secret.hex() not in str(record)
        assert "sharedSecret" not in str(record)
