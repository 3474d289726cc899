"""Owns the store's file: creating it, locking it, checking its schema, reading it whole. Knows no operations.

WAL with synchronous=FULL: COMMIT returns after the write-ahead log is fsynced. The connection keeps SQLite's
exclusive lock, so a second agent on the same file is refused.
"""

import contextlib
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from agent.durable import sync_directory
from agent.store.errors import StoreCorruptError, StoreInUseError, StoreUnavailableError, StoreVersionError
from agent.store.snapshot import Draft, Snapshot
from agent.store.tables import METADATA, SCHEMA, SCHEMA_VERSION, TABLES, query, reader

_PRAGMAS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)
_RESTORE: Final = "Restore it from a backup."


def open_file(path: Path) -> tuple[Engine, Connection, Snapshot]:
    """Open the store at `path`, creating it where there is none.

    Returns:
        The engine, its one connection, exclusively locked, and what the file contains.

    Raises:
        StoreInUseError: another process has it open.
        StoreVersionError: a newer kms-agent wrote it.
        StoreCorruptError: it is no key store, or damaged.
        StoreUnavailableError: the disk does not let it be opened.
    """
    _create(path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",  # transactions are begun and ended by name
        connect_args={"check_same_thread": False, "timeout": 0},
        poolclass=StaticPool,
    )
    with contextlib.ExitStack() as undo:
        undo.callback(engine.dispose)
        with _translated(path):
            connection = undo.enter_context(engine.connect())
            for pragma in _PRAGMAS:
                connection.exec_driver_sql(pragma)
            _settle_schema(connection, path)
            snapshot = _load(connection, path)
        undo.pop_all()
    return engine, connection, snapshot


def _create(path: Path) -> None:
    """Create the file with its final mode; SQLite gives the same mode to the log beside it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only ever a new file: closing a descriptor of one that is open drops this process's locks on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, flags, 0o600))
            sync_directory(path.parent)
    except OSError as error:
        raise StoreUnavailableError(f"{path} cannot be opened: {error.strerror}.") from error


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate SQLite's errors while opening."""
    try:
        yield
    except OperationalError as error:
        if "locked" in str(error.orig):
            raise StoreInUseError(f"{path} is in use by another kms-agent; stop it first.") from error
        raise StoreUnavailableError(f"{path} cannot be opened: {error.orig}.") from error
    except DatabaseError as error:
        raise StoreCorruptError(f"{path} is damaged: {error.orig}. {_RESTORE}") from error


def _settle_schema(connection: Connection, path: Path) -> None:
    """Create the tables in an empty file; refuse a file that is damaged or not of this version."""
    problem = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if problem != "ok":
        raise StoreCorruptError(f"{path} is damaged: {problem}. {_RESTORE}")
    tables = set(inspect(connection).get_table_names())
    if not tables:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        METADATA.create_all(connection)
        connection.execute(insert(SCHEMA), {"version": SCHEMA_VERSION})
        connection.exec_driver_sql("COMMIT")
    elif not tables >= set(METADATA.tables):
        raise StoreCorruptError(f"{path} is not a key store. {_RESTORE}")
    version = connection.execute(select(SCHEMA.c.version)).scalar_one_or_none()
    if version != SCHEMA_VERSION:
        raise StoreVersionError(
            f"{path} has schema version {version}, this kms-agent knows {SCHEMA_VERSION}. Use the kms-agent "
            "that wrote it, or a newer one."
        )


def _load(connection: Connection, path: Path) -> Snapshot:
    """Read everything."""
    draft = Draft(Snapshot())
    try:
        with _uncollected():
            for kind in TABLES:
                rows = connection.exec_driver_sql(query(kind))
                draft.put(kind, map(reader(kind), rows))
            return draft.publish()
    except (ValueError, TypeError) as error:
        raise StoreCorruptError(f"{path} holds a record that makes no sense: {error}. {_RESTORE}") from error


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Make many objects that stay, without having the collector look at them again and again meanwhile."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Both together count everything as old, without looking at it.
        gc.freeze()
        gc.unfreeze()
        if enabled:
            gc.enable()
