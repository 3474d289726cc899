"""Signatures go both ways: the agent's verify outside, and those from outside verify here."""

import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA65PrivateKey,
    MLDSA87PrivateKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)

import outsiders
from agent.api.enums import KeySpec, KeyUsage, SigningAlgorithmSpec
from agent.api.errors import KMSInvalidSignatureException
from agent.crypto.specs import SIGNING_ALGORITHMS
from importing import import_key
from services import Service

MESSAGE = b"what is signed here must verify there"
SIGN = KeyUsage.SIGN_VERIFY
ML_DSA = {
    KeySpec.ML_DSA_44: MLDSA44PrivateKey,
    KeySpec.ML_DSA_65: MLDSA65PrivateKey,
    KeySpec.ML_DSA_87: MLDSA87PrivateKey,
}
GENERATION = {
    KeySpec.RSA_2048: ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    KeySpec.RSA_3072: ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"),
    KeySpec.RSA_4096: ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"),
    KeySpec.ECC_NIST_P256: ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    KeySpec.ECC_NIST_P384: ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    KeySpec.ECC_NIST_P521: ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    KeySpec.ECC_SECG_P256K1: ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
    KeySpec.ECC_NIST_EDWARDS25519: ("-algorithm", "ED25519"),
}
"""How openssl makes a key of each spec that it has; openssl 3.0 has no ML-DSA."""

SHOWN = {
    KeySpec.RSA_2048: "Public-Key: (2048 bit)",
    KeySpec.RSA_3072: "Public-Key: (3072 bit)",
    KeySpec.RSA_4096: "Public-Key: (4096 bit)",
    KeySpec.ECC_NIST_P256: "Public-Key: (256 bit)",
    KeySpec.ECC_NIST_P384: "Public-Key: (384 bit)",
    KeySpec.ECC_NIST_P521: "Public-Key: (521 bit)",
    KeySpec.ECC_SECG_P256K1: "Public-Key: (256 bit)",
    KeySpec.ECC_NIST_EDWARDS25519: "ED25519 Public-Key:",
}
"""What openssl says of a public key of each spec."""


def openssl_algorithms(spec: KeySpec) -> list[SigningAlgorithmSpec]:
    """Return what openssl 3.0 can do of a spec's algorithms."""
    return [name for name in SIGNING_ALGORITHMS[spec] if name is not SigningAlgorithmSpec.ED25519_PH_SHA_512]


@pytest.mark.parametrize("spec", GENERATION)
async def test_openssl_verifies_the_agents_signatures(
    service: Service, tmp_path: Path, spec: KeySpec
) -> None:
    """Of a message and of its digest alike, with the public key that GetPublicKey gives out."""
    key = (await service.create_key(key_spec=spec, key_usage=SIGN)).key_id
    answer = await service.call("GetPublicKey", key_id=key)
    public_key, _ = outsiders.read_public_key(tmp_path, answer.public_key)
    for algorithm in openssl_algorithms(spec):
        named = {"key_id": key, "signing_algorithm": algorithm}
        signature = (await service.call("Sign", message=MESSAGE, **named)).signature
        assert outsiders.verifies(tmp_path, public_key, algorithm, MESSAGE, signature)
        assert not outsiders.verifies(tmp_path, public_key, algorithm, MESSAGE + b"x", signature)
        if algorithm is not SigningAlgorithmSpec.ED25519_SHA_512:
            digest = hashlib.new(f"sha{algorithm.rpartition('_')[2]}", MESSAGE).digest()
            signature = (await service.call("Sign", message=digest, message_type="DIGEST", **named)).signature
            assert outsiders.verifies(tmp_path, public_key, algorithm, MESSAGE, signature)


@pytest.mark.parametrize("spec", GENERATION)
async def test_the_agent_verifies_openssls_signatures(
    service: Service, tmp_path: Path, spec: KeySpec
) -> None:
    """With openssl's own key brought in; a changed message does not verify."""
    private_key, plaintext = outsiders.new_private_key(tmp_path, *GENERATION[spec])
    key = (await import_key(service, plaintext, spec, SIGN)).key_id
    for algorithm in openssl_algorithms(spec):
        signature = outsiders.sign(tmp_path, private_key, algorithm, MESSAGE)
        request = {"key_id": key, "signing_algorithm": algorithm, "signature": signature}
        answer = await service.call("Verify", message=MESSAGE, **request)
        assert (answer.signature_valid, answer.signing_algorithm) == (True, algorithm)
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", message=MESSAGE + b"x", **request)


@pytest.mark.parametrize("spec", GENERATION)
async def test_openssl_reads_keys(service: Service, tmp_path: Path, spec: KeySpec) -> None:
    """Both halves of a pair are DER that openssl reads, and they belong together."""
    made = await service.create_key(key_spec=spec, key_usage=SIGN)
    public_key = (await service.call("GetPublicKey", key_id=made.key_id)).public_key
    pem, text = outsiders.read_public_key(tmp_path, public_key)
    assert text.startswith(SHOWN[spec])
    private = tmp_path / "private.der"
    (material,) = service.kms.store.materials("local", made.key_id)
    private.write_bytes(service.kms.barrier.unwrap_material(material))
    derived = outsiders.openssl("pkey", "-inform", "DER", "-in", private, "-pubout").stdout
    assert derived == pem.read_bytes()


@pytest.mark.parametrize("spec", ML_DSA)
async def test_ml_dsa_both_ways(service: Service, spec: KeySpec) -> None:
    """ML-DSA, which openssl 3.0 lacks, with the library; keys are 32-byte seeds inside."""
    private = ML_DSA[spec].generate()
    plaintext = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = (await import_key(service, plaintext, spec, SIGN)).key_id
    named = {"key_id": key, "signing_algorithm": SigningAlgorithmSpec.ML_DSA_SHAKE_256, "message": MESSAGE}
    assert (await service.call("Verify", signature=private.sign(MESSAGE), **named)).signature_valid
    with pytest.raises(KMSInvalidSignatureException):
        await service.call("Verify", signature=private.sign(MESSAGE, b"a context"), **named)
    signature = (await service.call("Sign", **named)).signature
    private.public_key().verify(signature, MESSAGE)
    made = await service.create_key(key_spec=spec, key_usage=SIGN)
    (material,) = service.kms.store.materials("local", made.key_id)
    inside = load_der_private_key(service.kms.barrier.unwrap_material(material), None)
    assert isinstance(inside, ML_DSA[spec])
    given = load_der_public_key((await service.call("GetPublicKey", key_id=made.key_id)).public_key)
    assert inside.public_key() == given
    assert len(inside.private_bytes_raw()) == 32


async def test_ed25519ph_both_ways(service: Service) -> None:
    """AWS hashes the digest again: what is signed is the digest as a message, by the book of RFC 8032."""
    made = await service.create_key(key_spec=KeySpec.ECC_NIST_EDWARDS25519, key_usage=SIGN)
    public_key = load_der_public_key((await service.call("GetPublicKey", key_id=made.key_id)).public_key)
    assert isinstance(public_key, ed25519.Ed25519PublicKey)
    digest = hashlib.sha512(MESSAGE).digest()
    named = {
        "key_id": made.key_id,
        "signing_algorithm": SigningAlgorithmSpec.ED25519_PH_SHA_512,
        "message": digest,
        "message_type": "DIGEST",
    }
    signature = (await service.call("Sign", **named)).signature
    raw = public_key.public_bytes_raw()
    assert outsiders.verifies_ed25519ph(raw, digest, signature)
    assert not outsiders.verifies_ed25519ph(raw, MESSAGE, signature)
    assert (await service.call("Verify", signature=signature, **named)).signature_valid
    with pytest.raises(InvalidSignature):
        public_key.verify(signature, digest)
    with pytest.raises(KMSInvalidSignatureException):
        await service.call("Verify", signature=signature[:-1], **named)


@pytest.mark.parametrize("bits", [256, 384, 512])
async def test_pss_salt_is_as_long_as_the_digest(service: Service, bits: int) -> None:
    """The salt has exactly the digest's length in both directions: longest or none is refused."""
    private = rsa.generate_private_key(65537, 2048)
    plaintext = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = (await import_key(service, plaintext, KeySpec.RSA_2048, SIGN)).key_id
    digest: hashes.HashAlgorithm = getattr(hashes, f"SHA{bits}")()
    named = {"key_id": key, "signing_algorithm": f"RSASSA_PSS_SHA_{bits}", "message": MESSAGE}
    signature = (await service.call("Sign", **named)).signature
    exact = padding.PSS(padding.MGF1(digest), bits // 8)
    private.public_key().verify(signature, MESSAGE, exact, digest)
    for length in (0, bits // 8 - 1, padding.PSS.MAX_LENGTH):
        other = private.sign(MESSAGE, padding.PSS(padding.MGF1(digest), length), digest)
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", signature=other, **named)


async def test_ecdsa_signatures_are_strict_der(service: Service) -> None:
    """Encodings that lenient verifiers take, and values out of range, are all invalid signatures."""
    private = ec.generate_private_key(ec.SECP256R1())
    plaintext = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = (await import_key(service, plaintext, KeySpec.ECC_NIST_P256, SIGN)).key_id
    named = {"key_id": key, "signing_algorithm": "ECDSA_SHA_256", "message": MESSAGE}
    good = private.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert (await service.call("Verify", signature=good, **named)).signature_valid
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r_size = good[3]
    r, s = good[4 : 4 + r_size], good[6 + r_size :]
    for wrong in (
        good + b"\0",  # bytes after the end
        good[:-1],
        b"\x30\x81" + good[1:],  # length in the long form
        b"\x31" + good[1:],  # not a sequence
        der(b"\0" + r, s),  # r with a needless zero
        der(r, b"\0" + s),
        der(b"\0", s),  # r = 0
        der(r, b"\0"),  # s = 0
        der(integer(int.from_bytes(r) + order), s),  # r + n
        der(r, integer(int.from_bytes(s) + order)),
        der(integer(order - int.from_bytes(r)), s),
        der(s, r),
        r.rjust(32, b"\0")[-32:] + s.rjust(32, b"\0")[-32:],  # IEEE P1363 instead of DER
        b"\x30\x06\x02\x01\x01\x02\x01\x01",
        b"\x30\x00",
    ):
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", signature=wrong, **named)


def der(r: bytes, s: bytes) -> bytes:
    """Return a sequence of two integers, given by their contents."""
    content = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + bytes([len(content)]) + content


def integer(value: int) -> bytes:
    """Return the contents of a positive DER integer."""
    return value.to_bytes(value.bit_length() // 8 + 1)
