"""Shared secrets against published vectors: ECDH of NIST's CAVP, ML-KEM of FIPS 203 known-answer files."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import published
from agent.api.enums import KeySpec, KeyUsage
from agent.api.errors import ValidationException
from agent.crypto import agreement, ecc, keypairs, mlkem
from importing import import_key
from services import Service

ECDH = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_{}.fax"
SECTIONS = {
    "EC - SHA256": KeySpec.ECC_NIST_P256,
    "ED - SHA384": KeySpec.ECC_NIST_P384,
    "EE - SHA512": KeySpec.ECC_NIST_P521,
}
SIZES = {KeySpec.ECC_NIST_P256: 32, KeySpec.ECC_NIST_P384: 48, KeySpec.ECC_NIST_P521: 66}


def spki(spec: KeySpec, x: str, y: str) -> bytes:
    """Return a public key whether or not its point is on the curve."""
    size = SIZES[spec]
    valid = keypairs.encode_public(ec.generate_private_key(ecc.CURVES[spec]).public_key())
    return valid[: -2 * size] + b"".join(int(each, 16).to_bytes(size) for each in (x, y))


@pytest.mark.parametrize("role", ["init", "resp"])
def test_ecdh(role: str) -> None:
    """The right secret comes out; a peer's key that fails validation is refused; a changed secret differs."""
    seen: dict[str, int] = {}
    for section, case in published.cases(ECDH.format(role), last="Result"):
        spec = SECTIONS.get(section)
        reason = case["Result"].split("(", 1)[1].split(" ", 1)[0]
        if spec is None or reason in {"5", "6", "7"}:  # about the halves of the key's own pair
            continue
        key = ec.derive_private_key(int(case["dsIUT"], 16), ecc.CURVES[spec])
        peer, secret = spki(spec, case["QsCAVSx"], case["QsCAVSy"]), bytes.fromhex(case["Z"])
        seen[reason] = seen.get(reason, 0) + 1
        if reason in {"1", "2"}:
            with pytest.raises(ValidationException):
                agreement.derive(key, peer)
        else:
            derived = agreement.derive(key, peer)
            assert len(derived) == SIZES[spec]
            assert (derived == secret.rjust(SIZES[spec], b"\0")) == (reason != "8")
    assert seen.keys() == {"0", "1", "2", "8", "13"}
    assert sum(seen.values()) == 72


async def test_ecdh_of_imported_keys(service: Service) -> None:
    """One case of each curve through the API, with the private key imported as its owner would."""
    cases = {
        section: case
        for section, case in published.cases(ECDH.format("resp"), last="Result")
        if section in SECTIONS and case["Result"].startswith("P (0")
    }
    assert cases.keys() == SECTIONS.keys()
    for section, case in cases.items():
        spec = SECTIONS[section]
        key = ec.derive_private_key(int(case["dsIUT"], 16), ecc.CURVES[spec])
        pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        made = await import_key(service, pkcs8, spec, KeyUsage.KEY_AGREEMENT)
        answer = await service.call(
            "DeriveSharedSecret",
            key_id=made.key_id,
            key_agreement_algorithm="ECDH",
            public_key=spki(spec, case["QsCAVSx"], case["QsCAVSy"]),
        )
        assert answer.shared_secret == bytes.fromhex(case["Z"]).rjust(SIZES[spec], b"\0")


ML_KEM = [(768, KeySpec.ML_KEM_768), (1024, KeySpec.ML_KEM_1024)]


@pytest.mark.parametrize(("size", "spec"), ML_KEM)
def test_ml_kem(size: int, spec: KeySpec) -> None:
    """The public key of each seed, the secret of each ciphertext, and that of each one which is rejected."""
    count = 0
    for _, case in published.cases(f"asymmetric/MLKEM/kat_MLKEM_{size}.rsp", last="ss"):
        values = {name: bytes.fromhex(case[name]) for name in ("d", "z", "pk", "ct", "ss", "ct_n", "ss_n")}
        key = mlkem.PRIVATE_KEYS[spec].from_seed_bytes(values["d"] + values["z"])
        assert key.public_key().public_bytes_raw() == values["pk"]
        assert mlkem.decapsulate(key, values["ct"]) == values["ss"]
        assert mlkem.decapsulate(key, values["ct_n"]) == values["ss_n"]
        count += 1
    assert count >= 100


@pytest.mark.parametrize(("size", "spec"), ML_KEM)
async def test_ml_kem_of_imported_keys(service: Service, size: int, spec: KeySpec) -> None:
    """The first case through the API, with the seed imported as its owner would."""
    _, case = next(published.cases(f"asymmetric/MLKEM/kat_MLKEM_{size}.rsp", last="ss"))
    key = mlkem.PRIVATE_KEYS[spec].from_seed_bytes(bytes.fromhex(case["d"] + case["z"]))
    made = await import_key(service, keypairs.encode(key).private_key, spec, KeyUsage.ENCAPSULATE_DECAPSULATE)
    for ciphertext, secret in (("ct", "ss"), ("ct_n", "ss_n")):
        opened = await service.call(
            "Decapsulate",
            key_id=made.key_id,
            encapsulation_algorithm="ML_KEM",
            shared_secret_ciphertext_blob=bytes.fromhex(case[ciphertext]),
        )
        assert opened.shared_secret.hex() == case[secret]
