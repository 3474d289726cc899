"""Signatures, MACs and RSA encryption against published vectors, through the agent's own functions."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa as numbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import outsiders
import published
from agent.api.enums import (
    EncryptionAlgorithmSpec,
    KeySpec,
    MacAlgorithmSpec,
    MessageType,
    SigningAlgorithmSpec,
)
from agent.api.errors import InvalidCiphertextException, KMSInvalidMacException, KMSInvalidSignatureException
from agent.crypto import ecc, mac, mldsa, rsa
from agent.crypto.keypairs import PrivateKey, PublicKey
from agent.crypto.signatures import SCHEMES

RAW, DIGEST, MU = MessageType.RAW, MessageType.DIGEST, MessageType.EXTERNAL_MU


def accepts(
    algorithm: SigningAlgorithmSpec, key: PublicKey, kind: MessageType, message: bytes, signature: bytes
) -> bool:
    """Return whether the scheme takes the signature."""
    try:
        SCHEMES[algorithm].verify(key, kind, message, signature)
    except KMSInvalidSignatureException:
        return False
    return True


@pytest.mark.parametrize("digest", ["SHA256", "SHA384", "SHA512"])
def test_rsa_pkcs1_verification(digest: str) -> None:
    """FIPS 186-3 SigVer: good signatures pass; changed messages, keys, signatures and encodings do not."""
    algorithm = SigningAlgorithmSpec(f"RSASSA_PKCS1_V1_5_SHA_{digest[3:]}")
    results = []
    for section, case in published.cases("asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp", last="Result"):
        if case["SHAAlg"] != digest or section == "mod = 1024":
            continue
        key = numbers.RSAPublicNumbers(int(case["e"], 16), int(case["n"], 16)).public_key()
        message, signature = bytes.fromhex(case["Msg"]), bytes.fromhex(case["S"])
        accepted = accepts(algorithm, key, RAW, message, signature)
        digested = hashlib.new(digest.lower(), message).digest()
        assert accepted == accepts(algorithm, key, DIGEST, digested, signature)
        assert accepted == (case["Result"] == "P")
        results.append(accepted)
    assert {True, False} == set(results)
    assert len(results) == 72


CURVES = [
    ("P-256", "SHA-256", KeySpec.ECC_NIST_P256, SigningAlgorithmSpec.ECDSA_SHA_256),
    ("P-384", "SHA-384", KeySpec.ECC_NIST_P384, SigningAlgorithmSpec.ECDSA_SHA_384),
    ("P-521", "SHA-512", KeySpec.ECC_NIST_P521, SigningAlgorithmSpec.ECDSA_SHA_512),
]


@pytest.mark.parametrize(("curve", "digest", "spec", "algorithm"), CURVES)
def test_ecdsa_verification(curve: str, digest: str, spec: KeySpec, algorithm: SigningAlgorithmSpec) -> None:
    """FIPS 186-3 SigVer on each curve: good signatures pass, changed ones do not."""
    results = []
    for section, case in published.cases("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", last="Result"):
        if section != f"{curve},{digest}":
            continue
        key = public_point(spec, case)
        signature = encode_dss_signature(int(case["R"], 16), int(case["S"], 16))
        message = bytes.fromhex(case["Msg"])
        accepted = accepts(algorithm, key, RAW, message, signature)
        digested = hashlib.new(digest.replace("-", "").lower(), message).digest()
        assert accepted == accepts(algorithm, key, DIGEST, digested, signature)
        assert accepted == case["Result"].startswith("P")
        results.append(accepted)
    assert {True, False} == set(results)
    assert len(results) == 15


def test_ecdsa_on_secp256k1() -> None:
    """Signatures made by another implementation on secp256k1 with SHA-256 pass."""
    count = 0
    for section, case in published.cases("asymmetric/ECDSA/SECP256K1/SigGen.txt", last="S"):
        if section != "K-256,SHA-256":
            continue
        signature = encode_dss_signature(int(case["R"], 16), int(case["S"], 16))
        key, message = public_point(KeySpec.ECC_SECG_P256K1, case), bytes.fromhex(case["Msg"])
        assert accepts(SigningAlgorithmSpec.ECDSA_SHA_256, key, RAW, message, signature)
        assert not accepts(SigningAlgorithmSpec.ECDSA_SHA_256, key, RAW, message + b"x", signature)
        count += 1
    assert count == 225


def public_point(spec: KeySpec, case: published.Case) -> ec.EllipticCurvePublicKey:
    """Return the public key of a case."""
    x, y = int(case["Qx"], 16), int(case["Qy"], 16)
    return ec.EllipticCurvePublicNumbers(x, y, ecc.CURVES[spec]).public_key()


def test_ed25519() -> None:
    """The 1024 cases of the authors of Ed25519: the very same signature, which passes, and no other."""
    algorithm = SigningAlgorithmSpec.ED25519_SHA_512
    lines = published.text("asymmetric/Ed25519/sign.input").split()
    for line in lines:
        secret, _, message_hex, signed = line.split(":")[:4]
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)[:32])
        message, signature = bytes.fromhex(message_hex), bytes.fromhex(signed)[:64]
        assert SCHEMES[algorithm].sign(key, RAW, message) == signature
        assert accepts(algorithm, key.public_key(), RAW, message, signature)
        assert not accepts(algorithm, key.public_key(), RAW, message + b"x", signature)
    assert len(lines) == 1024


@pytest.mark.parametrize("size", [44, 65, 87])
def test_ml_dsa(size: int) -> None:
    """Keys from their seeds, and signatures with a context, which pass as those of mu (FIPS 204, 6.2)."""
    algorithm, spec = SigningAlgorithmSpec.ML_DSA_SHAKE_256, KeySpec(f"ML_DSA_{size}")
    count = 0
    for _, case in published.cases(f"asymmetric/MLDSA/kat_MLDSA_{size}_det_pure.rsp", last="ctx"):
        values = {name: bytes.fromhex(case[name]) for name in ("xi", "pk", "msg", "sm", "ctx")}
        key = mldsa.PRIVATE_KEYS[spec].from_seed_bytes(values["xi"])
        assert key.public_key().public_bytes_raw() == values["pk"]
        signature = values["sm"][: len(values["sm"]) - len(values["msg"])]
        mu = outsiders.external_mu(values["pk"], values["msg"], values["ctx"])
        assert accepts(algorithm, key.public_key(), MU, mu, signature)
        assert not accepts(algorithm, key.public_key(), MU, mu[::-1], signature)
        count += 1
    assert count == 100


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_hmac(bits: int) -> None:
    """RFC 4231: the very same MAC, which passes, and no other."""
    algorithm = MacAlgorithmSpec(f"HMAC_SHA_{bits}")
    count = 0
    for _, case in published.cases(f"HMAC/rfc-4231-sha{bits}.txt", last="MD"):
        key, message, code = (bytes.fromhex(case[name]) for name in ("Key", "Msg", "MD"))
        assert mac.generate(algorithm, key, message) == code
        mac.verify(algorithm, key, message, code)
        for wrong in (code[:-1], code + b"\0", bytes([code[0] ^ 1]) + code[1:], b"\0"):
            with pytest.raises(KMSInvalidMacException):
                mac.verify(algorithm, key, message, wrong)
        count += 1
    assert count == 6


OAEP = [
    ("pkcs-1v2-1d2-vec/oaep-vect.txt", EncryptionAlgorithmSpec.RSAES_OAEP_SHA_1),
    ("oaep-custom/oaep-sha256-sha256.txt", EncryptionAlgorithmSpec.RSAES_OAEP_SHA_256),
]


@pytest.mark.parametrize(("name", "algorithm"), OAEP)
def test_rsa_oaep_decryption(name: str, algorithm: EncryptionAlgorithmSpec) -> None:
    """What others encrypted decrypts; with a bit changed it says nothing but that it is invalid."""
    count, values, key = 0, dict[str, bytes](), None
    for label, value in published.labelled(f"asymmetric/RSA/{name}"):
        values[label.lower()] = value
        if label.lower() == "coefficient":
            key = private_key(values, value)
        elif label == "Encryption":
            assert key is not None
            assert rsa.decrypt(key, algorithm, value) == values["message"]
            with pytest.raises(InvalidCiphertextException) as caught:
                rsa.decrypt(key, algorithm, value[:-1] + bytes([value[-1] ^ 1]))
            assert caught.value.message == ""
            count += 1
    assert count == 60


def private_key(values: dict[str, bytes], coefficient: bytes) -> PrivateKey:
    """Return the RSA key whose parts were read last."""
    whole = {label: int.from_bytes(value) for label, value in values.items()}
    return numbers.RSAPrivateNumbers(
        whole["prime 1"],
        whole["prime 2"],
        whole["exponent"],
        whole["prime exponent 1"],
        whole["prime exponent 2"],
        int.from_bytes(coefficient),
        numbers.RSAPublicNumbers(whole.get("public exponent", 65537), whole["modulus"]),
    ).private_key(unsafe_skip_rsa_key_validation=True)
