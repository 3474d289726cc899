"""Published vectors, through the program's primitives and through the decoder's."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from decoder import Refused
from decoder import primitives as second
from kmsfs import hkdf, xaes

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def vectors(file_name: str, key: str = "vectors") -> list[dict[str, Any]]:
    """Return the vectors of a file."""
    found: list[dict[str, Any]] = json.loads((VECTORS / file_name).read_text())[key]
    return found


@pytest.mark.parametrize("vector", vectors("xaes-256-gcm.json"))
def test_xaes_vectors(vector: dict[str, str]) -> None:
    """The program derives C2SP's keys, and both open C2SP's ciphertexts."""
    key, nonce, plaintext, aad, ciphertext = (
        bytes.fromhex(vector[name]) for name in ("key", "nonce", "plaintext", "aad", "ciphertext")
    )
    assert xaes.derive(key, nonce[:12]).encrypt(nonce[12:], plaintext, aad) == ciphertext
    assert second.xaes_open(key, nonce, aad, ciphertext) == plaintext


def test_xaes_accumulated() -> None:
    """Ten thousand random messages hash to C2SP's digest, and the decoder opens a part of them."""
    expected = vectors("xaes-256-gcm.json", "accumulated")[0]
    stream = hashlib.shake_128().digest(10_000 * (32 + 24 + 2 * 256))
    position = 0

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        return stream[position - size : position]

    digest = hashlib.shake_128()
    for iteration in range(expected["iterations"]):
        key, nonce = take(32), take(24)
        plaintext = take(take(1)[0])
        aad = take(take(1)[0])
        ciphertext = xaes.derive(key, nonce[:12]).encrypt(nonce[12:], plaintext, aad)
        if iteration % 100 == 0:
            assert second.xaes_open(key, nonce, aad, ciphertext) == plaintext
        digest.update(ciphertext)
    assert digest.hexdigest(32) == expected["digest"]


@pytest.mark.parametrize("vector", vectors("aes-siv.json"), ids=lambda vector: vector["name"])
def test_siv_vectors(vector: dict[str, Any]) -> None:
    """The library seals as RFC 5297 and Wycheproof say, and the decoder's own S2V agrees."""
    key, plaintext, ciphertext = (bytes.fromhex(vector[name]) for name in ("key", "plaintext", "ciphertext"))
    associated_data = [bytes.fromhex(data) for data in vector["associated_data"]]
    assert AESSIV(key).encrypt(plaintext, associated_data) == ciphertext
    assert second.s2v(key[: len(key) // 2], associated_data, plaintext) == ciphertext[:16]
    if len(key) == 64:
        assert second.siv_open(key, associated_data[0], ciphertext) == plaintext
        for bit in range(len(ciphertext) * 8):
            with pytest.raises(Refused):
                second.siv_open(key, associated_data[0], flipped(ciphertext, bit))


@pytest.mark.parametrize("vector", vectors("hkdf-expand.json"))
def test_hkdf_vectors(vector: dict[str, Any]) -> None:
    """Both expand as RFC 5869 says."""
    key, info, expected = (bytes.fromhex(vector[name]) for name in ("prk", "info", "okm"))
    assert hkdf.expand(key, info, vector["size"]) == expected
    assert hkdf.expand(key, info) == expected[:32]
    assert second.expand(key, info, vector["size"]) == expected


def flipped(data: bytes, bit: int) -> bytes:
    """Return `data` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
