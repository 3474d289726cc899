"""Owns the root key while the agent runs: wraps key material for the store and unwraps it for use.

Knows nothing of how the root key is protected at rest, and nothing of where wrapped material is kept.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from agent.crypto.kdf import KEY_SIZE, hkdf_expand
from agent.crypto.wrapping import WrappingError, unwrap, wrap
from agent.keys.key import KeyMaterial
from agent.seal.errors import UnwrapError

_LABEL: Final = b"kms-agent key material 1"
_CACHE_SIZE: Final = 4096


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
        self._cache: OrderedDict[KeyMaterial, bytearray] = OrderedDict()
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
        with self._lock:
            cached = self._cache.get(material)
            if cached is not None:
                self._cache.move_to_end(material)
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
            self._cache.setdefault(material, bytearray(plaintext))
            while len(self._cache) > self._cache_size:
                _wipe(self._cache.popitem(last=False)[1])
        return plaintext

    def forget_key(self, key_id: str) -> None:
        """Drop the cached material of a key that was deleted."""
        with self._lock:
            for material in [material for material in self._cache if material.key_id == key_id]:
                _wipe(self._cache.pop(material))

    def forget(self) -> None:
        """Overwrite the root key and every cached material; the barrier cannot be used afterwards."""
        with self._lock:
            while self._cache:
                _wipe(self._cache.popitem()[1])
            _wipe(self._root_key)
            del self._root_key[:]

    def _wrapping_key(self, material_id: str) -> bytes:
        if not self._root_key:
            raise AssertionError("the barrier has forgotten its root key")
        return hkdf_expand(bytes(self._root_key), _LABEL + bytes.fromhex(material_id))

    def __repr__(self) -> str:
        return "<Barrier>"


def _binding(material_id: str, key_id: str) -> bytes:
    # The material id has one length, so nothing of it can pass for a part of the key id.
    return bytes.fromhex(material_id) + key_id.encode()


def _wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))
