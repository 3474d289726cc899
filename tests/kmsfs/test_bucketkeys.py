"""Bucket keys in use: wrapping, and finding the one that a header names."""

import os

import pytest

from kmsfs import bucketkeys
from kmsfs.bucketkeys import BucketKey, Keyring
from kmsfs.errors import CorruptHeaderError, KeyUnavailableError

KEY = BucketKey(b"bucket key no. 1", bytes(range(32)))
SAME_KEY = BucketKey(b"bucket key no. 1", bytes(range(32)))
DATA_KEY = b"D" * 32


def test_wrapping_round_trips() -> None:
    """What one process wraps another unwraps, with the same associated data only."""
    wrapped = KEY.wrap(DATA_KEY, b"head")
    assert len(wrapped) == 72
    assert SAME_KEY.unwrap(wrapped, b"head") == DATA_KEY
    with pytest.raises(CorruptHeaderError):
        SAME_KEY.unwrap(wrapped, b"heaD")
    with pytest.raises(CorruptHeaderError):
        BucketKey(KEY.id, bytes(32)).unwrap(wrapped, b"head")


def test_every_bit_of_a_wrapped_key_counts() -> None:
    """Flipping any bit of a wrapped data key is refused."""
    wrapped = KEY.wrap(DATA_KEY, b"head")
    for bit in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptHeaderError):
            KEY.unwrap(bytes(changed), b"head")


def test_sessions_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A salt serves as many wraps as it may and no more, and never the same nonce twice."""
    monkeypatch.setattr(bucketkeys, "_MAX_SESSION_WRAPS", 10)
    key = BucketKey(b"bucket key no. 2", os.urandom(32))
    wrapped = [key.wrap(DATA_KEY, b"") for _ in range(100)]
    salts = [one[:12] for one in wrapped]
    assert len(set(salts)) == 10
    assert all(salts.count(salt) == 10 for salt in salts)
    assert len({one[:24] for one in wrapped}) == 100
    assert all(key.unwrap(one, b"") == DATA_KEY for one in wrapped)


def test_the_session_cache_is_bounded() -> None:
    """However many salts come by, authentic or not, a bucket key remembers a bounded number."""
    key = BucketKey(KEY.id, bytes(range(32)))
    for _ in range(600):
        wrapped = BucketKey(KEY.id, bytes(range(32))).wrap(DATA_KEY, b"")
        assert key.unwrap(wrapped, b"") == DATA_KEY
        with pytest.raises(CorruptHeaderError):
            key.unwrap(os.urandom(72), b"")
    assert len(key._sessions) <= 256


def test_a_keyring_tells_unavailable_from_foreign() -> None:
    """A key of the volume that could not be had is unavailable; a key of no volume is corruption."""
    keyring = Keyring((KEY,), {0: KEY}, {b"bucket key no. 2": "it is disabled"}, {1: "denied"})
    assert keyring.current() is KEY
    assert keyring.get(KEY.id) is KEY
    assert keyring.unavailable == {b"bucket key no. 2": "it is disabled"}
    with pytest.raises(KeyUnavailableError, match="it is disabled"):
        keyring.get(b"bucket key no. 2")
    with pytest.raises(CorruptHeaderError):
        keyring.get(b"bucket key no. 3")
    with pytest.raises(KeyUnavailableError, match="denied"):
        keyring.current(1)
    with pytest.raises(KeyUnavailableError, match="no policy 2"):
        keyring.current(2)
    assert repr(keyring) == "Keyring(1 keys, 1 unavailable)"
