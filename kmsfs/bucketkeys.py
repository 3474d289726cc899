"""Owns wrapping data keys under a key in hand: a bucket key, or one derived from a customer's. Pure.

A data key is wrapped with XAES-256-GCM: salt 12 | nonce 12 | ciphertext 32 | tag 16. The salt is kept for a
session, as in a file's chunks, so that wrapping costs one AES-GCM call and there is no number of files after
which a wrapping key wears out. Knows nothing of headers' layout, of the agent, or of where keys are stored.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag

from kmsfs import xaes
from kmsfs.errors import CorruptHeaderError
from kmsfs.wrapping import WRAPPED_KEY_SIZE, Mode

BUCKET_KEY_SIZE: Final = 32
BUCKET_KEY_ID_SIZE: Final = 16

_NONCE_END: Final = xaes.SALT_SIZE + xaes.NONCE_SIZE
# SP 800-38D allows 2**32 random nonces under one key; a session is renewed far below that.
_MAX_SESSION_WRAPS: Final = 1 << 24
_MAX_CACHED_SALTS: Final = 256


class BucketKey:
    """A key that wraps the data keys of many files.

    Args:
        key_id: 16 bytes that name it in headers.
        key: 32 bytes.
        mode: of those headers; CUSTOMER for a key that was derived from a customer's.

    Attributes:
        wrapped_size: how many bytes a wrapped data key has.
    """

    __slots__ = ("_key", "_remaining", "_session", "_sessions", "id", "mode", "wrapped_size")

    def __init__(self, key_id: bytes, key: bytes, mode: Mode = Mode.BUCKET) -> None:
        if len(key_id) != BUCKET_KEY_ID_SIZE or len(key) != BUCKET_KEY_SIZE:
            raise AssertionError("a bucket key has 32 bytes, its id 16")
        self.id = key_id
        self.mode = mode
        self.wrapped_size = WRAPPED_KEY_SIZE
        self._key = key
        self._sessions: dict[bytes, xaes.Session] = {}
        self._session: xaes.Session | None = None
        self._remaining = 0

    def __repr__(self) -> str:
        return f"BucketKey({self.id.hex()})"

    def draw(self) -> tuple[bytes, bytes]:
        """Return a random file id (16 bytes) and a random data key (32 bytes)."""
        fresh = os.urandom(BUCKET_KEY_ID_SIZE + BUCKET_KEY_SIZE)
        return fresh[:BUCKET_KEY_ID_SIZE], fresh[BUCKET_KEY_ID_SIZE:]

    def wrap(self, data_key: bytes, head: bytes) -> bytes:
        """Return the 72 bytes that hold `data_key` (32 bytes), tied to `head`."""
        session = self._session
        if session is None or self._remaining == 0:
            session = self._session = xaes.new_session(self._key)
            self._remember(session)
            self._remaining = _MAX_SESSION_WRAPS
        self._remaining -= 1
        nonce = os.urandom(xaes.NONCE_SIZE)
        return session.salt + nonce + session.gcm.encrypt(nonce, data_key, head)

    def unwrap(self, wrapped: bytes, head: bytes) -> bytes:
        """Return the data key that `wrapped` holds.

        Raises:
            CorruptHeaderError: not wrapped under this key with this `head`.
        """
        salt = wrapped[: xaes.SALT_SIZE]
        session = self._sessions.get(salt)
        fresh = session is None
        if session is None:
            session = xaes.Session(salt, xaes.derive(self._key, salt))
        nonce, sealed = wrapped[xaes.SALT_SIZE : _NONCE_END], wrapped[_NONCE_END:]
        try:
            data_key = session.gcm.decrypt(nonce, sealed, head)
        except InvalidTag:
            raise CorruptHeaderError("the wrapped data key of a header does not authenticate") from None
        if fresh:
            self._remember(session)
        return data_key

    def _remember(self, session: xaes.Session) -> None:
        if len(self._sessions) >= _MAX_CACHED_SALTS:
            self._sessions.clear()
        self._sessions[session.salt] = session
