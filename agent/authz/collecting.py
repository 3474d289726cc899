"""Owns which policies have a say on a request, and reads them. Knows nothing of targets.

A policy that is kept but cannot be read, because another version kept it, denies everything.
"""

import logging
from functools import lru_cache
from typing import Final

from agent.authz.context import RequestContext
from agent.authz.facts import Facts
from agent.keys.principal import Principal
from agent.operations.granted import grant_for
from agent.operations.kms import Kms
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
    policies = Policies(
        key=None if text is None else document(text, PolicyKind.KEY),
        identity=_identity(kms, principal),
        boundary=None if boundary is None else document(boundary, PolicyKind.BOUNDARY),
        session=[document(policy, PolicyKind.SESSION) for policy in principal.session_policies],
        guard=() if kms.guard is None else (document(kms.guard, PolicyKind.GUARD),),
        grants=_grants(facts),
    )
    return request, policies


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


def _identity(kms: Kms, principal: Principal) -> list[Document]:
    policies = kms.store.identity_policies(identity_arn(principal))
    documents = [document(policy.document, PolicyKind.IDENTITY) for policy in policies]
    return [_ALLOW_ALL, *documents] if principal.administrator else documents


def _grants(facts: Facts) -> tuple[MatchedGrant, ...]:
    if facts.key is None:
        return ()
    match = grant_for(facts.kms, facts.principal, facts.key, facts.action, facts.request)
    return () if match is None else (MatchedGrant(match.grant.grant_id, match.reach),)
