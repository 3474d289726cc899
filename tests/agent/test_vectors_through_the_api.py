"""Published vectors through the API: their private keys are imported, then sign and verify as published."""

from itertools import islice

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import outsiders
import published
from agent.api.enums import KeySpec, KeyUsage
from agent.api.errors import KMSInvalidSignatureException
from agent.crypto import ecc, keypairs, mldsa
from agent.crypto.keypairs import PrivateKey
from importing import import_key
from services import Service

SIGN = KeyUsage.SIGN_VERIFY
ECDSA = "asymmetric/ECDSA"
CURVES = [
    (f"{ECDSA}/FIPS_186-3/SigGen.txt", "P-256,SHA-256", KeySpec.ECC_NIST_P256, "ECDSA_SHA_256"),
    (f"{ECDSA}/FIPS_186-3/SigGen.txt", "P-384,SHA-384", KeySpec.ECC_NIST_P384, "ECDSA_SHA_384"),
    (f"{ECDSA}/FIPS_186-3/SigGen.txt", "P-521,SHA-512", KeySpec.ECC_NIST_P521, "ECDSA_SHA_512"),
    (f"{ECDSA}/SECP256K1/SigGen.txt", "K-256,SHA-256", KeySpec.ECC_SECG_P256K1, "ECDSA_SHA_256"),
]


async def bring(service: Service, spec: KeySpec, private_key: PrivateKey) -> str:
    """Import a private key of the test's; return the id of its key."""
    return (await import_key(service, keypairs.encode(private_key).private_key, spec, SIGN)).key_id


@pytest.mark.parametrize(("name", "section", "spec", "algorithm"), CURVES)
async def test_ecdsa(service: Service, name: str, section: str, spec: KeySpec, algorithm: str) -> None:
    """NIST's signatures by each key verify; the public key is the one that belongs to it."""
    cases = (case for found, case in published.cases(name, last="S") if found == section)
    count = 0
    for case in islice(cases, 5):
        x, y, secret, r, s = (int(case[part], 16) for part in ("Qx", "Qy", "d", "R", "S"))
        point = ec.EllipticCurvePublicNumbers(x, y, ecc.CURVES[spec])
        key = await bring(service, spec, ec.EllipticCurvePrivateNumbers(secret, point).private_key())
        public_key = (await service.call("GetPublicKey", key_id=key)).public_key
        assert public_key == keypairs.encode_public(point.public_key())
        request = {"key_id": key, "signing_algorithm": algorithm, "signature": encode_dss_signature(r, s)}
        message = bytes.fromhex(case["Msg"])
        assert (await service.call("Verify", message=message, **request)).signature_valid
        with pytest.raises(KMSInvalidSignatureException):
            await service.call("Verify", message=message[:-1], **request)
        count += 1
    assert count == 5


@pytest.mark.parametrize("bits", [2048, 3072])
async def test_rsa_pkcs1(service: Service, bits: int) -> None:
    """NIST's keys give NIST's signatures, to the byte; what NIST says is wrong is invalid."""
    keys: dict[str, str] = {}
    valid = {"F": 0, "P": 0}
    for section, case in published.cases("asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp", last="Result"):
        # Its private exponents belong to another e in the cases where e was changed.
        if section != f"mod = {bits}" or case["SHAAlg"] == "SHA1" or case["Result"].startswith("F (2"):
            continue
        if case["SHAAlg"] == "SHA224":
            continue
        if case["d"] not in keys:
            keys[case["d"]] = await bring(service, KeySpec(f"RSA_{bits}"), rsa_key(case))
        named = {
            "key_id": keys[case["d"]],
            "signing_algorithm": f"RSASSA_PKCS1_V1_5_SHA_{case['SHAAlg'][3:]}",
            "message": bytes.fromhex(case["Msg"]),
        }
        signature = bytes.fromhex(case["S"])
        valid[case["Result"][0]] += 1
        if case["Result"] == "P":
            assert (await service.call("Sign", **named)).signature == signature
            assert (await service.call("Verify", signature=signature, **named)).signature_valid
        else:
            assert (await service.call("Sign", **named)).signature != signature
            with pytest.raises(KMSInvalidSignatureException):
                await service.call("Verify", signature=signature, **named)
    assert min(valid.values()) >= 3


def rsa_key(case: published.Case) -> rsa.RSAPrivateKey:
    """Return the key of a case."""
    p, q, d, e, n = (int(case[part], 16) for part in ("p", "q", "d", "e", "n"))
    return rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, n)
    ).private_key()


async def test_ed25519(service: Service) -> None:
    """The keys of Ed25519's authors give their signatures, to the byte."""
    for line in islice(published.text("asymmetric/Ed25519/sign.input").split(), 1, 1024, 64):
        secret, _, message, signed = line.split(":")[:4]
        private_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)[:32])
        key = await bring(service, KeySpec.ECC_NIST_EDWARDS25519, private_key)
        named = {"key_id": key, "signing_algorithm": "ED25519_SHA_512", "message": bytes.fromhex(message)}
        signature = (await service.call("Sign", **named)).signature
        assert signature == bytes.fromhex(signed)[:64]
        assert (await service.call("Verify", signature=signature, **named)).signature_valid


@pytest.mark.parametrize("size", [44, 65, 87])
async def test_ml_dsa(service: Service, size: int) -> None:
    """Seeds give the published public keys, whose published signatures verify by their mu."""
    spec = KeySpec(f"ML_DSA_{size}")
    cases = published.cases(f"asymmetric/MLDSA/kat_MLDSA_{size}_det_pure.rsp", last="ctx")
    for _, case in islice(cases, 3):
        seed, public_key, message, signed, context = (
            bytes.fromhex(case[part]) for part in ("xi", "pk", "msg", "sm", "ctx")
        )
        key = await bring(service, spec, mldsa.PRIVATE_KEYS[spec].from_seed_bytes(seed))
        assert (await service.call("GetPublicKey", key_id=key)).public_key.endswith(public_key)
        answer = await service.call(
            "Verify",
            key_id=key,
            signing_algorithm="ML_DSA_SHAKE_256",
            message_type="EXTERNAL_MU",
            message=outsiders.external_mu(public_key, message, context),
            signature=signed[: len(signed) - len(message)],
        )
        assert answer.signature_valid
