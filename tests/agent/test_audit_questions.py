"""`kms-agent audit` on files, with no agent there: query, usage, verify and public-key."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.audit.entry import AuditEntry
from agent.audit.journal import HOUR_SECONDS
from agent.audit.layout import digest_paths, sealed_paths
from agent.cli import kms_agent
from agent.cli.exits import Exit, exit_of
from agent.keys.principal import Principal
from auditlogs import TIME, open_journal
from samples import ACCOUNT_ID, ALICE, REGION, ROOT, a_key

OTHER = a_key("99999999-12ab-34cd-56ef-1234567890ab").arn
DAY = 24 * HOUR_SECONDS

# Who, what, which keys, on which day, and with which error.
EVENTS: list[tuple[Principal | None, str, list[str], int, str | None]] = [
    (ROOT, "CreateKey", [a_key().arn], 0, None),
    (ALICE, "Encrypt", [a_key().arn], 0, None),
    (ALICE, "Encrypt", [a_key().arn], 0, None),
    (ALICE, "Decrypt", [OTHER], 1, "AccessDeniedException"),
    (ALICE, "ReEncrypt", [a_key().arn, OTHER], 1, None),
    (ROOT, "Decrypt", [OTHER], 2, "DisabledException"),
    (None, "RotateKey", [a_key().arn], 2, None),
    (Principal("", "", "", access_key_id="AKIA"), "ListKeys", [], 2, "InvalidSignatureException"),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three days, each sealed."""
    path = tmp_path / "audit.jsonl"
    journal = open_journal(path)
    for number, (principal, name, arns, day, error) in enumerate(EVENTS):
        entry = AuditEntry(
            principal,
            name,
            f"request-{number}",
            f"event-{number}",
            TIME + day * DAY,
            "unix",
            REGION,
            ACCOUNT_ID,
        )
        entry.error_code = error
        for arn in arns:
            entry.add_resource(arn)
        if journal.is_due(TIME + day * DAY):
            journal.seal(TIME + day * DAY)
        journal.write([encoded(entry)])
    journal.close()
    assert len(sealed_paths(path)) == 2
    return path


def encoded(entry: AuditEntry) -> bytes:
    """Return an entry's record as the log has it."""
    return json.dumps(entry.to_record(), separators=(",", ":")).encode()


def run(*arguments: str | Path) -> Result:
    """Run a command of `kms-agent audit`."""
    return CliRunner().invoke(kms_agent, ["audit", *map(str, arguments)])


QUESTIONS: list[tuple[list[str], list[int]]] = [
    ([], [0, 1, 2, 3, 4, 5, 6, 7]),
    (["--key", a_key().arn], [0, 1, 2, 4, 6]),
    (["--key", a_key().key_id], [0, 1, 2, 4, 6]),
    (["--key", a_key().key_id[:-1]], []),
    (["--principal", "alice"], [1, 2, 3, 4]),
    (["--principal", ALICE.arn], [1, 2, 3, 4]),
    (["--principal", "lice"], []),
    (["--principal", "AWS Internal"], [6]),
    (["--principal", "Unknown"], [7]),
    (["--event", "Decrypt"], [3, 5]),
    (["--action", "kms:Decrypt"], [3, 5]),
    (["--since", "2027-01-16"], [3, 4, 5, 6, 7]),
    (["--since", "2027-01-17T08:00:00"], [5, 6, 7]),
    (["--since", "2027-01-17T10:00:00+02:00"], [5, 6, 7]),
    (["--until", "2027-01-16"], [0, 1, 2]),
    (["--since", "2027-01-16", "--until", "2027-01-17"], [3, 4]),
    (["--outcome", "success"], [0, 1, 2, 4, 6]),
    (["--outcome", "denied"], [3, 7]),
    (["--outcome", "error"], [5]),
    (["--request-id", "request-4"], [4]),
    (["--principal", "alice", "--key", OTHER, "--outcome", "denied"], [3]),
]


@pytest.mark.parametrize(
    ("options", "expected"), QUESTIONS, ids=[" ".join(row[0]) or "all" for row in QUESTIONS]
)
def test_query(log: Path, options: list[str], expected: list[int]) -> None:
    """Each option leaves out what does not fit; the records come as they are in the log, oldest first."""
    result = run("query", log, "--json", *options)
    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["requestID"] for record in found] == [f"request-{number}" for number in expected]
    words = run("query", log, *options).stdout.splitlines()
    assert [line.split("  ")[-1] for line in words] == [f"request-{number}" for number in expected]


def test_query_in_words(log: Path) -> None:
    """For people there is one line each: when, what, who, which keys, how it ended, and the request."""
    result = run("query", log, "--request-id", "request-4")
    words = ["2027-01-16T08:00:00Z", "ReEncrypt", ALICE.arn, f"{a_key().arn}, {OTHER}", "ok", "request-4"]
    assert result.stdout == "  ".join(words) + "\n"


def test_usage(log: Path) -> None:
    """Records are counted by day, key, caller, operation and outcome; ReEncrypt counts for both keys."""
    result = run("usage", log, "--json", "--principal", "alice")
    counted = [tuple(row.values()) for row in json.loads(result.stdout)]
    assert counted == [
        ("2027-01-15", a_key().arn, ALICE.arn, "Encrypt", "success", 2),
        ("2027-01-16", a_key().arn, ALICE.arn, "ReEncrypt", "success", 1),
        ("2027-01-16", OTHER, ALICE.arn, "Decrypt", "denied", 1),
        ("2027-01-16", OTHER, ALICE.arn, "ReEncrypt", "success", 1),
    ]
    one_key = json.loads(run("usage", log, "--json", "--key", OTHER, "--since", "2027-01-16").stdout)
    assert {row["key"] for row in one_key} == {OTHER}
    assert "ReEncrypt" in run("usage", log).stdout


@pytest.mark.parametrize("command", ["query", "usage", "verify", "public-key"])
def test_no_log(tmp_path: Path, command: str) -> None:
    """Where there is no log, each says so."""
    result = run(command, tmp_path / "audit.jsonl")
    assert isinstance(result.exception, Exception)
    assert exit_of(result.exception) is Exit.AUDIT


def test_a_time_that_is_none(log: Path) -> None:
    """A time that cannot be read is an error of the command line."""
    result = run("query", log, "--since", "yesterday")
    assert (result.exit_code, "2026-01-31" in result.stderr) == (Exit.USAGE, True)


def test_verify(log: Path, tmp_path: Path) -> None:
    """It tells what is there, and with an error what is wrong and what the signatures still vouch for."""
    whole = run("verify", log)
    assert whole.exit_code == 0
    assert "whole" in whole.stdout
    told = json.loads(run("verify", log, "--json").stdout)
    assert (told["whole"], told["records"], told["trusted"], told["digests"]) == (True, 8, [[1, 5]], 3)
    key = tmp_path / "kept.pem"
    key.write_text(run("public-key", log).stdout)
    assert (
        run("verify", log, "--public-key", key, "--known", digest_paths(log)[1], "--complete").exit_code == 0
    )
    sealed = sealed_paths(log)[1]
    sealed.write_bytes(sealed.read_bytes().replace(b"Decrypt", b"Encrypt", 1))
    broken = run("verify", log, "--json")
    assert isinstance(broken.exception, Exception)
    assert exit_of(broken.exception) is Exit.AUDIT
    told = json.loads(broken.stdout)
    assert told["problems"] == [
        {"file": sealed.name, "line": 1, "reason": "was edited: its hash does not fit its content"}
    ]
    assert told["trusted"] == [[1, 3], [5, 5]]
    assert "NOT what the agent wrote" in run("verify", log).stdout
