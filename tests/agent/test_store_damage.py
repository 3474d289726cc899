"""Stores that are damaged, of another version, or none: refused before anything in them is served."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from agent.store.errors import StoreCorruptError, StoreVersionError
from agent.store.sqlite import SqliteStore
from samples import a_key, a_material


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is made."""
    return tmp_path / "state" / "keys.sqlite"


def test_a_newer_store_is_refused(path: Path) -> None:
    """A store of a later schema is not touched."""
    SqliteStore.open(path).close()
    execute(path, "UPDATE schema_version SET version = 3")
    with pytest.raises(StoreVersionError, match="version 3"):
        SqliteStore.open(path)


@pytest.mark.parametrize(
    ("damage", "refusal"),
    [
        ("UPDATE keys SET key_state = 'Frozen'", "makes no sense"),
        ("UPDATE materials SET rotation_type = 'SOMEHOW'", "makes no sense"),
        ("DROP TABLE aliases", "not a key store"),
    ],
)
def test_damaged_records_are_refused(path: Path, damage: str, refusal: str) -> None:
    """A record that makes no sense stops the agent from starting instead of being served."""
    with SqliteStore.open(path) as store, store.write() as transaction:
        transaction.put(a_key())
        transaction.put(a_material())
    execute(path, damage)
    with pytest.raises(StoreCorruptError, match=refusal):
        SqliteStore.open(path)


def test_a_file_that_is_no_database(path: Path) -> None:
    """Anything else in the store's place is refused and left alone."""
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be taken for one " * 100)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError):
        SqliteStore.open(path)
    assert path.read_bytes() == before


def test_damaged_pages_are_found(path: Path) -> None:
    """A page overwritten with noise stops the agent from starting."""
    with SqliteStore.open(path) as store, store.write() as transaction:
        for number in range(50):
            transaction.put(replace(a_key(f"k{number}"), description="x" * 2000))
    content = bytearray(path.read_bytes())
    content[4096 * 4 : 4096 * 12] = b"\x5a" * (4096 * 8)
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match="damaged"):
        SqliteStore.open(path)


def execute(path: Path, statement: str) -> None:
    """Change a closed store behind its back."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
