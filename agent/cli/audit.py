"""``kms-agent audit``: checking and reading the log that the agent keeps, without the agent."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from agent.audit import query as questions
from agent.audit.errors import AuditVerificationError
from agent.audit.layout import log_paths, public_key_path
from agent.audit.query import Outcome, Question
from agent.audit.reading import lines
from agent.audit.verify import Demands, checked
from agent.cli.options import config_option, json_option
from agent.cli.printing import print_fields, print_json, print_line, print_table
from agent.config import load
from agent.crypto.digestkey import PublicKey, PublicKeyError
from agent.places import standard_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.audit.checking.report import Report
    from agent.audit.reading import Record
    from agent.audit.verify import Progress

_PROGRESS_BYTES = 64 * 1024 * 1024
_MAX_FILE_BYTES = 64 * 1024

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_log_argument = click.argument("log", required=False, type=click.Path(dir_okay=False, path_type=Path))


@click.group("audit")
def audit_group() -> None:
    """Check the audit log, and ask it who did what.

    LOG is the file that is written, audit.jsonl; the others are found beside it. Without LOG, it is the log
    of your own agent, which is the machine's for root. The agent may be running, or not.
    """


@audit_group.command("verify")
@_log_argument
@click.option("--public-key", metavar="FILE", type=_file, help="Check with this copy of the public key.")
@click.option("--known", metavar="FILE", type=_file, help="This copy of a digest must be one of the log's.")
@click.option("--complete", is_flag=True, help="Nothing may have been moved away, back to the first record.")
@config_option
@json_option
def verify(
    log: Path | None,
    public_key: Path | None,
    known: Path | None,
    config_path: Path | None,
    *,
    complete: bool,
    as_json: bool,
) -> None:
    """Check that nothing of the audit LOG was edited, dropped, inserted, reordered or rewritten.

    Exit status 12 when the log is not what the agent wrote; what can still be trusted is printed.
    """
    path = _log_path(log, config_path)
    demands = Demands(
        public_key=_read(public_key) if public_key else None,
        known=_read(known) if known else None,
        complete=complete,
    )
    try:
        report = _run(checked(path, demands))
    except OSError as error:
        raise AuditVerificationError(f"{path} cannot be read: {error.strerror}") from error
    if as_json:
        print_json(_as_json(path, report))
    else:
        _print_report(path, report)
    if report.problems:
        raise AuditVerificationError(f"{path}: {report.problems[0]}")


@audit_group.command("public-key")
@_log_argument
@config_option
def public_key(log: Path | None, config_path: Path | None) -> None:
    """Print the public key that the digests of the LOG are signed with, to be kept elsewhere."""
    path = public_key_path(_log_path(log, config_path))
    try:
        key = PublicKey.load(_read(path))
    except FileNotFoundError:
        raise AuditVerificationError(f"{path} is missing; start the agent once") from None
    except PublicKeyError as error:
        raise AuditVerificationError(f"{path} {error}") from None
    sys.stdout.write(key.pem.decode())
    click.echo(f"SHA-256 {key.fingerprint}", err=True)


def _moment(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return a time as records have it: UTC unless an offset is given; a date is its first second."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            "must be a date or a time, as 2026-01-31 or 2026-01-31T12:00", param=option
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


_key_option = click.option("--key", metavar="KEY", help="Only this key: its ARN or id, or an alias's name.")
_principal_option = click.option("--principal", metavar="WHO", help="Only this caller: ARN or name.")
_event_option = click.option("--event", "--action", "event", metavar="OPERATION", help="Only this operation.")
_since_option = click.option("--since", metavar="TIME", callback=_moment, help="From this time on, in UTC.")
_until_option = click.option("--until", metavar="TIME", callback=_moment, help="Before this time, in UTC.")


@audit_group.command("query")
@_log_argument
@_key_option
@_principal_option
@_event_option
@_since_option
@_until_option
@click.option("--outcome", type=click.Choice(get_args(Outcome)), help="Only what ended so.")
@click.option("--request-id", metavar="ID", help="Only the request with this id.")
@config_option
@json_option
def query(
    log: Path | None,
    key: str | None,
    principal: str | None,
    event: str | None,
    since: str | None,
    until: str | None,
    outcome: Outcome | None,
    request_id: str | None,
    config_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the records of the LOG that fit all that is asked, the oldest first.

    With --json they are printed as they are in the log, one to a line.
    """
    question = Question(key, principal, event, since, until, outcome, request_id)
    for line, record in _ask(_log_path(log, config_path), question):
        if as_json:
            sys.stdout.write(line.decode())
        else:
            print_line(_in_words(record))


@audit_group.command("usage")
@_log_argument
@_key_option
@_principal_option
@_event_option
@_since_option
@_until_option
@config_option
@json_option
def usage(
    log: Path | None,
    key: str | None,
    principal: str | None,
    event: str | None,
    since: str | None,
    until: str | None,
    config_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Count the records of the LOG by day, key, principal and operation."""
    question = Question(key, principal, event, since, until)
    records = (record for _line, record in _ask(_log_path(log, config_path), question))
    rows = [
        (day, arn, who, operation, outcome, number)
        for (arn, who, day, operation, outcome), number in questions.count(records).items()
        if key is None or questions.names(arn, key) or not arn
    ]
    rows.sort()
    names = ("day", "key", "principal", "operation", "outcome", "count")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table([name.capitalize() for name in names], [[*map(str, row)] for row in rows])


def _ask(path: Path, question: Question) -> Iterator[tuple[bytes, Record]]:
    if not any(file.exists() for file in log_paths(path)):
        raise AuditVerificationError(f"{path}: no log; no agent ever wrote there, or it was removed")
    try:
        yield from questions.matching(lines(path), question)
    except OSError as error:
        raise AuditVerificationError(f"{path} cannot be read: {error.strerror}") from error


def _in_words(record: Record) -> str:
    arns = ", ".join(resource.arn for resource in record.resources)
    who, outcome = record.user_identity.name, record.error_code or "ok"
    words = (record.event_time, record.event_name, who, arns or "-", outcome, record.request_id)
    return "  ".join(word for word in words if word)


def _run(steps: Iterator[Progress]) -> Report:
    """Go through a check, telling on a terminal how far it has got."""
    told = 0
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            if told:
                click.echo("\r\033[K", err=True, nl=False)
            report: Report = end.value
            return report
        if progress.done - told >= _PROGRESS_BYTES and sys.stderr.isatty():
            told = progress.done
            click.echo(f"\r{100 * progress.done // max(progress.total, 1)} %", err=True, nl=False)


def _log_path(log: Path | None, config_path: Path | None) -> Path:
    return log or load(config_path, standard_places(os.environ, os.geteuid())).audit_path


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)


def _as_json(path: Path, report: Report) -> dict[str, object]:
    return {
        "log": str(path),
        "whole": report.whole,
        "records": report.records,
        "firstRecord": report.first_record,
        "lastRecord": report.last_record,
        "firstTime": report.first_time,
        "lastTime": report.last_time,
        "hash": report.hash,
        "digests": report.digests,
        "signedUntil": report.signed_until,
        "signedRecord": report.signed_record,
        "publicKeyFingerprint": report.fingerprint,
        "trusted": [list(numbers) for numbers in report.trusted],
        "problems": [
            {"file": problem.file, "line": problem.line_number, "reason": problem.reason}
            for problem in report.problems
        ],
    }


def _print_report(path: Path, report: Report) -> None:
    print_line(f"{path}: {'whole' if report.whole else 'NOT what the agent wrote'}")
    for problem in report.problems:
        print_line(f"  {problem}")
    after = (report.last_record or 0) - report.signed_record
    first = report.first_record or 1
    moved = f", from record {first} on: older ones were moved away" if first > 1 else ""
    until = f", the newest until {report.signed_until}" if report.signed_until else ""
    print_fields(
        {
            "Records": f"{report.records}{moved}",
            "First": report.first_time or "",
            "Last": report.last_time or "",
            "Hash of the last": report.hash,
            "Digests": f"{report.digests}{until}",
            "Signed": ", ".join(f"{first} to {last}" for first, last in report.trusted) or "none",
            "Not yet signed": f"the last {after}" if after > 0 else "",
            "Public key": f"SHA-256 {report.fingerprint}",
        }
    )
