"""Owns the root key while the agent runs: wraps key material for the store and unwraps it for use.

Knows nothing of how the root key is protected at rest, and nothing of where wrapped material is kept.
"""

from typing import Final

from agent.crypto.kdf import KEY_SIZE, hkdf_expand, hmac_sha256
from agent.crypto.keypairs import PrivateKey, load_private
from agent.crypto.wrapping import WrappingError, unwrap, wrap
from agent.keys.key import KeyMaterial
from agent.seal.errors import UnwrapError
from agent.seal.materialcache import MaterialCache

_LABEL: Final = b"kms-agent key material 1"
_SECRET_LABEL: Final = b"kms-agent secret 1"
_FINGERPRINT_LABEL: Final = b"kms-agent material fingerprints 1"
_CACHE_SIZE: Final = 4096
_PRIVATE_KEYS: Final = 256  # some 30 KB each at most, in the library's own form


class Barrier:
    """The root key, and what stands between it and the rest of the agent.

    Each material is wrapped under a key of its own, HKDF-Expand(root key, label + material id), bound to
    the ids of the material and of its key. Unwrapped material is cached, least recently used first out;
    private keys as the library loaded them, since loading can take longer than a signature. Safe to call
    from any thread. What is dropped is overwritten, private keys by the library once nobody uses them; the
    short-lived `bytes` that callers get cannot be (CPython may also have copied them).

    Args:
        root_key: 32 bytes.
        cache_size: how many unwrapped materials are kept.
    """

    __slots__ = ("_plaintexts", "_private_keys", "_root_key")

    def __init__(self, root_key: bytes, cache_size: int = _CACHE_SIZE) -> None:
        if len(root_key) != KEY_SIZE:
            raise AssertionError("the root key is 32 bytes")
        self._root_key = bytearray(root_key)
        self._plaintexts: MaterialCache[bytearray, bytes] = MaterialCache(cache_size, bytes, _wipe)
        self._private_keys: MaterialCache[PrivateKey, PrivateKey] = MaterialCache(
            min(cache_size, _PRIVATE_KEYS), lambda key: key, lambda _key: None
        )

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
        plaintext = self._plaintexts.get(material)
        if plaintext is None:
            plaintext = self._unwrap(material)
            self._plaintexts.put(material, bytearray(plaintext))
        return plaintext

    def private_key(self, material: KeyMaterial) -> PrivateKey:
        """Return the private key of a material that is a key pair.

        Raises:
            UnwrapError: as `unwrap_material`.
        """
        private_key = self._private_keys.get(material)
        if private_key is None:
            private_key = load_private(self._unwrap(material), trusted=True)
            self._private_keys.put(material, private_key)
        return private_key

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
        self._plaintexts.forget_key(key_id)
        self._private_keys.forget_key(key_id)

    def forget(self) -> None:
        """Overwrite the root key and every cached material; the barrier cannot be used afterwards."""
        self._plaintexts.forget()
        self._private_keys.forget()
        _wipe(self._root_key)
        del self._root_key[:]

    def _unwrap(self, material: KeyMaterial) -> bytes:
        binding = _binding(material.material_id, material.key_id)
        try:
            return unwrap(self._wrapping_key(material.material_id), material.wrapped, binding)
        except WrappingError:
            raise UnwrapError(
                f"Key material {material.material_id} of key {material.key_id} does not authenticate: "
                "its record is damaged or of another agent. Restore the state directory from a backup."
            ) from None

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
