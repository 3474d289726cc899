"""Owns decisions that are made once: where policies allow an action whatever else the request says.

Most key policies and identity policies ask for nothing but who, what and which key. Such a decision is kept
under all that went into it, the texts of all policies included, so it holds for exactly as long as they do.
That it depends on nothing else is not judged but seen: evaluating asks for no condition key.
"""

from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from agent.authz.collecting import documents, identity_arn
from agent.authz.facts import Facts
from agent.policy.evaluate import Request, evaluate

_KEPT: Final = 1024
_LONGEST: Final = 4096
"""Characters of a policy beyond which nothing is remembered: what is kept holds the texts."""


class _AskedError(Exception):
    """The decision depends on the request's context."""


class _Unasked:
    """The context of no request in particular."""

    def get(self, _key: str, /) -> NoReturn:
        """Tell that a decision depends on the context."""
        raise _AskedError


class _Caller(NamedTuple):
    """What policies look at of a caller, apart from the request's context."""

    arn: str
    account_id: str
    role_arn: str | None


class _Texts(NamedTuple):
    """All policies that have a say, as they are kept; grants could only allow more."""

    administrator: bool
    key: str
    identity: tuple[str, ...]
    boundary: str | None
    session: tuple[str, ...]
    guard: str | None


def is_allowed_anyway(facts: Facts) -> bool:
    """Tell whether policies allow an action on a key whatever else is asked; False decides nothing."""
    kms, principal, key = facts.kms, facts.principal, facts.key
    if key is None:
        return False
    arn = identity_arn(principal)
    profile = kms.store.profile(arn)
    texts = _Texts(
        principal.administrator,
        key.policy,
        tuple([policy.document for policy in kms.store.identity_policies(arn)]),
        None if profile is None else profile.boundary,
        principal.session_policies,
        kms.guard,
    )
    caller = _Caller(principal.arn, principal.account_id, principal.role_arn)
    return _is_allowed(caller, facts.action, key.arn, kms.account_id, texts)


@lru_cache(maxsize=_KEPT)
def _is_allowed(caller: _Caller, action: str, key_arn: str, account_id: str, texts: _Texts) -> bool:
    kept = (texts.key, *texts.identity, texts.boundary or "", *texts.session, texts.guard or "")
    if any(len(text) > _LONGEST for text in kept):
        return False
    policies = documents(
        key=texts.key,
        identity=texts.identity,
        administrator=texts.administrator,
        boundary=texts.boundary,
        session=texts.session,
        guard=texts.guard,
    )
    try:
        return evaluate(Request(caller, action, key_arn, account_id, _Unasked()), policies).allowed
    except _AskedError:
        return False
