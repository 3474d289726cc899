"""Bucket keys in use: wrapping, and finding the one that a header names."""

import os

import pytest

from kmsfs import bucketkeys
from kmsfs.bucketkeys import BucketKey
from kmsfs.errors import CorruptHeaderError

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
