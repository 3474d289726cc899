"""SQLite works on the mount: journals, byte-range locks, shared memory, durable commits."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mounts import Volume
from programs import run

WRITERS = 3
TRANSACTIONS = 60


def transfer(path: Path, seed: int) -> None:
    """Move amounts between accounts, one transaction each, some rolled back."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable load
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=FULL")
        for _ in range(TRANSACTIONS):
            amount, first, second = chance.randrange(100), chance.randrange(100), chance.randrange(100)
            database.execute("BEGIN IMMEDIATE")
            database.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, first))
            database.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, second))
            database.execute("INSERT INTO history (note) VALUES (?)", (chance.randbytes(2000),))
            database.execute("ROLLBACK" if chance.random() < 0.2 else "COMMIT")


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "wal"])
def test_concurrent_transactions(volume: Volume, journal: str) -> None:
    """Several writers at once keep the database whole, with every journal mode, across a remount."""
    path = volume.path / "bank.db"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
        database.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)")
        database.execute("CREATE TABLE history (id INTEGER PRIMARY KEY, note BLOB)")
        database.execute("CREATE INDEX by_note ON history (note)")
        database.executemany("INSERT INTO account VALUES (?, 1000)", [(number,) for number in range(100)])
        database.commit()
    writers = [threading.Thread(target=transfer, args=(path, seed)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    before = totals(path)
    volume.remount()
    assert totals(path) == before
    assert before[0] == 100_000
    assert before[1] > WRITERS * TRANSACTIONS / 2


def totals(path: Path) -> tuple[int, int]:
    """Check the whole database and return the sum of the balances and the number of notes."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (balance,) = database.execute("SELECT sum(balance) FROM account").fetchone()
        (notes,) = database.execute("SELECT count(*) FROM history").fetchone()
    return balance, notes


def test_shell_dump_and_vacuum(volume: Volume) -> None:
    """The sqlite3 shell fills, shrinks and dumps a database, and the dump is the same after a remount."""
    path = volume.path / "shell.db"
    fill = (
        "CREATE TABLE number (n INTEGER PRIMARY KEY, text TEXT);"
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000)"
        "INSERT INTO number SELECT n, hex(n*n) FROM c; DELETE FROM number WHERE n % 3 = 0; VACUUM;"
    )
    run("sqlite3", path, fill)
    dump = run("sqlite3", path, ".dump")
    volume.remount()
    assert run("sqlite3", path, ".dump") == dump
    assert run("sqlite3", path, "PRAGMA integrity_check").strip() == "ok"
