"""Owns the decision on one request: which statements apply, and what they come to together.

What cannot be decided never allows and always denies. Source: KMS Developer Guide, "Troubleshooting key
access" (the flow chart) and "Grants in AWS KMS"; IAM User Guide, "Policy evaluation logic". Values that are
made for every request are named tuples, which are made fastest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.policy.conditions import holds
from agent.policy.document import Document, Effect, PolicyKind, Statement
from agent.policy.match import ArnPattern, Pattern, Truth, every
from agent.policy.principals import Caller, Reach, reach
from agent.policy.variables import Context


class Request(NamedTuple):
    """What is asked.

    Attributes:
        principal: who asks.
        action: such as `kms:Decrypt`.
        resource: the ARN of what it is about; `*` for actions that are about nothing in particular.
        resource_account: the account that the resource belongs to.
        context: the request's condition keys.
    """

    principal: Caller
    action: str
    resource: str
    resource_account: str
    context: Context


@dataclass(frozen=True, slots=True)
class MatchedGrant:
    """A grant that permits the action, its constraints met.

    Attributes:
        grant_id: which one.
        reach: how closely its grantee names the caller.
    """

    grant_id: str
    reach: Reach


class Policies(NamedTuple):
    """What is to be said about a request.

    Attributes:
        key: the key policy; None if the action is authorized by identity policies alone.
        identity: policies of the caller.
        boundary: the caller's permissions boundary; None if it has none.
        session: policies that came with the caller's temporary credentials; one must allow.
        guard: policies that limit everyone; each must allow.
        grants: those that match.
    """

    key: Document | None = None
    identity: Sequence[Document] = ()
    boundary: Document | None = None
    session: Sequence[Document] = ()
    guard: Sequence[Document] = ()
    grants: Sequence[MatchedGrant] = ()


class Verdict(NamedTuple):
    """What one statement says of a request.

    Attributes:
        kind: what its policy is attached to.
        policy: the policy's place among those of its kind, from 0.
        place: the statement's place in its policy, from 0.
        statement: itself.
        applies: whether it does; None if that cannot be decided.
        mismatch: the first element that does not fit, or cannot be decided; empty if it applies.
    """

    kind: PolicyKind
    policy: int
    place: int
    statement: Statement
    applies: Truth
    mismatch: str

    @property
    def counts(self) -> bool:
        """Whether the statement takes effect: a Deny does unless it certainly does not apply."""
        if self.statement.effect is Effect.DENY:
            return self.applies is not False
        return self.applies is True


class Ground(NamedTuple):
    """Why a request is allowed or not.

    Attributes:
        kind: the kind of policy that allows it, denies it, or lacks an Allow; None if a grant allows it.
        explicit: whether a statement or grant says so, rather than the lack of one.
        grant_id: the grant that allows it.
    """

    kind: PolicyKind | None
    explicit: bool
    grant_id: str | None = None


class Decision(NamedTuple):
    """What comes of a request.

    Attributes:
        allowed: whether it may be carried out.
        ground: why.
        verdicts: what each statement says.
        crosses_accounts: whether the caller belongs to another account than the resource.
    """

    allowed: bool
    ground: Ground
    verdicts: tuple[Verdict, ...]
    crosses_accounts: bool = False


_APPLIES: Final = (True, "")
_DENY_ORDER: Final = (
    PolicyKind.GUARD,
    PolicyKind.KEY,
    PolicyKind.IDENTITY,
    PolicyKind.BOUNDARY,
    PolicyKind.SESSION,
)
"""Of several kinds of policies that deny, the one named to the caller."""


def evaluate(request: Request, policies: Policies) -> Decision:
    """Decide whether a request is allowed."""
    verdicts: list[Verdict] = []
    allows: list[tuple[PolicyKind, int]] = []
    denies: list[PolicyKind] = []
    key_reach = Reach.NOBODY
    for kind, documents in _by_kind(policies):
        for number, document in enumerate(documents):
            for place, statement in enumerate(document.statements):
                verdict = Verdict(kind, number, place, statement, *judge(statement, request))
                verdicts.append(verdict)
                if not verdict.counts:
                    continue
                if statement.effect is Effect.DENY:
                    denies.append(kind)
                    continue
                allows.append((kind, number))
                if kind is PolicyKind.KEY:
                    key_reach = max(key_reach, _reach(statement, request.principal) or Reach.NOBODY)
    crossing = request.principal.account_id != request.resource_account
    denied_by = next((kind for kind in _DENY_ORDER if kind in denies), None)
    if denied_by is not None:
        ground = Ground(denied_by, explicit=True)
    else:
        ground = _ground(policies, allows, key_reach, request, crossing=crossing)
    allowed = denied_by is None and ground.explicit
    return Decision(allowed, ground, tuple(verdicts), crossing)


def judge(statement: Statement, request: Request) -> tuple[Truth, str]:
    """Tell whether a statement applies to a request, and which element first says otherwise."""
    closest = _reach(statement, request.principal)
    if closest is Reach.NOBODY:
        return False, "Principal"
    context = request.context
    named = _any_fits(statement.actions.patterns, request.action, context)
    if named is statement.actions.negated:
        return False, "Action"
    there = _any_fits(statement.resources.patterns, request.resource, context)
    if there is statement.resources.negated:
        return False, "Resource"
    undecided = ""
    for element, found in (("Principal", closest), ("Action", named), ("Resource", there)):
        if found is None:
            undecided = undecided or element
    if statement.conditions:
        met = every(holds(condition, request.context) for condition in statement.conditions)
        if met is False:
            return False, "Condition"
        if met is None and not undecided:
            undecided = "Condition"
    return (None, undecided) if undecided else _APPLIES


def _by_kind(policies: Policies) -> tuple[tuple[PolicyKind, Sequence[Document]], ...]:
    return (
        (PolicyKind.KEY, () if policies.key is None else (policies.key,)),
        (PolicyKind.IDENTITY, policies.identity),
        (PolicyKind.BOUNDARY, () if policies.boundary is None else (policies.boundary,)),
        (PolicyKind.SESSION, policies.session),
        (PolicyKind.GUARD, policies.guard),
    )


def _reach(statement: Statement, caller: Caller) -> Reach | None:
    return reach(statement.principals, caller) if statement.principals is not None else Reach.CALLER


def _any_fits(patterns: Sequence[Pattern | ArnPattern], text: str, context: Context) -> Truth:
    """Tell whether any pattern fits; a loop, because every statement of every request comes by here."""
    fits: Truth = False
    for pattern in patterns:
        truth = pattern.matches(text, context)
        if truth:
            return True
        if truth is None:
            fits = None
    return fits


def _ground(
    policies: Policies,
    allows: Sequence[tuple[PolicyKind, int]],
    key_reach: Reach,
    request: Request,
    *,
    crossing: bool,
) -> Ground:
    """Return why a request that nothing denies is allowed, or what it lacks first."""
    grant = max(policies.grants, key=lambda grant: grant.reach) if policies.grants else None
    by_grant = grant is not None and grant.reach > key_reach
    given = grant.reach if grant is not None and by_grant else key_reach
    about_a_key = policies.key is not None
    # What names the caller itself is not limited by what its own account failed to allow; but a session
    # policy limits a user, whose name outlives the session.
    direct = about_a_key and not crossing and given is Reach.CALLER
    needed = (
        (PolicyKind.KEY, about_a_key and not by_grant),
        (PolicyKind.IDENTITY, not about_a_key or crossing or given is Reach.ACCOUNT),
        (PolicyKind.BOUNDARY, policies.boundary is not None and not direct),
        (PolicyKind.SESSION, policies.session and not (direct and request.principal.role_arn)),
    )
    allowing = [kind for kind, _ in allows]
    if policies.guard and not all((PolicyKind.GUARD, n) in allows for n in range(len(policies.guard))):
        return Ground(PolicyKind.GUARD, explicit=False)
    for kind, is_needed in needed:
        if is_needed and kind not in allowing:
            return Ground(kind, explicit=False)
    if grant is not None and by_grant:
        return Ground(None, explicit=True, grant_id=grant.grant_id)
    by_key = about_a_key and given is not Reach.ACCOUNT
    return Ground(PolicyKind.KEY if by_key else PolicyKind.IDENTITY, explicit=True)
