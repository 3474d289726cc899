"""Owns ChunkCodec: plaintext runs to chunk records and back, for one file. Pure: no I/O, no sizes of files.

A record is salt 12 | nonce 12 | ciphertext | tag 16: XAES-256-GCM (C2SP) with salt and nonce as its 24-byte
nonce, and the format label, the file's id and the chunk's index as associated data, so that a record is good
at one index of one file only.
"""

import os
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmsfs import xaes
from kmsfs.geometry import RECORD_OVERHEAD

LABEL: Final = b"kmsfs chunk 1"
# SP 800-38D allows 2**32 random nonces under one key; a session is renewed far below that.
MAX_SESSION_CHUNKS: Final = 1 << 24

_SALT: Final = xaes.SALT_SIZE
_NONCE_END: Final = xaes.SALT_SIZE + xaes.NONCE_SIZE
_NO_SALT: Final = bytes(xaes.SALT_SIZE)
_MAX_CACHED_SALTS: Final = 64


@cache
def _zero_record(chunk_size: int) -> bytes:
    return bytes(chunk_size + RECORD_OVERHEAD)


class ChunkError(Exception):
    """A record does not authenticate at its place.

    Args:
        chunk_index: index of the first bad chunk.
    """

    def __init__(self, chunk_index: int) -> None:
        super().__init__(f"chunk {chunk_index}")
        self.chunk_index = chunk_index


class ChunkCodec:
    """Seals and opens the chunk records of one file.

    Args:
        content_key: the file's 32-byte XAES-256-GCM key.
        file_id: the file's 16-byte id.
        chunk_size: plaintext bytes of a whole chunk.
    """

    __slots__ = ("_chunk_size", "_content_key", "_gcms", "_prefix", "_remaining", "_session", "_zeros")

    def __init__(self, content_key: bytes, file_id: bytes, chunk_size: int) -> None:
        self._content_key = content_key
        self._prefix = LABEL + file_id
        self._chunk_size = chunk_size
        self._gcms: dict[bytes, AESGCM] = {}
        self._session: xaes.Session | None = None
        self._remaining = 0
        self._zeros = _zero_record(chunk_size)

    def session(self, chunk_count: int = 1) -> xaes.Session:
        """Return the session for the next `chunk_count` seals, a fresh one when it is used up."""
        self._remaining -= chunk_count
        if self._session is None or self._remaining < 0:
            self._session = xaes.new_session(self._content_key)
            self.remember(self._session)
            self._remaining = MAX_SESSION_CHUNKS - chunk_count
        return self._session

    def seal(self, first_index: int, plain: memoryview, out: memoryview) -> int:
        """Seal `plain` as consecutive records from chunk `first_index` on into `out`.

        All chunks but the last of `plain` are whole. Returns the number of bytes written to `out`.
        """
        size = self._chunk_size
        length = len(plain)
        count = -(-length // size)
        session = self.session(count)
        salt, encrypt_into = session.salt, session.gcm.encrypt_into
        nonces = os.urandom(xaes.NONCE_SIZE * count)
        prefix = self._prefix
        record = plain_offset = nonce_offset = 0
        for index in range(first_index, first_index + count):
            nonce = nonces[nonce_offset : nonce_offset + 12]
            body = min(size, length - plain_offset)
            end = record + body + RECORD_OVERHEAD
            out[record : record + _NONCE_END] = salt + nonce
            encrypt_into(
                nonce,
                plain[plain_offset : plain_offset + body],
                prefix + index.to_bytes(8),
                out[record + _NONCE_END : end],
            )
            plain_offset += body
            nonce_offset += 12
            record = end
        return record

    def open(self, first_index: int, raw: memoryview, out: memoryview, *, sparse: bool) -> int:
        """Open the consecutive records in `raw`, the first being chunk `first_index`'s, into `out`.

        With `sparse`, a record of zeros only is a hole and reads as zeros. Returns the plaintext bytes.

        Raises:
            ChunkError: a record does not authenticate, or is too short to be one.
        """
        size = self._chunk_size
        record_size = size + RECORD_OVERHEAD
        prefix = self._prefix
        last_salt = None
        gcm: AESGCM | None = None
        index, start, plain_offset, length = first_index, 0, 0, len(raw)
        try:
            while start < length:
                end = min(start + record_size, length)
                body = end - start - RECORD_OVERHEAD
                if body <= 0:
                    raise ChunkError(index)
                salt = bytes(raw[start : start + _SALT])
                if salt == _NO_SALT and sparse and raw[start:end].tobytes() == self._zeros[: end - start]:
                    out[plain_offset : plain_offset + body] = self._zeros[:body]
                else:
                    if salt != last_salt or gcm is None:
                        gcm = self._gcms.get(salt) or self._derive(salt)
                        last_salt = salt
                    gcm.decrypt_into(
                        raw[start + _SALT : start + _NONCE_END],
                        raw[start + _NONCE_END : end],
                        prefix + index.to_bytes(8),
                        out[plain_offset : plain_offset + body],
                    )
                start = end
                plain_offset += body
                index += 1
        except (InvalidTag, ValueError) as error:
            raise ChunkError(index) from error
        return plain_offset

    def remember(self, session: xaes.Session) -> None:
        """Keep a key already derived for the records to come that share its salt."""
        if len(self._gcms) >= _MAX_CACHED_SALTS:
            self._gcms.clear()
        self._gcms[session.salt] = session.gcm

    def _derive(self, salt: bytes) -> AESGCM:
        session = xaes.Session(salt, xaes.derive(self._content_key, salt))
        self.remember(session)
        return session.gcm
