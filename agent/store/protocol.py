"""Owns the contract between operations and whatever keeps keys. Knows nothing of SQL, files or wrapping.

Rules that every implementation keeps:

- Reads are answered from memory and never wait. They see the last committed transaction, whole.
- One writer at a time: `write()` waits for the one before it, so it is entered from a worker thread. What
  must
  hold between a read and a write (a name is free, a count is below its limit) is read *inside* `write()`:
  nothing else can commit meanwhile. Reads inside see the state before the transaction.
- On normal exit the transaction is durable before anyone can read it. On an exception nothing has happened.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from agent.keys.key import Alias, Key, KeyMaterial


class StoreTransaction(Protocol):
    """Changes that become durable together. Putting what exists replaces it."""

    def put_key(self, key: Key) -> None:
        """Write a key's description."""

    def put_material(self, material: KeyMaterial) -> None:
        """Write one generation of a key's material; the key must exist when the transaction ends."""

    def put_alias(self, alias: Alias) -> None:
        """Write an alias; its target, if any, must exist when the transaction ends."""

    def delete_alias(self, region: str, name: str) -> None:
        """Remove an alias; absent is fine."""

    def delete_key(self, region: str, key_id: str) -> None:
        """Remove a key with its material and the aliases that point to it; absent is fine."""


class Store(Protocol):
    """Keys, their materials and aliases."""

    def key(self, region: str, key_id: str) -> Key | None:
        """Return the key, or None."""

    def keys(self, region: str) -> Sequence[Key]:
        """Return all keys of the Region, ordered by key id."""

    def material(self, material_id: str) -> KeyMaterial | None:
        """Return the material with that id (64 hexadecimal digits) of whatever key, or None."""

    def materials(self, region: str, key_id: str) -> Sequence[KeyMaterial]:
        """Return the key's materials, ordered by generation."""

    def alias(self, region: str, name: str) -> Alias | None:
        """Return the alias of that full name (`alias/…`), or None."""

    def aliases(self, region: str) -> Sequence[Alias]:
        """Return all aliases of the Region, ordered by name."""

    def write(self) -> AbstractContextManager[StoreTransaction]:
        """Begin a transaction.

        Raises:
            StoreError: it could not be made durable; nothing has changed.
        """
