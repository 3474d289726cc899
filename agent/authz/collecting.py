"""Owns which policies have a say on a request, and reads them. Knows nothing of targets.

A policy that is kept but cannot be read, because another version kept it, denies everything.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from agent.authz.context import RequestContext
from agent.authz.facts import Facts
from agent.keys.principal import Principal
from agent.operations.granted import grant_for
from agent.policy.document import Document, PolicyKind
from agent.policy.errors import PolicyError
from agent.policy.evaluate import Decision, MatchedGrant, Policies, Request, evaluate
from agent.policy.parse import parse

_LOG: Final = logging.getLogger(__name__)
_SHORT_CHARACTERS: Final = 4096
_EVERYTHING: Final = '{{"Statement":[{{"Effect":"{}",{}"Action":"*","Resource":"*"}}]}}'
_ANYONE: Final = '"Principal":"*",'
_ALLOW_ALL: Final = parse(_EVERYTHING.format("Allow", ""), PolicyKind.IDENTITY)
"""The built-in policy of administrators."""


def decide(facts: Facts, *, key_policy: str | None = None) -> Decision:
    """Decide one action of one request.

    Args:
        facts: the action; without a key in it, identity policies alone decide.
        key_policy: a policy to assume instead of the key's own, or for a key that does not exist yet.
    """
    request, policies = collect(facts, key_policy=key_policy)
    return evaluate(request, policies)


def collect(facts: Facts, *, resource: str = "*", key_policy: str | None = None) -> tuple[Request, Policies]:
    """Return the question on one action, and the policies that have a say; see `decide`."""
    kms, principal, key = facts.kms, facts.principal, facts.key
    text = key_policy if key_policy is not None or key is None else key.policy
    profile = kms.store.profile(identity_arn(principal))
    boundary = None if profile is None else profile.boundary
    request = Request(
        principal,
        facts.action,
        resource if key is None else key.arn,
        kms.account_id,
        RequestContext(facts),
    )
    policies = documents(
        key=text,
        identity=[policy.document for policy in kms.store.identity_policies(identity_arn(principal))],
        administrator=principal.administrator,
        boundary=boundary,
        session=principal.session_policies,
        guard=kms.guard,
    )
    return request, policies._replace(grants=_grants(facts))


def documents(
    *,
    key: str | None,
    identity: Sequence[str],
    administrator: bool,
    boundary: str | None,
    session: Sequence[str],
    guard: str | None,
) -> Policies:
    """Return policies as they are evaluated, without grants.

    Args:
        key: the key policy.
        identity: of the caller.
        administrator: whether the caller has the built-in one besides, as the first.
        boundary: of the caller.
        session: of the caller's session.
        guard: limits everybody.
    """
    own = [document(text, PolicyKind.IDENTITY) for text in identity]
    return Policies(
        key=None if key is None else document(key, PolicyKind.KEY),
        identity=[_ALLOW_ALL, *own] if administrator else own,
        boundary=None if boundary is None else document(boundary, PolicyKind.BOUNDARY),
        session=[document(text, PolicyKind.SESSION) for text in session],
        guard=() if guard is None else (document(guard, PolicyKind.GUARD),),
    )


def identity_arn(principal: Principal) -> str:
    """Return the user or role that a caller's identity policies and boundary belong to."""
    return principal.role_arn or principal.arn


def document(text: str, kind: PolicyKind) -> Document:
    """Return a policy that is kept, usually read before; one that cannot be read denies everything."""
    return _short(text, kind) if len(text) <= _SHORT_CHARACTERS else _long(text, kind)


def _read(text: str, kind: PolicyKind) -> Document:
    try:
        return parse(text, kind)
    except PolicyError as error:
        _LOG.error("a %s that is kept cannot be read and denies everything: %s", kind.value, error)
        principal = _ANYONE if kind is PolicyKind.KEY else ""
        return parse(_EVERYTHING.format("Deny", principal), kind)


# Read, a policy takes up to a hundred times its length: together these hold 300 MB at the very worst.
_short = lru_cache(maxsize=512)(_read)
_long = lru_cache(maxsize=16)(_read)


def _grants(facts: Facts) -> tuple[MatchedGrant, ...]:
    if facts.key is None:
        return ()
    match = grant_for(facts.kms, facts.principal, facts.key, facts.action, facts.request)
    return () if match is None else (MatchedGrant(match.grant.grant_id, match.reach),)
