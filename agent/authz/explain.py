"""Owns ExplainAccess: what would come of a request, and what each statement has to say about it.

Decides with the same policies, grants and condition keys as `authorize`, so that it cannot say otherwise.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from agent.api.rows import identity as api
from agent.api.shapes.base import EncryptionContext, Shape
from agent.api.shapes.explain import (
    ConditionVerdict,
    ExplainAccessRequest,
    ExplainAccessResponse,
    StatementVerdict,
)
from agent.authz.authorize import of_the_grant_alone
from agent.authz.collecting import collect, identity_arn
from agent.authz.context import RequestContext, Values
from agent.authz.facts import Facts
from agent.keys.grant import Grant
from agent.keys.principal import Principal
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import find_key
from agent.operations.tokens import grant_of_token
from agent.policy import reasons
from agent.policy.conditions import holds
from agent.policy.document import PolicyKind
from agent.policy.evaluate import Request, Verdict, evaluate
from agent.policy.match import Truth

_WORDS: Final[dict[Truth, str]] = {True: "yes", False: "no", None: "undecided"}
_GRANT: Final = "grant"
_BUILT_IN: Final = "AdministratorAccess (built in)"


class _Supposed(Shape, frozen=True, kw_only=True):
    """A request that nobody made, as far as policies look at its parameters."""

    encryption_context: EncryptionContext
    source_encryption_context: EncryptionContext
    destination_encryption_context: EncryptionContext
    constraints: None = None


class _Context(NamedTuple):
    """The condition keys that were supposed, over those that follow."""

    supposed: dict[str, Values]
    following: RequestContext

    def get(self, key: str, /) -> Values | None:
        return self.supposed.get(key) or self.following.get(key)


def explain_access(
    kms: Kms, caller: Caller, _keys: Keys, request: ExplainAccessRequest
) -> ExplainAccessResponse:
    """Say what would come of a request and why; nothing is done."""
    principal = _principal(kms, caller, request.principal_arn)
    grant = _grant_to_retire(kms, request)
    key_id = request.key_id if grant is None else grant.key_id
    key = None if key_id is None else find_key(kms, key_id)
    pairs = request.encryption_context or {}
    supposed = _Supposed(
        encryption_context=pairs, source_encryption_context=pairs, destination_encryption_context=pairs
    )
    facts = Facts(kms, principal, request.action, supposed, key)
    asked, policies = collect(facts)
    if grant is not None:
        policies = of_the_grant_alone(facts, policies, grant)
    given = {name.lower(): tuple(text.split(",")) for name, text in (request.condition_keys or {}).items()}
    asked = asked._replace(context=_Context(given, RequestContext(facts)))
    decision = evaluate(asked, policies)
    ground = decision.ground
    return ExplainAccessResponse(
        allowed=decision.allowed,
        decided_by=_GRANT if ground.kind is None else ground.kind.value,
        explicit=ground.explicit,
        message=None if decision.allowed else reasons.denial(asked, decision),
        grant_id=ground.grant_id,
        statements=_statements(decision.verdicts, asked, _identity_names(kms, principal)),
    )


def _grant_to_retire(kms: Kms, request: ExplainAccessRequest) -> Grant | None:
    """Return the grant that is to be retired: whoever made it has said in it who may."""
    if request.action != "kms:RetireGrant" or not request.grant_tokens:
        return None
    return grant_of_token(kms, request.grant_tokens[0])


def _principal(kms: Kms, caller: Caller, arn: str) -> Principal:
    """Return whom a request is supposed to come from, with the tags that are kept of them."""
    if arn == caller.arn:
        return caller
    account_id, resource = arn.split(":", 5)[4:]
    if resource == "root":
        return Principal(arn, account_id, account_id, kind="Account", administrator=True)
    if resource.startswith("role/"):
        name = resource.rpartition("/")[2]
        made = Principal(
            f"arn:aws:sts::{account_id}:assumed-role/{name}/explained",
            account_id,
            f"{name}:explained",
            kind="AssumedRole",
            role_arn=arn,
        )
    elif resource.startswith("assumed-role/"):
        _, name, session = resource.split("/", 2)
        made = Principal(
            arn,
            account_id,
            f"{name}:{session}",
            kind="AssumedRole",
            role_arn=f"arn:aws:iam::{account_id}:role/{name}",
        )
    else:
        made = Principal(arn, account_id, resource.rpartition("/")[2])
    profile = kms.store.profile(identity_arn(made))
    return made if profile is None else replace(made, tags=dict(profile.tags))


def _identity_names(kms: Kms, principal: Principal) -> Sequence[str]:
    names = [policy.name for policy in kms.store.identity_policies(identity_arn(principal))]
    return [_BUILT_IN, *names] if principal.administrator else names


def _statements(
    verdicts: Sequence[Verdict], asked: Request, names: Sequence[str]
) -> tuple[StatementVerdict, ...]:
    by_kind = {PolicyKind.IDENTITY: names}
    return tuple(
        StatementVerdict(
            policy=verdict.kind.value,
            policy_name=by_kind[verdict.kind][verdict.policy] if verdict.kind in by_kind else None,
            number=verdict.place + 1,
            sid=verdict.statement.sid,
            effect=verdict.statement.effect.value,
            applies=_WORDS[verdict.applies],
            mismatch=verdict.mismatch or None,
            conditions=_conditions(verdict, asked) or None,
        )
        for verdict in verdicts
    )


def _conditions(verdict: Verdict, asked: Request) -> tuple[ConditionVerdict, ...]:
    return tuple(
        ConditionVerdict(
            operator=condition.operator,
            key=condition.key,
            values=condition.values,
            request_values=asked.context.get(condition.key.lower()),
            holds=_WORDS[holds(condition, asked.context)],
        )
        for condition in verdict.statement.conditions
    )


HANDLERS: Final = (handler.Handler(api.EXPLAIN_ACCESS, handler.account(api.EXPLAIN_ACCESS), explain_access),)
