"""CMS envelopes for enclaves: another program opens them, and their bytes are laid out as AWS's."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.crypto import enveloped
from enclaves import enclave_key, opened, spki


@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 1024, 2374, 4096])
def test_openssl_opens_what_was_sealed(tmp_path: Path, size: int) -> None:
    """Every size of a plaintext comes back, and fits into a CiphertextForRecipient."""
    plaintext = bytes(index % 251 for index in range(size))
    envelope = enveloped.seal(enclave_key().public_key(), plaintext)
    assert opened(tmp_path, envelope) == plaintext
    assert len(envelope) <= 6144


def test_the_layout_is_that_of_aws() -> None:
    """Apart from key, vector and content, the bytes are those that AWS KMS answers for a key of 2048 bits."""
    envelope = enveloped.seal(enclave_key().public_key(), bytes(32))
    prefix = bytes.fromhex("308006092a864886f70d010703a08030800201023182016b308201670201028020")
    algorithm = bytes.fromhex(
        "303c06092a864886f70d010107302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108"
        "300d06096086480165030402010500"
        "04820100"
    )
    content = bytes.fromhex("308006092a864886f70d010701301d060960864801650304012a0410")
    position = 0
    for expected, variable in (
        (prefix, hashlib.sha256(spki(enclave_key())).digest()),
        (algorithm, 256),
        (content, 16),
        (bytes.fromhex("a0800430"), 48),
        (bytes(10), 0),
    ):
        assert envelope[position : position + len(expected)] == expected
        position += len(expected)
        if isinstance(variable, bytes):
            assert envelope[position : position + len(variable)] == variable
            position += len(variable)
        else:
            position += variable
    assert position == len(envelope)


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=4096))
def test_nothing_of_the_plaintext_shows_and_nothing_repeats(plaintext: bytes) -> None:
    """Two envelopes of one plaintext share neither key nor vector nor content."""
    one, other = (enveloped.seal(enclave_key().public_key(), plaintext) for _ in range(2))
    assert len(one) == len(other)
    assert one[-58:-10] != other[-58:-10]
    assert len(plaintext) < 8 or plaintext not in one
