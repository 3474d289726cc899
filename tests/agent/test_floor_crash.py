"""kill -9 of a process that writes: whatever it was told to be durable is there, and the rest is whole."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.audit.journal import HOUR_SECONDS
from agent.audit.layout import digest_paths, sealed_paths
from agent.audit.reading import lines
from agent.audit.verify import verify
from agent.store.sqlite import SqliteStore
from auditlogs import TIME, open_journal, write_hours, write_records
from samples import REGION, a_key

ROUNDS = 8

# Each writes for ever and says what is durable as soon as it is told so.
STORE_WRITER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from agent.store.sqlite import SqliteStore
from samples import a_key, a_material, an_alias
with SqliteStore.open(Path(sys.argv[1])) as store:
    number = int(sys.argv[2])
    while True:
        number += 1
        key = a_key(f"key-{number:06}")
        with store.write() as transaction:
            transaction.put(an_alias(f"alias/{number:06}", key.key_id))
            transaction.put(key)
            transaction.put(a_material(number, key))
            if number % 3 == 0:
                transaction.delete(a_key(f"key-{number - 1:06}"))
        os.write(1, b"%d\\n" % number)
"""
AUDIT_WRITER = """
import os, sys, time
from pathlib import Path
import trio
from auditlogs import TIME, open_log
from samples import ALICE

start = time.monotonic()

def now():
    # An hour goes by in 36 ms, so that files are sealed all the time.
    return TIME + 360_000 * int(sys.argv[2]) + 100_000 * (time.monotonic() - start)

async def write(log, writer):
    number = 0
    while True:
        number += 1
        name = f"{sys.argv[2]}-{writer}-{number}"
        async with log.entry(ALICE, "Decrypt", name, "unix"):
            pass
        os.write(1, name.encode() + b"\\n")

async def main():
    log = open_log(Path(sys.argv[1]), now)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        for writer in range(8):
            nursery.start_soon(write, log, writer)

trio.run(main)
"""


def killed_after(program: str, path: Path, argument: str, answers: int) -> list[str]:
    """Run a writer, kill it when it has said that many things, and return all that it said."""
    writer = subprocess.Popen(
        [sys.executable, "-c", program, path, argument],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    with writer:
        assert writer.stdout is not None
        try:
            said = [writer.stdout.readline() for _ in range(answers)]
        finally:
            writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
    # A pipe keeps small writes whole, so that every line is one that was written whole.
    return [line.decode().removesuffix("\n") for line in said if line]


def test_the_store_loses_nothing(tmp_path: Path) -> None:
    """After kill -9 every committed transaction is there, whole, and none in part."""
    path = tmp_path / "keys.sqlite"
    number = 0
    for round_number in range(ROUNDS):
        said = killed_after(STORE_WRITER, path, str(number), 5 + 13 * round_number)
        durable = int(said[-1])
        with SqliteStore.open(path) as store:
            number = len(store.keys(REGION)) and int(store.keys(REGION)[-1].key_id[4:])
            # One more may have been committed without the writer having lived to say so.
            assert number in {durable, durable + 1}
            expected = [n for n in range(1, number + 1) if n % 3 != 2 or n == number]
            assert [key.key_id for key in store.keys(REGION)] == [f"key-{n:06}" for n in expected]
            assert [alias.target_key_id for alias in store.aliases(REGION)] == [
                key.key_id for key in store.keys(REGION)
            ]
            assert all(len(store.materials(REGION, key.key_id)) == 1 for key in store.keys(REGION))
            assert store.key(REGION, f"key-{number:06}") == a_key(f"key-{number:06}")


def test_the_audit_log_loses_nothing(tmp_path: Path) -> None:
    """After kill -9 every record that was answered for is in the log, which verifies after each restart."""
    path = tmp_path / "audit.jsonl"
    answered: set[str] = set()
    for round_number in range(ROUNDS):
        answered |= set(killed_after(AUDIT_WRITER, path, str(round_number), 40 + 211 * round_number))
        open_journal(path).close()
        report = verify(path)
        recorded = [json.loads(line)["requestID"] for line in lines(path)]
        assert not report.problems
        assert report.records == report.last_record == len(recorded)
        assert answered <= set(recorded)
    assert len(answered) > 40 * ROUNDS
    assert len(sealed_paths(path)) > ROUNDS


def test_every_torn_end_is_repaired(tmp_path: Path) -> None:
    """Wherever a crash tears the last line, the log goes on after the line before; a whole one is kept."""
    path = tmp_path / "audit.jsonl"
    write_records(path, range(2))
    durable, head = path.read_bytes(), path.with_suffix(".head").read_bytes()
    write_records(path, range(2, 3))
    whole = path.read_bytes()
    for length in range(len(durable), len(whole) + 1):
        path.write_bytes(whole[:length])
        path.with_suffix(".head").write_bytes(head)
        open_journal(path).close()
        assert path.read_bytes() == (whole if length == len(whole) else durable)
        assert verify(path).records == (3 if length == len(whole) else 2)


SEALED = ("as it was", "digest only", "renamed", "new file", "new head")


@pytest.mark.parametrize("reached", SEALED)
def test_a_seal_is_completed(tmp_path: Path, reached: str) -> None:
    """Wherever a crash ends the sealing of a file, the log verifies before and after the next start."""
    before, after = tmp_path / "before", tmp_path / "after"
    path = before / "audit.jsonl"
    write_hours(path, 2)
    shutil.copytree(before, after)
    journal = open_journal(after / path.name, TIME + 2 * HOUR_SECONDS)
    journal.seal(TIME + 3 * HOUR_SECONDS)
    journal.close()
    step = SEALED.index(reached)
    digest, sealed = digest_paths(after / path.name)[-1], sealed_paths(after / path.name)[-1]
    if step >= 1:
        shutil.copy(digest, before / "digests")
    if step >= 2:
        path.rename(before / sealed.name)
    if step >= 3:
        path.touch()
    if step >= 4:
        shutil.copy(after / "audit.head", before)
    assert [problem.reason for problem in verify(path).problems] == (["is missing"] if step == 2 else [])
    open_journal(path).close()
    report = verify(path)
    assert not report.problems
    assert (report.records, report.digests) == (12, 3 + (step > 0))
    assert len(sealed_paths(path)) == 2 + (step > 0)


def test_checks_while_it_is_written(tmp_path: Path) -> None:
    """A log that is written and sealed all the time is whole to every look at it, and read without a gap."""
    path = tmp_path / "audit.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", AUDIT_WRITER, path, "0"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    ) as writer:
        assert writer.stdout is not None
        try:
            for _ in range(5):
                for _ in range(200):
                    writer.stdout.readline()
                report = verify(path)
                assert not report.problems
                sequences = [json.loads(line)["chain"]["sequence"] for line in lines(path)]
                assert sequences == list(range(1, len(sequences) + 1))
                assert len(sequences) >= report.records
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.stdout.close()
