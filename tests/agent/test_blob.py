"""CiphertextBlobs: round trips, and one error for everything that is wrong with one."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from agent.api.errors import InvalidCiphertextException
from agent.crypto import blob

MATERIAL_ID = hashlib.sha256(b"id").hexdigest()
KEY = hashlib.sha256(b"key").digest()
AAD = b"context"


@given(st.binary(max_size=4096), st.binary(max_size=64))
def test_round_trip(plaintext: bytes, aad: bytes) -> None:
    """What was sealed opens, names its material, and fits the API's limit."""
    sealed = blob.seal(MATERIAL_ID, KEY, plaintext, aad)
    parsed = blob.parse(sealed)
    assert blob.open(parsed, KEY, aad) == plaintext
    assert parsed.material_id == MATERIAL_ID
    assert len(sealed) == len(plaintext) + blob.OVERHEAD_BYTES <= blob.MAX_BLOB_BYTES


def test_decoded_by_hand() -> None:
    """A second implementation of the documented layout opens a blob."""
    sealed = blob.seal(MATERIAL_ID, KEY, b"message", AAD)
    assert sealed[:5] == b"KMSA\x01"
    assert sealed[5:37].hex() == MATERIAL_ID
    info = b"kms-agent ciphertext blob 1" + sealed[5:37] + sealed[37:53] + b"\x01"
    key = hmac.new(KEY, info, hashlib.sha256).digest()
    assert AESGCM(key).decrypt(sealed[53:65], sealed[65:], sealed[:65] + AAD) == b"message"


def test_every_bit_counts() -> None:
    """No bit of a blob can be changed."""
    sealed = blob.seal(MATERIAL_ID, KEY, b"message", AAD)
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        assert_refused(bytes(changed))


def test_every_length_counts() -> None:
    """No blob can be cut or extended."""
    sealed = blob.seal(MATERIAL_ID, KEY, b"message", AAD)
    for length in range(len(sealed)):
        assert_refused(sealed[:length])
    assert_refused(sealed + b"\x00")
    assert_refused(sealed + bytes(blob.MAX_BLOB_BYTES))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: blob.MAGIC + b"\x01" + tail))
def test_any_bytes(content: bytes) -> None:
    """Bytes that nobody sealed are refused, with the one documented error."""
    assert_refused(content)


@pytest.mark.parametrize(
    ("key", "aad"), [(bytes(32), AAD), (KEY, b""), (KEY, b"Context"), (KEY, AAD + b"\x00")]
)
def test_wrong_key_or_context(key: bytes, aad: bytes) -> None:
    """A wrong key and a wrong context look the same: no message, as AWS answers."""
    parsed = blob.parse(blob.seal(MATERIAL_ID, KEY, b"message", AAD))
    with pytest.raises(InvalidCiphertextException) as caught:
        blob.open(parsed, key, aad)
    assert caught.value.message == ""
    assert caught.value.__cause__ is None


def test_no_salt_comes_twice() -> None:
    """Sealing the same message again gives another salt and nonce."""
    seen = {blob.seal(MATERIAL_ID, KEY, b"", AAD)[37:65] for _ in range(2000)}
    assert len(seen) == 2000


def test_too_long_is_our_bug() -> None:
    """A message whose blob Decrypt would refuse is not sealed."""
    longest = blob.MAX_BLOB_BYTES - blob.OVERHEAD_BYTES
    assert len(blob.seal(MATERIAL_ID, KEY, bytes(longest), AAD)) == blob.MAX_BLOB_BYTES
    with pytest.raises(AssertionError):
        blob.seal(MATERIAL_ID, KEY, bytes(longest + 1), AAD)


def assert_refused(content: bytes) -> None:
    """Check that parsing and opening give the one documented error."""
    with pytest.raises(InvalidCiphertextException) as caught:
        blob.open(blob.parse(content), KEY, AAD)
    assert caught.value.message == ""
