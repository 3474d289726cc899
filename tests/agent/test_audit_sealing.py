"""When files are sealed and digests written: every hour, whatever the clock and the agent did meanwhile."""

import json
from pathlib import Path

import pytest

from agent.audit.layout import digest_paths, sealed_paths, timestamp
from agent.audit.verify import Demands, verify
from agent.crypto.digestkey import DigestKey
from auditlogs import TIME, open_journal, small_record


def periods(log: Path) -> list[tuple[str, str]]:
    """Return the periods of a log's digests, in hours and minutes."""
    digests = [json.loads(path.read_bytes()) for path in digest_paths(log)]
    return [(digest["digestStartTime"][11:16], digest["digestEndTime"][11:16]) for digest in digests]


def test_hours_without_an_agent(tmp_path: Path) -> None:
    """Periods follow one another without a gap, whether anything was recorded or anybody was there."""
    log = tmp_path / "audit.jsonl"
    journal = open_journal(log, TIME + 600)
    assert not journal.is_due(TIME + 3599)
    assert journal.is_due(TIME + 3600)
    journal.seal(TIME + 3600.2)
    assert not journal.is_due(TIME + 3601)
    journal.write([small_record(0)])
    journal.close()
    journal = open_journal(log, TIME + 5.5 * 3600)
    assert journal.is_due(TIME + 5.5 * 3600)
    journal.seal(TIME + 5.5 * 3600)
    journal.close()
    assert periods(log) == [("08:10", "08:10"), ("08:10", "09:00"), ("09:00", "13:00")]
    assert [path.name for path in sealed_paths(log)] == ["audit-00000003-20270115T130000Z.jsonl"]
    assert verify(log, Demands(complete=True)).whole


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    """After the clock was set back there is a digest each hour all the same, and periods do not overlap."""
    log = tmp_path / "audit.jsonl"
    journal = open_journal(log, TIME)
    journal.seal(TIME + 10 * 3600)
    assert journal.is_due(TIME + 1800)
    for hour in range(2):
        journal.write([small_record(hour)])
        journal.seal(TIME + 1800 + hour * 3600)
        assert not journal.is_due(TIME + 1801 + hour * 3600)
    journal.close()
    journal = open_journal(log, TIME + 2 * 3600)
    assert not journal.is_due(TIME + 2 * 3600)
    journal.close()
    assert periods(log) == [("08:00", "08:00"), ("08:00", "18:00"), ("18:00", "18:00"), ("18:00", "18:00")]
    assert verify(log).whole


def test_a_full_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is big enough is sealed before its hour is over."""
    monkeypatch.setattr("agent.audit.journal.SEAL_BYTES", 1000)
    log = tmp_path / "audit.jsonl"
    journal = open_journal(log, TIME)
    for number in range(20):
        journal.write([small_record(number)])
        if journal.is_due(TIME + number):
            journal.seal(TIME + number)
    journal.close()
    assert len(sealed_paths(log)) > 2
    assert verify(log).records == 20


def test_what_the_key_is_derived_from() -> None:
    """The key of digests is Ed25519 of its seed, as RFC 8032 has it, and does not show itself."""
    # RFC 8032, section 7.1, test 1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = DigestKey(seed)
    assert (
        key.sign(b"")
        .hex()
        .startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215")
    )
    assert repr(key) == "<DigestKey>"


def test_timestamps() -> None:
    """Times are written as CloudTrail writes them."""
    assert timestamp(TIME + 0.9) == "2027-01-15T08:00:00Z"
