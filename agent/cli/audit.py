"""``kms-agent audit``: checking the log that the agent keeps, without the agent."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agent.audit.errors import AuditVerificationError
from agent.audit.verify import verify as verify_log
from agent.cli.options import config_option, json_option
from agent.cli.printing import print_fields, print_json, print_line
from agent.config import load
from agent.places import standard_places


@click.group("audit")
def audit_group() -> None:
    """Look after the audit log."""


@audit_group.command("verify")
@click.argument("log", required=False, type=click.Path(dir_okay=False, path_type=Path))
@config_option
@json_option
def verify(log: Path | None, config_path: Path | None, *, as_json: bool) -> None:
    """Check that no record of the audit LOG was edited, dropped, inserted or reordered.

    Without LOG, the log of your own agent, which is the machine's for root. The agent may be running.
    Exit status 12 when the log is not what the agent wrote.
    """
    path = log or load(config_path, standard_places(os.environ, os.geteuid())).audit_path
    if not path.exists() and not path.with_suffix(".head").exists():
        raise AuditVerificationError(None, f"{path}: no log; no agent ever wrote there, or it was removed")
    try:
        found = verify_log(path)
    except OSError as error:
        raise AuditVerificationError(None, f"{path} cannot be read: {error.strerror}") from error
    if as_json:
        print_json(
            {
                "log": str(path),
                "records": found.records,
                "first": found.first,
                "last": found.last,
                "digest": found.digest,
                "headSequence": found.head_sequence,
            }
        )
        return
    print_line(f"{path}: whole")
    print_fields(
        {
            "Records": str(found.records),
            "First": found.first or "",
            "Last": found.last or "",
            "Hash of the last": found.digest,
        }
    )
