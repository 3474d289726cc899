"""Owns the contract between operations and whatever keeps keys. Knows nothing of SQL, files or wrapping.

Rules that every implementation keeps:

- Reads are answered from memory and never wait. They see the last committed transaction, whole.
- One writer at a time: `write()` waits for the one before it, so it is entered from a worker thread. What
  must hold between a read and a write (a name is free, a count is below its limit) is read *inside*
  `write()`: nothing else can commit meanwhile. Reads inside see the state before the transaction.
- On normal exit the transaction is durable before anyone can read it. On an exception nothing has happened.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from agent.keys.grant import Grant
from agent.keys.grantindex import GrantIndex
from agent.keys.identity import AccessKey, IdentityPolicy, PrincipalProfile
from agent.keys.key import Alias, Key, KeyMaterial

Record: TypeAlias = Key | KeyMaterial | Alias | Grant | AccessKey | IdentityPolicy | PrincipalProfile
"""Whatever is kept."""


class StoreTransaction(Protocol):
    """Changes that become durable together."""

    def put(self, record: Record) -> None:
        """Write a record, in place of the one with the same names.

        The key that a material, alias or grant belongs to must exist when the transaction ends.
        """

    def delete(self, record: Record) -> None:
        """Remove the record with the same names; absent is fine.

        A key takes its materials, its grants and the aliases that point to it with it.
        """


class KeyStore(Protocol):
    """Reading keys and what belongs to them."""

    def key(self, region: str, key_id: str) -> Key | None:
        """Return the key, or None."""

    def keys(self, region: str) -> Sequence[Key]:
        """Return all keys of the Region, ordered by key id."""

    def material(self, region: str, material_id: str) -> KeyMaterial | None:
        """Return the material with that id (64 hexadecimal digits) of whatever key, or None."""

    def materials(self, region: str, key_id: str) -> Sequence[KeyMaterial]:
        """Return the key's materials, ordered by generation."""

    def alias(self, region: str, name: str) -> Alias | None:
        """Return the alias of that full name (`alias/…`), or None."""

    def aliases(self, region: str) -> Sequence[Alias]:
        """Return all aliases of the Region, ordered by name."""


class GrantStore(Protocol):
    """Reading grants."""

    def grant(self, region: str, key_id: str, grant_id: str) -> Grant | None:
        """Return the grant, or None."""

    def grants(self, region: str, key_id: str) -> Sequence[Grant]:
        """Return the key's grants, ordered by grant id."""

    def grant_index(self, region: str, key_id: str) -> GrantIndex:
        """Return the key's grants in a form that finds the one for a request at once."""

    def all_grants(self, region: str) -> Sequence[Grant]:
        """Return all grants of the Region, ordered by key id and grant id."""


class IdentityStore(Protocol):
    """Reading what principals are given."""

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """Return the access key, or None."""

    def access_keys(self) -> Sequence[AccessKey]:
        """Return all access keys, ordered by id."""

    def identity_policies(self, principal_arn: str) -> Sequence[IdentityPolicy]:
        """Return the policies of a user or role, ordered by name."""

    def profile(self, principal_arn: str) -> PrincipalProfile | None:
        """Return what else is known of a user or role, or None."""

    def principals(self) -> Sequence[str]:
        """Return the ARNs of all principals that have policies or a profile, in order."""


class Store(KeyStore, GrantStore, IdentityStore, Protocol):
    """Everything that is kept."""

    def write(self) -> AbstractContextManager[StoreTransaction]:
        """Begin a transaction.

        Raises:
            StoreError: it could not be made durable; nothing has changed.
        """
