"""``kms-agent explain``: why a request would be allowed or not, over the agent's own API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.api.operations import identity as operations
from agent.api.shapes.explain import ExplainAccessRequest
from agent.cli.exits import Exit
from agent.cli.listing import key_id_of
from agent.cli.options import agent_option, json_option
from agent.cli.principals import principal_arn
from agent.cli.printing import plain, print_json, print_line, print_table
from agent.client import AgentClient

if TYPE_CHECKING:
    from agent.api.shapes.explain import ConditionVerdict, ExplainAccessResponse, StatementVerdict


@click.command("explain")
@click.option("--principal", required=True, metavar="PRINCIPAL", help="Who would ask.")
@click.option(
    "--action", required=True, metavar="ACTION", help="What they would ask for, such as kms:Decrypt."
)
@click.option("--key", metavar="KEY", help="For which key.")
@click.option(
    "--context", "context", metavar="KEY=VALUE", multiple=True, help="With this encryption context."
)
@click.option(
    "--condition",
    "conditions",
    metavar="KEY=VALUE",
    multiple=True,
    help="With this condition key, such as kms:ViaService=kmsfs.local.local.",
)
@agent_option
@json_option
def explain(
    principal: str,
    action: str,
    key: str | None,
    context: tuple[str, ...],
    conditions: tuple[str, ...],
    agent_url: str,
    *,
    as_json: bool,
) -> int:
    """Say which statement or grant would allow or refuse a request, and why.

    PRINCIPAL is an ARN, or short for one of the agent's account: user/NAME, role/NAME or root. KEY is a key
    id, a key ARN or an alias.
    """
    with AgentClient(agent_url) as client:
        request = ExplainAccessRequest(
            principal_arn=principal_arn(client, principal),
            action=action,
            key_id=key and key_id_of(client, key),
            encryption_context=_pairs(context, "--context"),
            condition_keys=_pairs(conditions, "--condition"),
        )
        answer = client.call(operations.EXPLAIN_ACCESS, request)
    if as_json:
        print_json(plain(answer))
    else:
        _print(answer)
    return Exit.DONE if answer.allowed else Exit.DENIED


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str] | None:
    pairs = [text.partition("=") for text in texts]
    if not all(key and equals for key, equals, _ in pairs):
        raise click.UsageError(f"Write KEY=VALUE after {option}.")
    return {key: value for key, _, value in pairs} or None


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
