"""Audit logs of a test's own: opened with a fixed key, at a fixed time, filled with small records."""

import json
from collections.abc import Callable
from pathlib import Path

from agent.audit.journal import HOUR_SECONDS, Journal
from agent.audit.log import AuditLog
from agent.crypto.digestkey import DigestKey
from samples import ACCOUNT_ID, REGION

TIME = 1_800_000_000.0
"""A full hour."""

SEED = b"digests of tests".ljust(32, b".")


def open_journal(path: Path, now: float = TIME, seed: bytes = SEED) -> Journal:
    """Open a log for writing."""
    return Journal.open(path, key=DigestKey(seed), account_id=ACCOUNT_ID, now=now)


def open_log(path: Path, now: Callable[[], float] = lambda: TIME) -> AuditLog:
    """Open a log whose clock stands still."""
    return AuditLog.open(path, digest_seed=SEED, region=REGION, account_id=ACCOUNT_ID, now=now)


def small_record(number: int) -> bytes:
    """Return a record with a time that tells its number."""
    return json.dumps({"eventTime": f"T{number}", "number": number}).encode()


def write_records(path: Path, numbers: range, now: float = TIME) -> None:
    """Append records to a log, in batches of five, and close it."""
    journal = open_journal(path, now)
    records = [small_record(number) for number in numbers]
    for start in range(0, len(records), 5):
        journal.write(records[start : start + 5])
        journal.make_ready()
    journal.close()


def write_hours(path: Path, hours: int, records_per_hour: int = 5, unsealed: int = 2) -> None:
    """Make a log of several hours, each sealed with its digest, and a few records after them."""
    journal = open_journal(path)
    number = 0
    for hour in range(1, hours + 1):
        for _ in range(records_per_hour):
            journal.write([small_record(number)])
            number += 1
        journal.seal(TIME + hour * HOUR_SECONDS)
    for _ in range(unsealed):
        journal.write([small_record(number)])
        number += 1
    journal.make_ready()
    journal.close()
