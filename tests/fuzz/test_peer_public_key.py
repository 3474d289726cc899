"""Fuzz target: any bytes are a public key on the curve, as RFC 5480 writes it, or a ValidationException."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from agent.api.enums import KeySpec
from agent.api.errors import ValidationException
from agent.crypto import agreement, ecc, ed25519, keypairs, mldsa, mlkem
from fuzzing import examples

SIZES: Final = {KeySpec.ECC_NIST_P256: 32, KeySpec.ECC_NIST_P384: 48, KeySpec.ECC_NIST_P521: 66}
KEYS: Final = {spec: ec.generate_private_key(ecc.CURVES[spec]) for spec in SIZES}
PEERS: Final = [
    keypairs.encode_public(key.public_key())
    for key in (
        *(ec.generate_private_key(ecc.CURVES[spec]) for spec in SIZES),
        ec.generate_private_key(ecc.CURVES[KeySpec.ECC_SECG_P256K1]),
        ed25519.generate(),
        mlkem.generate(KeySpec.ML_KEM_768),
        mldsa.generate(KeySpec.ML_DSA_44),
    )
]
MAX_MESSAGE: Final = 300
SPECS = st.sampled_from(sorted(SIZES))


def fuzz_peer(spec: KeySpec, public_key: bytes) -> None:
    """Any bytes: a secret as long as the field, the same again, or an error that quotes nothing."""
    try:
        secret = agreement.derive(KEYS[spec], public_key)
    except ValidationException as error:
        if len(error.message) > MAX_MESSAGE:
            raise AssertionError("what a caller sends must not fill the audit log") from error
        return
    assert len(secret) == SIZES[spec]
    assert agreement.derive(KEYS[spec], public_key) == secret
    assert public_key[0] == 0x30


@examples(300)
@given(SPECS, st.binary(max_size=300))
@example(KeySpec.ECC_NIST_P256, b"")
@example(KeySpec.ECC_NIST_P256, b"\x30\x84\xff\xff\xff\xff")
@example(KeySpec.ECC_NIST_P256, b"\x30\x80" * 1000)
def test_any_bytes(spec: KeySpec, public_key: bytes) -> None:
    """Bytes that are no key."""
    fuzz_peer(spec, public_key)


@examples(1000)
@given(SPECS, st.sampled_from(PEERS), st.integers(0, 2000), st.integers(0, 255), st.booleans())
def test_damaged_keys(spec: KeySpec, peer: bytes, at: int, byte: int, cut: bool) -> None:  # noqa: FBT001 - drawn
    """Public keys of every kind, with one byte replaced, or cut off there."""
    at %= len(peer)
    fuzz_peer(spec, peer)
    fuzz_peer(spec, peer[:at] if cut else peer[:at] + bytes([byte]) + peer[at + 1 :])
