"""What someone may do to an audit log: every row must be found, and the untouched log must pass."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.audit.checking.report import Problem
from agent.audit.errors import AuditUnavailableError
from agent.audit.journal import HEAD_INTERVAL
from agent.audit.verify import verify
from auditlogs import open_journal, write_records

RECORDS = 12
Lines = list[bytes]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of twelve records, closed cleanly."""
    path = tmp_path / "audit.jsonl"
    write_records(path, range(RECORDS))
    return path


def first_problem(path: Path) -> Problem:
    """Return the first thing that is wrong with a log."""
    problems = verify(path).problems
    assert problems, "nothing was found"
    return problems[0]


def rechained(line: bytes, sequence: int) -> bytes:
    """Return a line with another sequence number and the hash it had."""
    record = json.loads(line)
    record["chain"]["sequence"] = sequence
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


# What is done to the twelve lines, the first line that must be named (None: the head file), and the reason.
TAMPERING: dict[str, tuple[Callable[[Lines], Lines], int | None, str]] = {
    "first edited": (lambda ls: [ls[0].replace(b"T0", b"T9"), *ls[1:]], 1, "was edited"),
    "middle edited": (lambda ls: [*ls[:5], ls[5].replace(b"T5", b"T9"), *ls[6:]], 6, "was edited"),
    "last edited": (lambda ls: [*ls[:11], ls[11].replace(b"T11", b"T99")], 12, "was edited"),
    "whitespace added": (lambda ls: [*ls[:5], ls[5].replace(b":", b": ", 1), *ls[6:]], 6, "was edited"),
    "hash edited": (lambda ls: [*ls[:5], ls[5][:-5] + b"00" + ls[5][-3:], *ls[6:]], 6, ""),
    "member added after the chain": (
        lambda ls: [*ls[:5], ls[5][:-2] + b',"number":9}\n', *ls[6:]],
        6,
        "is not an audit record",
    ),
    "first dropped": (lambda ls: ls[1:], 1, "is record 2 where record 1 should be"),
    "head cut": (lambda ls: ls[6:], 1, "is record 7 where record 1 should be"),
    "middle dropped": (lambda ls: [*ls[:5], *ls[6:]], 6, "is record 7 where record 6 should be"),
    "dropped and renumbered": (
        lambda ls: [*ls[:5], *(rechained(line, 6 + n) for n, line in enumerate(ls[6:]))],
        6,
        "was edited",
    ),
    "repeated": (lambda ls: [*ls[:6], ls[5], *ls[6:]], 7, "is record 6 where record 7 should be"),
    "swapped": (lambda ls: [*ls[:5], ls[6], ls[5], *ls[7:]], 6, "is record 7 where record 6 should be"),
    "reversed": (lambda ls: ls[::-1], 1, "is record 12"),
    "inserted": (lambda ls: [*ls[:5], b'{"eventTime":"T"}\n', *ls[5:]], 6, "is not an audit record"),
    "empty line": (lambda ls: [*ls[:5], b"\n", *ls[5:]], 6, "is not an audit record"),
    "newline removed": (lambda ls: [*ls[:5], ls[5][:-1], *ls[6:]], 6, ""),
    "no JSON": (lambda ls: [*ls[:5], b"x" * 200 + b"\n", *ls[6:]], 6, "is not an audit record"),
    "zeros": (lambda ls: [*ls[:5], bytes(len(ls[5])), *ls[6:]], 6, ""),
    "last dropped": (lambda ls: ls[:-1], None, "the head file vouches for 12"),
    "tail cut": (lambda ls: ls[:4], None, "the head file vouches for 12"),
    "all cut": (lambda _ls: [], None, "the head file vouches for 12"),
    "cut inside the last line": (lambda ls: [*ls[:11], ls[11][:-20]], 12, "is incomplete"),
    "cut before the last newline": (lambda ls: [*ls[:11], ls[11][:-1]], 12, "is incomplete"),
    "appended": (lambda ls: [*ls, ls[11]], 13, "is record 12 where record 13 should be"),
    "garbage appended": (lambda ls: [*ls, b"garbage"], 13, "is incomplete"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_found(log: Path, name: str) -> None:
    """The verifier names the first line that is wrong and what is wrong with it."""
    tamper, line_number, reason = TAMPERING[name]
    log.write_bytes(b"".join(tamper(log.read_bytes().splitlines(keepends=True))))
    problem = first_problem(log)
    assert (problem.file, problem.line_number) == (log.name, line_number)
    assert reason in problem.reason


def test_untouched(log: Path) -> None:
    """A log that nobody touched verifies, from its first record to its last."""
    found = verify(log)
    assert found.whole
    assert (found.records, found.first_time, found.last_time) == (RECORDS, "T0", "T11")


def test_every_byte_counts(log: Path) -> None:
    """A change of any byte of a record is found."""
    content = log.read_bytes()
    start = content.index(b"\n") + 1
    end = content.index(b"\n", start) + 1
    for position in range(start, end - 1):
        changed = bytearray(content)
        changed[position] ^= 0x01
        log.write_bytes(changed)
        assert first_problem(log).line_number in {2, 3}


def test_a_chain_rewritten_from_the_middle(log: Path, tmp_path: Path) -> None:
    """Records forged with hashes that fit are found by the head file."""
    forged = tmp_path / "forged" / "audit.jsonl"
    write_records(forged, range(100, 100 + RECORDS))
    log.write_bytes(forged.read_bytes())
    problem = first_problem(log)
    assert problem == Problem(log.name, 12, "is not the record that the head file names")


def test_a_record_of_another_chain(log: Path, tmp_path: Path) -> None:
    """One record exchanged for a forged one, whole and of the same number, does not follow the one before."""
    forged = tmp_path / "forged" / "audit.jsonl"
    write_records(forged, range(100, 100 + RECORDS))
    lines = log.read_bytes().splitlines(keepends=True)
    lines[5] = forged.read_bytes().splitlines(keepends=True)[5]
    log.write_bytes(b"".join(lines))
    assert first_problem(log) == Problem(log.name, 6, "does not follow the record before it")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"sequence":"1","hash":"","digests":1}', b"\xff"])
def test_damaged_head_file(log: Path, content: bytes) -> None:
    """A head file that makes no sense is an error for the verifier and for the agent."""
    log.with_suffix(".head").write_bytes(content)
    assert first_problem(log) == Problem("audit.head", None, "is damaged")
    with pytest.raises(AuditUnavailableError, match="damaged"):
        open_journal(log)


def test_missing_head_file(log: Path) -> None:
    """A log without its head file is an error for both, too: a cut tail would not be noticed."""
    log.with_suffix(".head").unlink()
    assert first_problem(log) == Problem("audit.head", None, "is missing")
    with pytest.raises(AuditUnavailableError, match="Restore the whole log"):
        open_journal(log)


REFUSED_AT_START = (
    "tail cut",
    "last dropped",
    "all cut",
    "first edited",
    "middle edited",
    "last edited",
    "head cut",
    "middle dropped",
    "appended",
)


@pytest.mark.parametrize("name", REFUSED_AT_START)
def test_the_agent_does_not_go_on(log: Path, name: str) -> None:
    """An agent does not start on a log that is not as it left it."""
    tamper, _line_number, _reason = TAMPERING[name]
    changed = b"".join(tamper(log.read_bytes().splitlines(keepends=True)))
    log.write_bytes(changed)
    with pytest.raises(AuditUnavailableError):
        open_journal(log)
    assert log.read_bytes() == changed


def test_a_removed_log_is_not_begun_anew(log: Path) -> None:
    """An agent whose log is gone, but not its head file, does not start."""
    log.unlink()
    with pytest.raises(AuditUnavailableError, match="records were removed"):
        open_journal(log)


def test_the_limit_of_a_cut_tail(tmp_path: Path) -> None:
    """After a kill, a tail cut at a line is found back to the head and no further, as the docstring says."""
    path = tmp_path / "audit.jsonl"
    journal = open_journal(path)
    for number in range(HEAD_INTERVAL + 10):
        journal.write([b'{"number":%d}' % number])
        journal.make_ready()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:HEAD_INTERVAL]))
    assert verify(path).records == HEAD_INTERVAL
    path.write_bytes(b"".join(lines[: HEAD_INTERVAL - 1]))
    assert "the head file vouches for" in first_problem(path).reason
    path.write_bytes(b"".join(lines))
    journal.close()


def test_the_chain_goes_on_after_a_restart(log: Path) -> None:
    """Records of a second run follow those of the first, and a torn line between them is cut."""
    with log.open("ab") as file:
        file.write(b'{"number":12,"chain":{"sequence":13,"prev')
    write_records(log, range(RECORDS, 20))
    assert verify(log).records == 20
    assert [json.loads(line)["number"] for line in log.read_bytes().splitlines()] == list(range(20))
