"""``kms-agent status``: is there an agent, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from agent.audit.errors import AuditUnavailableError
from agent.cli.agents import read_status
from agent.cli.options import agent_option, json_option
from agent.cli.printing import moment, print_fields, print_json
from agent.client import AgentClient

if TYPE_CHECKING:
    from agent.status import Status

_FAILING = "failing: "


@click.command("status")
@agent_option
@json_option
def status(agent_url: str, *, as_json: bool) -> None:
    """Tell whether an agent answers, and how it is.

    Exit status 3 when none does, 12 when it can record nothing and so refuses every request.
    """
    with AgentClient(agent_url) as client:
        found = read_status(client)
    if as_json:
        print_json({"url": agent_url, **msgspec.to_builtins(found)})
    else:
        _print(agent_url, found)
    if found.audit.startswith(_FAILING):
        raise AuditUnavailableError(f"audit: {found.audit}")


def _print(agent_url: str, found: Status) -> None:
    print_fields(
        {
            "Agent": agent_url,
            "State": found.state,
            "Version": found.version,
            "Process": str(found.pid),
            "Since": moment(found.started),
            "Serves": " ".join(found.doors),
            "Region": found.region,
            "Account": found.account_id,
            "Keys in": found.state_directory,
            "Audit log": found.audit_log,
            "Audit": found.audit,
            "Memory": "locked: keys are never swapped out" if found.memory_locked else "may be swapped out",
        }
    )
