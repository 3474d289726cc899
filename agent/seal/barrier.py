"""Owns the root key while the agent runs: wraps key material for the store and unwraps it for use.

Knows nothing of how the root key is protected at rest, and nothing of where wrapped material is kept.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from agent.crypto.kdf import KEY_SIZE, hkdf_expand, hmac_sha256
from agent.crypto.wrapping import WrappingError, unwrap, wrap
from agent.keys.key import KeyMaterial
from agent.seal.errors import UnwrapError

_LABEL: Final = b"kms-agent key material 1"
_SECRET_LABEL: Final = b"kms-agent secret 1"
_FINGERPRINT_LABEL: Final = b"kms-agent material fingerprints 1"
_CACHE_SIZE: Final = 4096


# What was unwrapped, not only whose it is said to be: a changed record is a miss.
_CacheKey = tuple[str, str, bytes]  # key id, material id, wrapped material


class Barrier:
    """The root key, and what stands between it and the rest of the agent.

    Each material is wrapped under a key of its own, HKDF-Expand(root key, label + material id), bound to
    the ids of the material and of its key. Unwrapped material is cached, least recently used first out.
    Safe to call from any thread. What is dropped is overwritten; the short-lived `bytes` that callers get
    cannot be (CPython may also have copied them).

    Args:
        root_key: 32 bytes.
        cache_size: how many unwrapped materials are kept.
    """

    __slots__ = ("_cache", "_cache_size", "_lock", "_root_key")

    def __init__(self, root_key: bytes, cache_size: int = _CACHE_SIZE) -> None:
        if len(root_key) != KEY_SIZE:
            raise AssertionError("the root key is 32 bytes")
        self._root_key = bytearray(root_key)
        self._cache: OrderedDict[_CacheKey, bytearray] = OrderedDict()
        self._cache_size = cache_size
        self._lock = Lock()

    def wrap_material(self, material_id: str, key_id: str, plaintext: bytes) -> bytes:
        """Encrypt new key material for the store.

        Args:
            material_id: 64 hexadecimal digits.
            key_id: the key that the material belongs to.
            plaintext: the material.
        """
        return wrap(self._wrapping_key(material_id), plaintext, _binding(material_id, key_id))

    def unwrap_material(self, material: KeyMaterial) -> bytes:
        """Return a material's plaintext.

        Raises:
            UnwrapError: the record is damaged, was moved to another key, or belongs to another root key.
        """
        place = (material.key_id, material.material_id, material.wrapped)
        with self._lock:
            cached = self._cache.get(place)
            if cached is not None:
                self._cache.move_to_end(place)
                return bytes(cached)
        binding = _binding(material.material_id, material.key_id)
        try:
            plaintext = unwrap(self._wrapping_key(material.material_id), material.wrapped, binding)
        except WrappingError:
            raise UnwrapError(
                f"Key material {material.material_id} of key {material.key_id} does not authenticate: "
                "its record is damaged or of another agent. Restore the state directory from a backup."
            ) from None
        with self._lock:
            self._cache.setdefault(place, bytearray(plaintext))
            while len(self._cache) > self._cache_size:
                _wipe(self._cache.popitem(last=False)[1])
        return plaintext

    def derive(self, label: bytes) -> bytes:
        """Return a key of 32 bytes for a purpose of the agent's own; each purpose has a label of its own."""
        return self._derived(label)

    def fingerprint(self, plaintext: bytes) -> bytes:
        """Return a keyed digest by which imported material is known again; it tells nothing of it."""
        return hmac_sha256(self._derived(_FINGERPRINT_LABEL), plaintext)

    def wrap_secret(self, identifier: str, plaintext: bytes) -> bytes:
        """Encrypt a secret that is no key material, such as that of an access key, for the store."""
        return wrap(self._derived(_SECRET_LABEL + identifier.encode()), plaintext, identifier.encode())

    def unwrap_secret(self, identifier: str, wrapped: bytes) -> bytes:
        """Return a secret's plaintext.

        Raises:
            UnwrapError: the record is damaged, or belongs to another identifier or root key.
        """
        try:
            return unwrap(self._derived(_SECRET_LABEL + identifier.encode()), wrapped, identifier.encode())
        except WrappingError:
            raise UnwrapError(
                f"The secret of {identifier} does not authenticate: its record is damaged or of another "
                "agent. Restore the state directory from a backup."
            ) from None

    def forget_key(self, key_id: str) -> None:
        """Drop the cached material of a key that was deleted."""
        with self._lock:
            for place in [place for place in self._cache if place[0] == key_id]:
                _wipe(self._cache.pop(place))

    def forget(self) -> None:
        """Overwrite the root key and every cached material; the barrier cannot be used afterwards."""
        with self._lock:
            while self._cache:
                _wipe(self._cache.popitem()[1])
            _wipe(self._root_key)
            del self._root_key[:]

    def _wrapping_key(self, material_id: str) -> bytes:
        return self._derived(_LABEL + bytes.fromhex(material_id))

    def _derived(self, info: bytes) -> bytes:
        if not self._root_key:
            raise AssertionError("the barrier has forgotten its root key")
        return hkdf_expand(bytes(self._root_key), info)

    def __repr__(self) -> str:
        return "<Barrier>"


def _binding(material_id: str, key_id: str) -> bytes:
    # The material id has one length, so nothing of it can pass for a part of the key id.
    return bytes.fromhex(material_id) + key_id.encode()


def _wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))
