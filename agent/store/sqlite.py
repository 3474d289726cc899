"""Owns the key store on SQLite: one file, one process, every commit durable, every read from memory.

Deleted records are overwritten (secure_delete) and the write-ahead log is emptied after key material is
deleted, as far as a journaling disk lets anything be overwritten.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection, Delete, Engine, Table, and_, bindparam, delete
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from agent.keys.grant import Grant
from agent.keys.grantindex import GrantIndex
from agent.keys.identity import AccessKey, IdentityPolicy, PrincipalProfile
from agent.keys.key import Alias, Key, KeyMaterial
from agent.store.errors import StoreUnavailableError
from agent.store.protocol import Record, StoreTransaction
from agent.store.snapshot import Draft, Snapshot
from agent.store.sqlite_file import open_file
from agent.store.tables import TABLES, to_row


def _upsert(table: Table) -> sqlite.Insert:
    # Not INSERT OR REPLACE: that deletes first, and with a key its materials and aliases.
    statement = sqlite.insert(table)
    columns = (column.name for column in table.columns if not column.primary_key)
    changed = {name: statement.excluded[name] for name in columns}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)


def _delete(table: Table) -> Delete:
    return delete(table).where(and_(*(column == bindparam(column.name) for column in table.primary_key)))


_PUTS: Final[Mapping[type[Record], sqlite.Insert]] = {kind: _upsert(table) for kind, table in TABLES.items()}
_DELETES: Final[Mapping[type[Record], Delete]] = {kind: _delete(table) for kind, table in TABLES.items()}


class SqliteStore:
    """A store in one SQLite file; implements `agent.store.protocol.Store`. Close it, or use it as a context.

    Args:
        engine: an engine with one connection.
        connection: that connection, exclusively locked and checked.
        snapshot: what the file contains.
    """

    def __init__(self, engine: Engine, connection: Connection, snapshot: Snapshot) -> None:
        self._engine = engine
        self._connection = connection
        self._snapshot = snapshot
        self._writer = Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store at `path`, creating it where there is none.

        Raises:
            StoreInUseError: another process has it open.
            StoreVersionError: a newer kms-agent wrote it.
            StoreCorruptError: it is no key store, or damaged.
            StoreUnavailableError: the disk does not let it be opened.
        """
        return cls(*open_file(path))

    def close(self) -> None:
        """Close the file; waits for a transaction that is under way."""
        with self._writer:
            self._connection.close()
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def key(self, region: str, key_id: str) -> Key | None:
        """Return the key, or None."""
        key: Key | None = self._snapshot.get(Key, region, key_id)
        return key

    def keys(self, region: str) -> Sequence[Key]:
        """Return all keys of the Region, ordered by key id."""
        return self._snapshot.ordered(Key, region)

    def material(self, region: str, material_id: str) -> KeyMaterial | None:
        """Return the material with that id, or None."""
        material: KeyMaterial | None = self._snapshot.get(KeyMaterial, region, material_id)
        return material

    def materials(self, region: str, key_id: str) -> Sequence[KeyMaterial]:
        """Return the key's materials, ordered by generation."""
        return self._snapshot.group(KeyMaterial, region, key_id)

    def alias(self, region: str, name: str) -> Alias | None:
        """Return the alias of that name, or None."""
        alias: Alias | None = self._snapshot.get(Alias, region, name)
        return alias

    def aliases(self, region: str) -> Sequence[Alias]:
        """Return all aliases of the Region, ordered by name."""
        return self._snapshot.ordered(Alias, region)

    def grant(self, region: str, key_id: str, grant_id: str) -> Grant | None:
        """Return the grant, or None."""
        return self._snapshot.grant_index(region, key_id).grants.find(grant_id)

    def grants(self, region: str, key_id: str) -> Sequence[Grant]:
        """Return the key's grants, ordered by grant id."""
        return self._snapshot.grant_index(region, key_id).grants

    def grant_index(self, region: str, key_id: str) -> GrantIndex:
        """Return the key's grants in a form that finds the one for a request at once."""
        return self._snapshot.grant_index(region, key_id)

    def all_grants(self, region: str) -> Sequence[Grant]:
        """Return all grants of the Region, ordered by key id and grant id."""
        return self._snapshot.all_grants(region)

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """Return the access key, or None."""
        access_key: AccessKey | None = self._snapshot.get(AccessKey, access_key_id)
        return access_key

    def access_keys(self) -> Sequence[AccessKey]:
        """Return all access keys, ordered by id."""
        records = self._snapshot.records[AccessKey]
        return [records[place] for place in sorted(records)]

    def identity_policies(self, principal_arn: str) -> Sequence[IdentityPolicy]:
        """Return the policies of a user or role, ordered by name."""
        return self._snapshot.group(IdentityPolicy, principal_arn)

    def profile(self, principal_arn: str) -> PrincipalProfile | None:
        """Return what else is known of a user or role, or None."""
        profile: PrincipalProfile | None = self._snapshot.get(PrincipalProfile, principal_arn)
        return profile

    def principals(self) -> Sequence[str]:
        """Return the ARNs of all principals that have policies or a profile, in order."""
        records = self._snapshot.records
        return sorted({arn for kind in (IdentityPolicy, PrincipalProfile) for arn, *_ in records[kind]})

    @contextlib.contextmanager
    def write(self) -> Iterator[StoreTransaction]:
        """Begin a transaction; see `Store.write`.

        Raises:
            StoreUnavailableError: the disk did not take it; nothing has changed.
        """
        with self._writer:
            transaction = _Transaction(self._connection, Draft(self._snapshot))
            try:
                self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield transaction
                snapshot = transaction.draft.publish()
                self._connection.exec_driver_sql("COMMIT")
            except IntegrityError as error:
                self._roll_back()
                raise AssertionError(
                    "a transaction left a material, an alias or a grant without its key"
                ) from error
            except DatabaseError as error:
                self._roll_back()
                raise StoreUnavailableError(
                    f"The key store did not take the change: {error.orig}. Check the disk and its free space."
                ) from error
            except BaseException:
                self._roll_back()
                raise
            self._snapshot = snapshot
            if transaction.deleted_material:
                self._empty_log()

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors; then there is nothing left to end.
        with contextlib.suppress(OperationalError):
            self._connection.exec_driver_sql("ROLLBACK")

    def _empty_log(self) -> None:
        # Best effort: the deletion is durable already, and the log is emptied at close anyway.
        with contextlib.suppress(OperationalError):
            self._connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


class _Transaction:
    """Writes each change to the database and to the draft of the next snapshot."""

    __slots__ = ("_connection", "deleted_material", "draft")

    def __init__(self, connection: Connection, draft: Draft) -> None:
        self._connection = connection
        self.draft = draft
        self.deleted_material = False

    def put(self, record: Record) -> None:
        kind = type(record)
        self._connection.execute(_PUTS[kind], to_row(record))
        self.draft.put(kind, (record,))
        if isinstance(record, KeyMaterial) and not record.wrapped:
            self.deleted_material = True

    def delete(self, record: Record) -> None:
        kind = type(record)
        names = {column.name: getattr(record, column.name) for column in TABLES[kind].primary_key}
        self._connection.execute(_DELETES[kind], names)
        self.draft.delete(record)
        self.deleted_material = self.deleted_material or kind in {Key, KeyMaterial}
