"""Key pairs: how they are made, tested, written and read."""

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from agent.api.enums import KeySpec, KeyUsage, MessageType, SigningAlgorithmSpec
from agent.api.errors import KMSInternalException, KMSInvalidSignatureException, UnsupportedOperationException
from agent.crypto import generation, keypairs, mlkem
from agent.crypto.generation import ConsistencyError, generate
from agent.crypto.keypairs import KeyPairError, load_private, load_public
from agent.crypto.signatures import SCHEMES
from agent.crypto.specs import SIGNING_ALGORITHMS, WITHOUT_PUBLIC_KEY
from services import Service

QUICK_PAIRS = [
    KeySpec.RSA_2048,
    KeySpec.ECC_NIST_P256,
    KeySpec.ECC_NIST_P384,
    KeySpec.ECC_NIST_P521,
    KeySpec.ECC_SECG_P256K1,
    KeySpec.ECC_NIST_EDWARDS25519,
    KeySpec.ML_DSA_44,
    KeySpec.ML_DSA_65,
    KeySpec.ML_DSA_87,
    KeySpec.ML_KEM_768,
    KeySpec.ML_KEM_1024,
]
SECRETS = {
    KeySpec.SYMMETRIC_DEFAULT: 32,
    KeySpec.HMAC_224: 28,
    KeySpec.HMAC_256: 32,
    KeySpec.HMAC_384: 48,
    KeySpec.HMAC_512: 64,
}


@pytest.mark.parametrize(("spec", "size"), SECRETS.items())
def test_secrets_have_their_length(spec: KeySpec, size: int) -> None:
    """A new secret is as long as its spec says, has no public half, and is not the one before."""
    one, other = generate(spec), generate(spec)
    assert len(one.plaintext) == len(other.plaintext) == size
    assert one.public_key == b""
    assert one.plaintext != other.plaintext
    assert spec in WITHOUT_PUBLIC_KEY


@pytest.mark.parametrize("spec", QUICK_PAIRS)
def test_pairs_read_back(spec: KeySpec) -> None:
    """Both halves of a new pair read back as what was written, trusted or not, and belong together."""
    new = generate(spec)
    assert new.plaintext != generate(spec).plaintext
    for trusted in (True, False):
        private_key = load_private(new.plaintext, trusted=trusted)
        pair = keypairs.encode(private_key)
        assert (pair.private_key, pair.public_key) == (new.plaintext, new.public_key)
    assert keypairs.encode_public(load_public(new.public_key)) == new.public_key
    assert repr(new.plaintext)[2:-1] not in repr(new)
    assert repr(pair.private_key)[2:-1] not in repr(pair)


@pytest.mark.parametrize("spec", [spec for spec in QUICK_PAIRS if not spec.startswith("ML_KEM")])
def test_a_pair_that_does_not_fit_together(spec: KeySpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pair whose halves are of different keys is thrown away."""
    other = load_public(generate(spec).public_key)
    monkeypatch.setattr(keypairs, "load_public", lambda _encoded: other)
    with pytest.raises(ConsistencyError, match=f"{spec} key pair failed its consistency test"):
        generate(spec)


def test_a_kem_pair_that_does_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pair that decapsulates another secret is thrown away."""
    other = load_public(generate(KeySpec.ML_KEM_768).public_key)
    monkeypatch.setattr(keypairs, "load_public", lambda _encoded: other)
    with pytest.raises(ConsistencyError):
        generate(KeySpec.ML_KEM_768)


async def test_nothing_is_kept_of_a_pair_that_failed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CreateKey fails inside the service, and there is no key."""

    def forged(*_arguments: object) -> None:
        raise KMSInvalidSignatureException

    scheme = SCHEMES[SigningAlgorithmSpec.ECDSA_SHA_256]
    monkeypatch.setattr(type(scheme), "verify", forged)
    with pytest.raises(KMSInternalException):
        await service.create_key(key_spec=KeySpec.ECC_NIST_P256, key_usage=KeyUsage.SIGN_VERIFY)
    assert service.kms.store.keys("local") == ()


@pytest.mark.parametrize("spec", [KeySpec.SM2, KeySpec.ML_KEM_512])
def test_specs_that_no_library_has(spec: KeySpec) -> None:
    """What cannot be computed here is refused, not faked."""
    with pytest.raises(UnsupportedOperationException, match=f"KeySpec {spec} is not supported"):
        generate(spec)


def test_every_other_spec_is_made() -> None:
    """No spec was forgotten."""
    assert set(generation._GENERATORS) | {KeySpec.SM2, KeySpec.ML_KEM_512} == set(KeySpec)


def test_every_algorithm_has_its_scheme() -> None:
    """Every signing algorithm of a spec that is made has a scheme."""
    specs = set(generation._GENERATORS) & set(SIGNING_ALGORITHMS)
    assert {name for spec in specs for name in SIGNING_ALGORITHMS[spec]} == set(SCHEMES)


def test_foreign_kinds_of_keys_are_refused() -> None:
    """Well-formed keys of kinds that the service has not, and encrypted ones, are no key pairs here."""
    foreign = (dsa.generate_private_key(2048), x25519.X25519PrivateKey.generate())
    for key in foreign:
        with pytest.raises(KeyPairError):
            load_private(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), trusted=False)
        with pytest.raises(KeyPairError):
            load_public(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    ours = ec.generate_private_key(ec.SECP256R1())
    locked = ours.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    with pytest.raises(KeyPairError):
        load_private(locked, trusted=False)


def test_an_untrusted_rsa_key_is_validated() -> None:
    """A key whose prime is none is refused unless this agent is known to have written it."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    composite = numbers.p + 2
    wrong = rsa.RSAPrivateNumbers(
        composite,
        numbers.q,
        numbers.d,
        numbers.dmp1,
        numbers.dmq1,
        numbers.iqmp,
        rsa.RSAPublicNumbers(65537, composite * numbers.q),
    ).private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(KeyPairError):
        load_private(keypairs.encode(wrong).private_key, trusted=False)


def test_points_off_the_curve_are_refused() -> None:
    """A public key that is no point of its curve is none."""
    encoded = bytearray(generate(KeySpec.ECC_NIST_P256).public_key)
    encoded[-1] ^= 1
    with pytest.raises(KeyPairError):
        load_public(bytes(encoded))


PAIRS = {spec: generate(spec) for spec in (KeySpec.ECC_NIST_P256, KeySpec.ML_DSA_44, KeySpec.RSA_2048)}


@given(st.sampled_from(sorted(PAIRS)), st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_keys_never_escape(spec: KeySpec, at: int, inserted: bytes, removed: int) -> None:
    """Any bytes are either a key or refused as none: no other exception leaves the parsers."""
    private, public = PAIRS[spec].plaintext, PAIRS[spec].public_key
    with suppress(KeyPairError):
        load_private(damaged(private, at, inserted, removed), trusted=True)
    with suppress(KeyPairError):
        load_public(damaged(public, at, inserted, removed))


def damaged(encoded: bytes, at: int, inserted: bytes, removed: int) -> bytes:
    """Return bytes with some in the middle replaced."""
    at %= len(encoded)
    return encoded[:at] + inserted + encoded[at + removed :]


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_keys(encoded: bytes) -> None:
    """What is no key at all is refused as none."""
    for load in (load_public, lambda der: load_private(der, trusted=False)):
        with pytest.raises(KeyPairError):
            load(encoded)


@given(
    st.sampled_from([(spec, name) for spec in sorted(PAIRS) for name in SIGNING_ALGORITHMS[spec]]),
    st.binary(min_size=1, max_size=4096),
    st.integers(0, 10_000),
    st.binary(max_size=600),
)
def test_signatures_of_any_message(
    pair: tuple[KeySpec, SigningAlgorithmSpec], message: bytes, at: int, other: bytes
) -> None:
    """Any message's signature verifies; any other bytes are invalid, without another exception."""
    spec, algorithm = pair
    new, scheme = PAIRS[spec], SCHEMES[algorithm]
    public_key = load_public(new.public_key)
    signature = scheme.sign(load_private(new.plaintext, trusted=True), MessageType.RAW, message)
    scheme.verify(public_key, MessageType.RAW, message, signature)
    at %= len(signature)
    flipped = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
    for wrong in (flipped, signature[:at], signature + other[:1] + b"\0", other):
        with pytest.raises(KMSInvalidSignatureException):
            scheme.verify(public_key, MessageType.RAW, message, wrong)


def test_ml_kem_rejects_implicitly() -> None:
    """A changed ciphertext gives another secret, always the same one (FIPS 203, section 6.3)."""
    new = generate(KeySpec.ML_KEM_768)
    private_key = load_private(new.plaintext, trusted=True)
    secret, ciphertext = mlkem.encapsulate(load_public(new.public_key))
    assert mlkem.decapsulate(private_key, ciphertext) == secret
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    rejected = mlkem.decapsulate(private_key, changed)
    assert rejected == mlkem.decapsulate(private_key, changed)
    assert (len(rejected), rejected == secret) == (32, False)
