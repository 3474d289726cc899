"""Owns who encrypts with a symmetric key: whoever has its material, told by the key's origin.

Only symmetric keys can have their material in a custom key store. Another place for material is another row
in the table here; operations do not see which it is.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from agent.api.enums import Origin
from agent.backends import local
from agent.backends.local import Context
from agent.keys.key import Key
from agent.seal.barrier import Barrier
from agent.store.protocol import Store


class Backend(Protocol):
    """Encryption under the material of one key."""

    def encrypt(
        self, store: Store, barrier: Barrier, key: Key, plaintext: bytes, context: Context | None, /
    ) -> bytes:
        """Return a CiphertextBlob under the key's current material."""

    def decrypt(
        self, store: Store, barrier: Barrier, key: Key, blob: bytes, context: Context | None, /
    ) -> tuple[bytes, str]:
        """Return the plaintext of a CiphertextBlob, and the id of the material that it names.

        Raises:
            InvalidCiphertextException: damaged, or another encryption context; nothing tells which.
            IncorrectKeyException: the blob is another key's.
        """


_BACKENDS: Final[Mapping[Origin, Backend]] = {Origin.AWS_KMS: local, Origin.EXTERNAL: local}


def encrypt(store: Store, barrier: Barrier, key: Key, plaintext: bytes, context: Context | None) -> bytes:
    """Return a CiphertextBlob under the key's current material."""
    return _BACKENDS[key.origin].encrypt(store, barrier, key, plaintext, context)


def decrypt(
    store: Store, barrier: Barrier, key: Key, blob: bytes, context: Context | None
) -> tuple[bytes, str]:
    """Return the plaintext of a CiphertextBlob, and the id of the material that it names; see `Backend`."""
    return _BACKENDS[key.origin].decrypt(store, barrier, key, blob, context)
