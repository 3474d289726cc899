"""``kms-agent explain``: why a request would be allowed or not, over the agent's own API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.api.rows import identity as operations
from agent.api.shapes.explain import ExplainAccessRequest
from agent.cli.exits import Exit
from agent.cli.listing import key_id_of
from agent.cli.options import agent_option, config_option, connect, json_option, region_option
from agent.cli.pairs import pairs_of
from agent.cli.principals import principal_arn
from agent.cli.printing import plain, print_json, print_line, print_table
from agent.cli.recorded import asked_for
from agent.config import load
from agent.places import standard_places

if TYPE_CHECKING:
    from agent.api.shapes.explain import ConditionVerdict, ExplainAccessResponse, StatementVerdict


@click.command("explain")
@click.option("--principal", metavar="PRINCIPAL", help="Who would ask.")
@click.option("--action", metavar="ACTION", help="What they would ask for, such as kms:Decrypt.")
@click.option("--key", metavar="KEY", help="For which key.")
@click.option(
    "--context", "context", metavar="NAME=VALUE", multiple=True, help="With this encryption context."
)
@click.option(
    "--condition",
    "conditions",
    metavar="NAME=VALUE",
    multiple=True,
    help="With this condition key, such as kms:ViaService=kmsfs.local.local.",
)
@click.option(
    "--grant-token",
    "grant_tokens",
    metavar="TOKEN",
    multiple=True,
    help="With this grant token; for kms:RetireGrant it says which grant.",
)
@click.option(
    "--request-id",
    "request_id",
    metavar="ID",
    help="Instead of all this, ask what the request with this id in the audit log would be told now.",
)
@click.option(
    "--log",
    "log_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The audit log to look into; by default the agent's own.",
)
@config_option
@agent_option
@region_option
@json_option
def explain(
    principal: str | None,
    action: str | None,
    key: str | None,
    context: tuple[str, ...],
    conditions: tuple[str, ...],
    grant_tokens: tuple[str, ...],
    request_id: str | None,
    log_path: Path | None,
    config_path: Path | None,
    agent_url: str,
    *,
    as_json: bool,
) -> int:
    """Say which statement or grant would allow or refuse a request, and why.

    PRINCIPAL is an ARN, or short for one of the agent's account: user/NAME, role/NAME or root. KEY is a key
    id, a key ARN or an alias.
    """
    with connect(agent_url) as client:
        if request_id is not None:
            path = log_path or load(config_path, standard_places(os.environ, os.geteuid())).audit_path
            requests = asked_for(path, request_id)
        elif principal is None or action is None:
            raise click.UsageError("Give --principal and --action, or --request-id.")
        else:
            request = ExplainAccessRequest(
                principal_arn=principal_arn(client, principal),
                action=action,
                key_id=key and key_id_of(client, key),
                encryption_context=pairs_of(context, "--context") or None,
                condition_keys=pairs_of(conditions, "--condition") or None,
                grant_tokens=grant_tokens or None,
            )
            requests = [request]
        answers = [client.call(operations.EXPLAIN_ACCESS, request) for request in requests]
    if as_json:
        print_json([plain(answer) for answer in answers] if request_id is not None else plain(answers[0]))
    else:
        for request, answer in zip(requests, answers, strict=True):
            if request_id is not None:
                print_line(f"{request.principal_arn}: {request.action} {request.key_id or ''}".rstrip())
            _print(answer)
    return Exit.DONE if all(answer.allowed for answer in answers) else Exit.DENIED


def _print(answer: ExplainAccessResponse) -> None:
    if not answer.allowed:
        print_line(f"Refused: {answer.message}")
    elif answer.grant_id is not None:
        print_line(f"Allowed by grant {answer.grant_id}")
    else:
        article = "an" if answer.decided_by.startswith("i") else "a"
        print_line(f"Allowed by {article} {answer.decided_by}")
    rows = [
        (_place(statement), statement.effect, statement.applies, _reason(statement))
        for statement in answer.statements
    ]
    if rows:
        print_line("")
        print_table(("Statement", "Effect", "Applies", "Because of"), rows)


def _place(statement: StatementVerdict) -> str:
    policy = statement.policy if statement.policy_name is None else f"policy {statement.policy_name}"
    label = f" ({statement.sid})" if statement.sid else ""
    return f"{policy}, {statement.number}{label}"


def _reason(statement: StatementVerdict) -> str:
    if statement.mismatch != "Condition":
        return statement.mismatch or ""
    return "; ".join(
        _condition(condition) for condition in statement.conditions or () if condition.holds != "yes"
    )


def _condition(condition: ConditionVerdict) -> str:
    asked = ", ".join(condition.values)
    given = "missing" if condition.request_values is None else ", ".join(condition.request_values)
    return f"{condition.operator} {condition.key}: {asked}; the request has: {given}"
