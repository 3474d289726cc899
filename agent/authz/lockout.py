"""Owns the lockout safety check: whoever sets a key policy must be able to change it again.

Source: KMS API Reference, PutKeyPolicy, "BypassPolicyLockoutSafetyCheck".
"""

from collections.abc import Sequence
from typing import Final

from agent.api.errors import MalformedPolicyDocumentException
from agent.api.shapes.base import Shape
from agent.api.shapes.keys import CreateKeyRequest
from agent.api.shapes.policies import PutKeyPolicyRequest
from agent.api.shapes.replicas import ReplicateKeyRequest
from agent.authz.collecting import decide
from agent.authz.facts import Facts
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.operations.kms import Kms
from agent.policy.document import Effect, PolicyKind
from agent.policy.evaluate import Decision
from agent.policy.principals import account_root

ACTION: Final = "kms:PutKeyPolicy"
_REFUSAL: Final = "The new key policy will not allow you to update the key policy in the future."


def require_no_lockout(kms: Kms, principal: Principal, request: Shape, keys: Sequence[Key]) -> None:
    """Refuse a key policy under which the caller could not set another one.

    Args:
        kms: where the key is, or will be.
        principal: who asks.
        request: any request; those that bring a key policy are checked.
        keys: the key that the policy is for, or the one that a replica will be like.

    Raises:
        MalformedPolicyDocumentException: the policy would lock the caller out, and the request does not say
            that it may.
    """
    if not isinstance(request, PutKeyPolicyRequest | CreateKeyRequest | ReplicateKeyRequest):
        return
    if request.policy is None or request.bypass_policy_lockout_safety_check:
        return
    facts = Facts(kms, principal, ACTION, request, keys[0] if keys else None)
    decision = decide(facts, key_policy=request.policy)
    if not decision.allowed:
        raise MalformedPolicyDocumentException(f"{_REFUSAL} {_explained(facts, decision)}")


def _explained(facts: Facts, decision: Decision) -> str:
    """Say who was tested, and what is missing or in the way."""
    who, kind = facts.principal.arn, decision.ground.kind
    if decision.ground.explicit:
        culprits = [
            verdict.statement.sid or f"number {verdict.place + 1}"
            for verdict in decision.verdicts
            if verdict.kind is kind and verdict.statement.effect is Effect.DENY and verdict.counts
        ]
        assert kind is not None
        what = f"statement {', '.join(culprits)} of {kind.with_article} denies it"
        advice = "Except that principal from it"
    elif kind is PolicyKind.KEY:
        what = "no statement allows it"
        advice = f"Add a statement that allows {ACTION} to {who} or to {account_root(facts.kms.account_id)}"
    else:
        assert kind is not None
        what = (
            f"the statement for the account needs {kind.with_article} of that principal, and none allows it"
        )
        advice = f"Add a statement that allows {ACTION} to {who}"
    return (
        f"Tested was {ACTION} by {who}: {what}. {advice}, or set BypassPolicyLockoutSafetyCheck if you are "
        "sure that somebody else can."
    )
