"""Owns bucket keys in use: wrapping data keys under them, and finding the one that a header names. Pure.

A data key is wrapped with XAES-256-GCM: salt 12 | nonce 12 | ciphertext 32 | tag 16. The salt is kept for a
session, as in a file's chunks, so that wrapping costs one AES-GCM call and there is no number of files after
which a bucket key wears out. Knows nothing of headers' layout, of the agent, or of where keys are stored.
"""

import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag

from kmsfs import xaes
from kmsfs.errors import CorruptHeaderError, KeyUnavailableError

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
    """

    __slots__ = ("_key", "_remaining", "_session", "_sessions", "id")

    def __init__(self, key_id: bytes, key: bytes) -> None:
        if len(key_id) != BUCKET_KEY_ID_SIZE or len(key) != BUCKET_KEY_SIZE:
            raise AssertionError("a bucket key has 32 bytes, its id 16")
        self.id = key_id
        self._key = key
        self._sessions: dict[bytes, xaes.Session] = {}
        self._session: xaes.Session | None = None
        self._remaining = 0

    def __repr__(self) -> str:
        return f"BucketKey({self.id.hex()})"

    def wrap(self, data_key: bytes, aad: bytes) -> bytes:
        """Return the 72 bytes that hold `data_key` (32 bytes), tied to `aad`."""
        session = self._session
        if session is None or self._remaining == 0:
            session = self._session = xaes.new_session(self._key)
            self._remember(session)
            self._remaining = _MAX_SESSION_WRAPS
        self._remaining -= 1
        nonce = os.urandom(xaes.NONCE_SIZE)
        return session.salt + nonce + session.gcm.encrypt(nonce, data_key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Return the data key that `wrapped` holds.

        Raises:
            CorruptHeaderError: not wrapped under this key with this `aad`.
        """
        salt = wrapped[: xaes.SALT_SIZE]
        session = self._sessions.get(salt)
        fresh = session is None
        if session is None:
            session = xaes.Session(salt, xaes.derive(self._key, salt))
        nonce, sealed = wrapped[xaes.SALT_SIZE : _NONCE_END], wrapped[_NONCE_END:]
        try:
            data_key = session.gcm.decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise CorruptHeaderError("the wrapped data key of a header does not authenticate") from None
        if fresh:
            self._remember(session)
        return data_key

    def _remember(self, session: xaes.Session) -> None:
        if len(self._sessions) >= _MAX_CACHED_SALTS:
            self._sessions.clear()
        self._sessions[session.salt] = session


class Keyring:
    """The bucket keys that a mount holds.

    Args:
        keys: every key that could be had.
        current: by policy index, the key for new files.
        reasons: by bucket key id, why a key of this volume could not be had.
        policy_reasons: by policy index, why it has no key for new files.
    """

    __slots__ = ("_current", "_keys", "_policy_reasons", "_reasons")

    def __init__(
        self,
        keys: tuple[BucketKey, ...],
        current: Mapping[int, BucketKey],
        reasons: Mapping[bytes, str],
        policy_reasons: Mapping[int, str],
    ) -> None:
        self._keys = {key.id: key for key in keys}
        self._current = dict(current)
        self._reasons = dict(reasons)
        self._policy_reasons = dict(policy_reasons)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys, {len(self._reasons)} unavailable)"

    @property
    def unavailable(self) -> Mapping[bytes, str]:
        """By bucket key id, why a key of this volume could not be had."""
        return dict(self._reasons)

    def current(self, policy: int = 0) -> BucketKey:
        """Return the key for new files under `policy`.

        Raises:
            KeyUnavailableError: it could not be had, or there is no such policy.
        """
        key = self._current.get(policy)
        if key is None:
            raise KeyUnavailableError(self._policy_reasons.get(policy, f"the volume has no policy {policy}"))
        return key

    def get(self, bucket_key_id: bytes) -> BucketKey:
        """Return the key that a header names.

        Raises:
            KeyUnavailableError: a key of this volume that could not be had.
            CorruptHeaderError: not a key of this volume.
        """
        key = self._keys.get(bucket_key_id)
        if key is not None:
            return key
        reason = self._reasons.get(bucket_key_id)
        if reason is None:
            raise CorruptHeaderError(f"no bucket key {bucket_key_id.hex()} belongs to this volume")
        raise KeyUnavailableError(reason)
