"""Owns the sentences in which a refusal is told, as AWS writes them. Knows nothing of how it came about.

Source: IAM User Guide, "Troubleshoot access denied error messages".
"""

from agent.policy.document import PolicyKind
from agent.policy.evaluate import Decision, Request


def denial(request: Request, decision: Decision) -> str:
    """Return the message of the AccessDeniedException for a request that is not allowed.

    Callers from other accounts are not told whether the key exists, nor what its policy says.
    """
    assert not decision.allowed
    who = f"User: {request.principal.arn} is not authorized to perform: {request.action}"
    kind = decision.ground.kind
    assert kind is not None
    if decision.crosses_accounts and kind is PolicyKind.KEY:
        return hidden(request.principal.arn, request.action)
    if decision.ground.explicit:
        return f"{who} on resource: {request.resource} with an explicit deny in {kind.with_article}"
    return f"{who} on resource: {request.resource} because no {kind.value} allows the {request.action} action"


def hidden(principal_arn: str, action: str) -> str:
    """Return the message that does not tell an absent key of another account from a forbidden one."""
    return (
        f"User: {principal_arn} is not authorized to perform: {action} on this resource because the resource "
        "does not exist in this Region, no resource-based policies allow access, or a resource-based policy "
        "explicitly denies access"
    )
