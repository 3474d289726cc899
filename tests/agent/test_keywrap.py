"""Wrapping of key material: published vectors, all algorithms, and what openssl wraps."""

import re
import subprocess
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from agent.api.enums import AlgorithmSpec, WrappingKeySpec
from agent.api.errors import InvalidCiphertextException
from agent.crypto import keywrap, rsa
from agent.crypto.keypairs import KeyPair, load_public

MATERIAL = bytes(range(100, 148))
DIRECT = sorted(algorithm for algorithm in keywrap.ALGORITHMS if keywrap.is_direct(algorithm))
TWO_STEPS = sorted(keywrap.ALGORITHMS - set(DIRECT))


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    """A wrapping key."""
    return keywrap.generate(WrappingKeySpec.RSA_2048)


def vectors(name: str) -> list[dict[str, str]]:
    """Return the cases of one of NIST's files of key wrap vectors."""
    with cryptography_vectors.open_vector_file(f"keywrap/kwtestvectors/{name}", "r") as stream:
        text = stream.read()
    cases: list[dict[str, str]] = []
    for line in text.splitlines():
        if line.startswith("COUNT"):
            cases.append({})
        elif cases and (found := re.fullmatch(r"(K|P|C) = ([0-9a-f]*)", line)):
            cases[-1][found[1]] = found[2]
        elif cases and line.strip() == "FAIL":
            cases[-1]["FAIL"] = ""
    return cases


def test_nist_wraps() -> None:
    """AES-KWP gives NIST's answers (SP 800-38F validation, 256-bit keys)."""
    cases = vectors("KWP_AE_256.txt")
    assert len(cases) > 100
    for case in cases:
        wrapped = aes_key_wrap_with_padding(bytes.fromhex(case["K"]), bytes.fromhex(case["P"]))
        assert wrapped.hex() == case["C"]


def test_nist_unwraps() -> None:
    """It unwraps what NIST wrapped, and refuses what NIST says is to be refused."""
    cases = vectors("KWP_AD_256.txt")
    refused = 0
    for case in cases:
        key, wrapped = bytes.fromhex(case["K"]), bytes.fromhex(case["C"])
        if "FAIL" in case:
            refused += 1
            with pytest.raises(InvalidUnwrap):
                aes_key_unwrap_with_padding(key, wrapped)
        else:
            assert aes_key_unwrap_with_padding(key, wrapped).hex() == case["P"]
    assert 0 < refused < len(cases)


@pytest.mark.parametrize("algorithm", sorted(keywrap.ALGORITHMS))
def test_round_trip(pair: KeyPair, algorithm: AlgorithmSpec) -> None:
    """What is wrapped is unwrapped, and the wrapped bytes are different each time."""
    wrapped = keywrap.wrap(algorithm, pair.public_key, MATERIAL)
    assert keywrap.unwrap(algorithm, pair.private_key, wrapped) == MATERIAL
    assert keywrap.wrap(algorithm, pair.public_key, MATERIAL) != wrapped


@pytest.mark.parametrize("algorithm", sorted(keywrap.ALGORITHMS))
def test_damage(pair: KeyPair, algorithm: AlgorithmSpec) -> None:
    """Cut, damaged and wrongly declared material is refused, always in the same way."""
    wrapped = keywrap.wrap(algorithm, pair.public_key, MATERIAL)
    damaged = [wrapped[:end] for end in (0, 1, 255, 256, len(wrapped) - 1) if end < len(wrapped)]
    damaged += [wrapped + b"\0", wrapped + wrapped]
    damaged += [
        wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in (0, 100, -1 % len(wrapped))
    ]
    for other in damaged:
        with pytest.raises(InvalidCiphertextException) as caught:
            keywrap.unwrap(algorithm, pair.private_key, other)
        assert caught.value.message == ""
    for declared in keywrap.ALGORITHMS - {algorithm}:
        with pytest.raises(InvalidCiphertextException):
            keywrap.unwrap(declared, pair.private_key, wrapped)


def test_the_inner_key_is_aes_256(pair: KeyPair) -> None:
    """A shorter AES key inside is refused, though it would unwrap."""
    for size in (16, 24, 31, 33):
        aes_key = bytes(size)
        head = rsa.encrypt(load_public(pair.public_key), keywrap._TWO_STEPS[TWO_STEPS[0]], aes_key)
        tail = aes_key_wrap_with_padding(aes_key, MATERIAL) if size in (16, 24) else bytes(56)
        with pytest.raises(InvalidCiphertextException):
            keywrap.unwrap(TWO_STEPS[0], pair.private_key, head + tail)


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_openssl_encrypts(pair: KeyPair, tmp_path: Path, digest: str) -> None:
    """What the openssl command encrypts to the public key is unwrapped."""
    public_key, material, wrapped = (tmp_path / name for name in ("public.der", "material", "wrapped"))
    public_key.write_bytes(pair.public_key)
    material.write_bytes(MATERIAL)
    options = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{digest}"]
    command = ["openssl", "pkeyutl", "-encrypt", "-in", material, "-out", wrapped]
    command += ["-inkey", public_key, "-keyform", "DER", "-pubin"]
    for option in options:
        command += ["-pkeyopt", option]
    subprocess.run(command, check=True, capture_output=True)
    algorithm = AlgorithmSpec(f"RSAES_OAEP_{digest[:3].upper()}_{digest[3:]}")
    assert keywrap.unwrap(algorithm, pair.private_key, wrapped.read_bytes()) == MATERIAL
