"""What someone may do to a log that is sealed by digests: it is found, and what is still true is told."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audit.chain import GENESIS, Link, extend
from agent.audit.errors import AuditUnavailableError, AuditVerificationError
from agent.audit.journal import HOUR_SECONDS, Journal
from agent.audit.layout import digest_paths, sealed_paths
from agent.audit.verify import Demands, verify
from agent.crypto.digestkey import DigestKey
from auditlogs import SEED, TIME, open_journal, small_record, write_hours

HOURS = 4
PER_HOUR = 5
ALL = HOURS * PER_HOUR + 2


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """A log of four hours with five records each, and two records after them; not to be touched."""
    with tempfile.TemporaryDirectory() as directory:
        write_hours(Path(directory) / "audit.jsonl", HOURS, PER_HOUR)
        yield Path(directory) / "audit.jsonl"


@pytest.fixture
def log(original: Path, tmp_path: Path) -> Path:
    """A copy of that log."""
    shutil.copytree(original.parent, tmp_path / "log")
    return tmp_path / "log" / original.name


def rewritten(path: Path, first: int) -> None:
    """Write everything from a record on anew, with hashes that fit, in the log and in its head."""
    link, forging = GENESIS, False
    for file in (*sealed_paths(path), path):
        lines = []
        for line in file.read_bytes().splitlines():
            record = json.loads(line)
            chain = record.pop("chain")
            forging = forging or chain["sequence"] == first
            record |= {"forged": True} if forging else {}
            content, link = (
                extend(link, json.dumps(record).encode())
                if forging
                else (line + b"\n", Link(chain["sequence"], chain["hash"]))
            )
            lines.append(content)
        file.write_bytes(b"".join(lines))
    head = {"sequence": link.sequence, "hash": link.digest, "digests": HOURS + 1}
    path.with_suffix(".head").write_text(json.dumps(head))


def swap(one: Path, other: Path) -> None:
    """Exchange the contents of two files."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def replace(path: Path, old: bytes, new: bytes) -> None:
    """Edit a file."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def drop_line(path: Path, number: int) -> None:
    """Drop a line of a file."""
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number - 1]
    path.write_bytes(b"".join(lines))


# What is done, which file must be named first, why, and which records are still shown to be true.
TAMPERING: dict[str, tuple[Callable[[Path], object], str, str, list[tuple[int, int]]]] = {
    "a record of the first hour edited": (
        lambda log: replace(sealed_paths(log)[0], b'"T2"', b'"T9"'),
        "audit-00000002-20270115T090000Z.jsonl, line 3: was edited",
        "",
        [(4, 20)],
    ),
    "a record of the third hour dropped": (
        lambda log: drop_line(sealed_paths(log)[2], 3),
        "audit-00000004-20270115T110000Z.jsonl, line 3",
        "is record 14 where record 13 should be",
        [(1, 10), (14, 20)],
    ),
    "the log rewritten from record 7 on": (
        lambda log: rewritten(log, 7),
        "audit-00000003-20270115T100000Z.jsonl, line 5",
        "not the record that a digest signed",
        [(1, 5)],
    ),
    "all of the log rewritten": (
        lambda log: rewritten(log, 1),
        "audit-00000002-20270115T090000Z.jsonl, line 5",
        "not the record that a digest signed",
        [],
    ),
    "two hours exchanged": (
        lambda log: swap(sealed_paths(log)[1], sealed_paths(log)[2]),
        "audit-00000003-20270115T100000Z.jsonl, line 1",
        "is record 11 where record 6 should be",
        [(1, 5), (11, 15), (6, 10), (16, 20)],
    ),
    "an hour removed": (
        lambda log: sealed_paths(log)[1].unlink(),
        "audit-00000003-20270115T100000Z.jsonl",
        "is missing, with records 6 to 10",
        [(1, 5), (11, 20)],
    ),
    "an hour cut": (
        lambda log: sealed_paths(log)[1].write_bytes(b""),
        "audit-00000003-20270115T100000Z.jsonl",
        "ends with record 5, but was sealed with record 10",
        [(1, 5), (11, 20)],
    ),
    "the newest file emptied": (
        lambda log: log.write_bytes(b""),
        "audit.jsonl",
        "ends with record 20, but the head file vouches for 22",
        [(1, 20)],
    ),
    "a digest edited": (
        lambda log: replace(digest_paths(log)[2], b'"lastSequence":10', b'"lastSequence":11'),
        "audit-00000003-20270115T100000Z.json",
        "its signature does not fit",
        [(1, 20)],
    ),
    "a digest removed": (
        lambda log: digest_paths(log)[2].unlink(),
        "audit-00000003-20270115T100000Z.jsonl",
        "its digest is missing",
        [(1, 20)],
    ),
    "two digests exchanged": (
        lambda log: swap(digest_paths(log)[1], digest_paths(log)[2]),
        "audit-00000002-20270115T090000Z.json",
        "digests were exchanged or renamed",
        [(1, 20)],
    ),
    "the newest digest removed": (
        lambda log: digest_paths(log)[-1].unlink(),
        "audit-00000005-20270115T120000Z.jsonl",
        "its digest is missing",
        [(1, 15)],
    ),
    "the newest digest and its file removed": (
        lambda log: (digest_paths(log)[-1].unlink(), sealed_paths(log)[-1].unlink()),
        "audit.jsonl, line 1",
        "is record 21 where record 16 should be",
        [(1, 15)],
    ),
    "a file planted": (
        lambda log: (log.parent / "audit-00000009-20270115T130000Z.jsonl").write_bytes(b""),
        "audit-00000009-20270115T130000Z.jsonl",
        "is named by no digest",
        [(1, 20)],
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_found(log: Path, name: str) -> None:
    """The verifier names what is wrong first, and says which records the signatures still vouch for."""
    tamper, where, reason, trusted = TAMPERING[name]
    tamper(log)
    report = verify(log)
    assert str(report.problems[0]).startswith(where)
    assert reason in report.problems[0].reason
    assert list(report.trusted) == trusted


def test_untouched(log: Path) -> None:
    """A log that nobody touched verifies, and only what came after the newest digest is not signed."""
    report = verify(log, Demands(complete=True))
    assert report.whole
    assert (report.records, report.digests, report.signed_record) == (ALL, HOURS + 1, 20)
    assert report.trusted == ((1, 20),)
    assert report.signed_until == "2027-01-15T12:00:00Z"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_of_a_byte_or_line_is_found(original: Path, data: st.DataObject) -> None:
    """Whatever byte of a log file or digest is changed, and whatever lines are dropped or exchanged."""
    files = [*sealed_paths(original), original, *digest_paths(original)]
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    changes = [flipped(content, data)]
    if len(lines) > 1:
        one, other = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
        exchanged = list(lines)
        exchanged[one], exchanged[other] = lines[other], lines[one]
        changes += [
            b"".join(exchanged),
            b"".join(lines[:one] + lines[one + 1 :]),
            b"".join([*lines, lines[one]]),
        ]
    changes.append(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        for change in changes:
            path.write_bytes(change)
            assert verify(original).problems
    finally:
        path.write_bytes(content)
    assert verify(original).whole


def flipped(content: bytes, data: st.DataObject) -> bytes:
    """Return content with one byte changed."""
    position = data.draw(st.integers(0, len(content) - 1))
    return (
        content[:position]
        + bytes([content[position] ^ data.draw(st.integers(1, 255))])
        + content[position + 1 :]
    )


def test_older_files_may_be_moved_away(log: Path) -> None:
    """Without its oldest files a log verifies from the first that is left, unless all of it is asked for."""
    for path in sealed_paths(log)[:2]:
        path.unlink()
    report = verify(log)
    assert report.whole
    assert (report.first_record, report.records, report.trusted) == (11, ALL - 10, ((11, 20),))
    assert not verify(log, Demands(complete=True)).whole
    for path in digest_paths(log)[:3]:
        path.unlink()
    report = verify(log)
    assert report.whole
    assert (report.first_record, report.digests) == (11, HOURS - 2)
    assert not verify(log, Demands(complete=True)).whole
    open_journal(log, TIME + (HOURS + 1) * HOUR_SECONDS).close()


def test_all_that_is_sealed_may_be_moved_away(log: Path) -> None:
    """Only the newest digest must stay; the agent goes on, and the log verifies from there."""
    for path in (*sealed_paths(log), *digest_paths(log)[:-1]):
        path.unlink()
    report = verify(log)
    assert report.whole
    assert (report.first_record, report.records, report.trusted) == (21, 2, ())
    write = open_journal(log, TIME + (HOURS + 1) * HOUR_SECONDS)
    write.seal(TIME + (HOURS + 1) * HOUR_SECONDS)
    write.close()
    assert verify(log).trusted == ((21, 22),)


def test_a_key_kept_elsewhere(log: Path) -> None:
    """Whoever signs all digests anew with a key of theirs is found by a copy of the key."""
    public_key = log.parent / "digests" / "public-key.pem"
    kept = public_key.read_bytes()
    shutil.rmtree(log.parent)
    journal = open_journal(log, seed=b"forged".ljust(32, b"."))
    journal.write([small_record(0)])
    journal.seal(TIME + HOUR_SECONDS)
    journal.close()
    assert verify(log).whole
    report = verify(log, Demands(public_key=kept))
    reasons = [problem.reason for problem in report.problems]
    assert "is not the key that was given: it was exchanged" in reasons
    assert report.trusted == ()
    public_key.write_bytes(kept)
    assert not verify(log).whole
    with pytest.raises(AuditUnavailableError, match="not the key that this agent signs with"):
        open_journal(log, seed=b"forged".ljust(32, b"."))


def test_a_digest_kept_elsewhere(log: Path) -> None:
    """A log that was cut back consistently, head and digests too, is found by a copy of a later digest."""
    kept = digest_paths(log)[-1].read_bytes()
    assert verify(log, Demands(known=kept)).whole
    for path in (digest_paths(log)[-1], sealed_paths(log)[-1]):
        path.unlink()
    log.write_bytes(b"")
    last = json.loads(sealed_paths(log)[-1].read_bytes().splitlines()[-1])["chain"]
    head = {"sequence": last["sequence"], "hash": last["hash"], "digests": HOURS}
    log.with_suffix(".head").write_text(json.dumps(head))
    assert verify(log).whole
    (problem,) = verify(log, Demands(known=kept)).problems
    assert "kept elsewhere is not among them" in problem.reason


def test_a_digest_of_another_history(log: Path, tmp_path: Path) -> None:
    """Of a log that was gone on with twice, from one backup, no digest fits into the other."""
    other = tmp_path / "other"
    shutil.copytree(log.parent, other)
    for path, account_id in ((log, "1" * 12), (other / log.name, "2" * 12)):
        now = TIME + HOURS * HOUR_SECONDS
        journal = Journal.open(path, key=DigestKey(SEED), account_id=account_id, now=now)
        for hour in (1, 2):
            journal.seal(now + hour * HOUR_SECONDS)
        journal.close()
    shutil.copy(digest_paths(other / log.name)[-2], log.parent / "digests")
    (problem,) = verify(log).problems
    assert problem.file == digest_paths(log)[-1].name
    assert "names another digest before it" in problem.reason


def test_nothing_to_check_with(log: Path, tmp_path: Path) -> None:
    """Without a log, or without any public key, nothing can be said."""
    with pytest.raises(AuditVerificationError, match="no log"):
        verify(tmp_path / "nowhere" / "audit.jsonl")
    (log.parent / "digests" / "public-key.pem").unlink()
    with pytest.raises(AuditVerificationError, match="public-key"):
        verify(log)
    with pytest.raises(AuditVerificationError, match="not a public key"):
        verify(log, Demands(public_key=b"no key"))


def test_the_agent_does_not_go_on(log: Path) -> None:
    """An agent does not start when its newest digest is gone, edited, or another agent's."""
    newest = digest_paths(log)[-1]
    content = newest.read_bytes()
    newest.unlink()
    with pytest.raises(AuditUnavailableError, match="digests were removed"):
        open_journal(log)
    newest.write_bytes(content.replace(b"12:00", b"12:30"))
    with pytest.raises(AuditUnavailableError, match="not signed by this agent"):
        open_journal(log)
    newest.write_bytes(content)
    with pytest.raises(AuditUnavailableError, match="not the key"):
        open_journal(log, seed=bytes(32))
    open_journal(log).close()


def test_openssl_agrees(log: Path, tmp_path: Path) -> None:
    """What the how-to says about checking a digest by hand is so."""
    digest = digest_paths(log)[2]
    content = digest.read_bytes()
    (tmp_path / "signed").write_bytes(content[:-145])
    (tmp_path / "signature").write_bytes(bytes.fromhex(json.loads(content)["signature"]))
    key = log.parent / "digests" / "public-key.pem"
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin"]
    command += ["-in", tmp_path / "signed", "-sigfile", tmp_path / "signature"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    sealed = sealed_paths(log)[1]
    (file,) = json.loads(content)["logFiles"]
    assert file["name"] == sealed.name
    assert file["hashValue"] == hashlib.sha256(sealed.read_bytes()).hexdigest()


def test_the_verifier_shares_no_code_with_the_writer() -> None:
    """Checking loads nothing of what writes lines, digests, heads or checkpoints."""
    program = "import sys; import agent.audit.verify; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    ours = {name for name in loaded.stdout.split() if name.startswith("agent.audit.")}
    parts = {f"agent.audit.checking.{name}" for name in ("digests", "files", "lines", "report", "walk")}
    assert ours == {"agent.audit.checking", "agent.audit.errors", "agent.audit.verify", *parts}
