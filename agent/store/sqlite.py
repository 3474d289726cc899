"""Owns the key store on SQLite: one file, one process, every commit durable, every read from memory.

Deleted records are overwritten (secure_delete) and the write-ahead log is emptied after a key is deleted, as
far as a journaling disk lets anything be overwritten.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection, Engine, Table, delete
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from agent.keys.key import Alias, Key, KeyMaterial
from agent.store.errors import StoreUnavailableError
from agent.store.protocol import StoreTransaction
from agent.store.snapshot import Draft, Snapshot
from agent.store.sqlite_file import open_file
from agent.store.tables import ALIASES, KEYS, MATERIALS, to_row


def _upsert(table: Table) -> sqlite.Insert:
    # Not INSERT OR REPLACE: that deletes first, and with a key its materials and aliases.
    statement = sqlite.insert(table)
    columns = (column.name for column in table.columns if not column.primary_key)
    changed = {name: statement.excluded[name] for name in columns}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)


_PUT_KEY: Final = _upsert(KEYS)
_PUT_MATERIAL: Final = _upsert(MATERIALS)
_PUT_ALIAS: Final = _upsert(ALIASES)


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
        return self._snapshot.keys.get((region, key_id))

    def keys(self, region: str) -> Sequence[Key]:
        """Return all keys of the Region, ordered by key id."""
        return self._snapshot.ordered_keys(region)

    def material(self, material_id: str) -> KeyMaterial | None:
        """Return the material with that id, or None."""
        return self._snapshot.materials.get(material_id)

    def materials(self, region: str, key_id: str) -> Sequence[KeyMaterial]:
        """Return the key's materials, ordered by generation."""
        return self._snapshot.materials_of.get((region, key_id), ())

    def alias(self, region: str, name: str) -> Alias | None:
        """Return the alias of that name, or None."""
        return self._snapshot.aliases.get((region, name))

    def aliases(self, region: str) -> Sequence[Alias]:
        """Return all aliases of the Region, ordered by name."""
        return self._snapshot.ordered_aliases(region)

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
                raise AssertionError("a transaction left a material or an alias without its key") from error
            except DatabaseError as error:
                self._roll_back()
                raise StoreUnavailableError(
                    f"The key store did not take the change: {error.orig}. Check the disk and its free space."
                ) from error
            except BaseException:
                self._roll_back()
                raise
            self._snapshot = snapshot
            if transaction.deleted_key:
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

    __slots__ = ("_connection", "deleted_key", "draft")

    def __init__(self, connection: Connection, draft: Draft) -> None:
        self._connection = connection
        self.draft = draft
        self.deleted_key = False

    def put_key(self, key: Key) -> None:
        self._connection.execute(_PUT_KEY, to_row(key))
        self.draft.put_keys((key,))

    def put_material(self, material: KeyMaterial) -> None:
        self._connection.execute(_PUT_MATERIAL, to_row(material))
        self.draft.put_materials((material,))

    def put_alias(self, alias: Alias) -> None:
        self._connection.execute(_PUT_ALIAS, to_row(alias))
        self.draft.put_aliases((alias,))

    def delete_alias(self, region: str, name: str) -> None:
        chosen = (ALIASES.c.region == region) & (ALIASES.c.name == name)
        self._connection.execute(delete(ALIASES).where(chosen))
        self.draft.delete_alias((region, name))

    def delete_key(self, region: str, key_id: str) -> None:
        chosen = (KEYS.c.region == region) & (KEYS.c.key_id == key_id)
        self._connection.execute(delete(KEYS).where(chosen))
        self.draft.delete_key((region, key_id))
        self.deleted_key = True
