"""Owns permission: the keys that a request's targets lead to, once the caller may do what it asks with each.

Knows nothing of how a caller was recognised or of what an operation does.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from agent.api.errors import AccessDeniedException, NotFoundException
from agent.api.shapes.base import Shape
from agent.audit.entry import AuditEntry
from agent.authz.collecting import collect, decide
from agent.authz.facts import Facts
from agent.authz.lockout import require_no_lockout
from agent.authz.remembered import is_allowed_anyway
from agent.keys import grants
from agent.keys.grant import Grant
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.operations import managed
from agent.operations.kms import Keys, Kms
from agent.operations.targets import (
    ALIAS_PREFIX,
    AccountTarget,
    AliasTarget,
    CiphertextTarget,
    GrantTarget,
    KeyTarget,
    Target,
    alias_name,
    ciphertext_refused,
    find_grant,
    resolve,
)
from agent.operations.tokens import require_valid_tokens
from agent.policy import reasons
from agent.policy.document import Effect
from agent.policy.evaluate import MatchedGrant, Policies, evaluate

CROSS_ACCOUNT_ACTIONS: Final = frozenset(
    {
        "kms:CreateGrant",
        "kms:Decapsulate",
        "kms:Decrypt",
        "kms:DeriveSharedSecret",
        "kms:DescribeKey",
        "kms:Encapsulate",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyPair",
        "kms:GenerateDataKeyPairWithoutPlaintext",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:GenerateMac",
        "kms:GetKeyRotationStatus",
        "kms:GetPublicKey",
        "kms:ListGrants",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:RetireGrant",
        "kms:RevokeGrant",
        "kms:Sign",
        "kms:Verify",
        "kms:VerifyMac",
    }
)
"""What callers of other accounts can be allowed to do with a key."""


def authorize(
    kms: Kms, principal: Principal, targets: Sequence[Target], request: Shape, entry: AuditEntry
) -> Keys:
    """Return the keys of `targets`, once all are found and the caller may do what it asks with each.

    The keys are named in `entry` even if the caller is refused.

    Raises:
        AccessDeniedException: the caller may not.
        MalformedPolicyDocumentException: a policy in the request would lock the caller out.
        ServiceError: a target does not exist or cannot be one, see `targets.resolve`.
    """
    require_valid_tokens(kms, request)
    found = [(target, _found(kms, principal, target)) for target in targets]
    keys = tuple(key for _, key in found if key is not None)
    for each in keys:
        entry.add_resource(each.arn)
    for target in targets:
        if isinstance(target, GrantTarget):
            entry.additional_event_data = {"grantId": find_grant(kms, target).grant_id}
    for target, key in found:
        facts = Facts(
            kms,
            principal,
            target.action,
            request,
            key,
            model=keys[0] if keys and key is None else None,
            both_keys_alike=len(keys) > 1 and keys[0].key_id == keys[1].key_id,
        )
        _require(facts, target)
    require_no_lockout(kms, principal, request, keys)
    return keys


def require_managed(kms: Kms, principal: Principal, target: Target, alias: str, request: Shape) -> None:
    """Refuse to have an AWS managed key made by a caller who could not use it.

    Raises:
        AccessDeniedException: the caller may not.
        NotFoundException: to the caller, the alias is one of another account.
    """
    if principal.account_id != kms.account_id:
        _found(kms, principal, target)
    facts = Facts(kms, principal, target.action, request, request_alias=alias)
    decision = decide(facts, key_policy=managed.policy(kms, alias))
    if not decision.allowed:
        asked, _ = collect(facts, resource=kms.alias_arn(alias))
        raise AccessDeniedException(reasons.denial(asked, decision))


def _found(kms: Kms, principal: Principal, target: Target) -> Key | None:
    """Find what a target is about; callers of other accounts do not learn which keys there are."""
    if principal.account_id == kms.account_id:
        return resolve(kms, target)
    if isinstance(target, KeyTarget) and not target.key_id.startswith("arn:"):
        theirs = f"arn:aws:kms:{kms.region}:{principal.account_id}:"
        if target.key_id.startswith(ALIAS_PREFIX):
            raise NotFoundException(f"Alias {theirs}{target.key_id} is not found.")
        raise NotFoundException(f"Key '{theirs}key/{target.key_id}' does not exist")
    try:
        return resolve(kms, target)
    except NotFoundException:
        raise AccessDeniedException(reasons.hidden(principal.arn, target.action)) from None


def _request_alias(kms: Kms, target: Target) -> str | None:
    return alias_name(kms, target.key_id) if isinstance(target, KeyTarget) else None


def _require(facts: Facts, target: Target) -> None:
    principal, kms = facts.principal, facts.kms
    crosses = principal.account_id != kms.account_id
    if facts.key is None:
        _require_without_key(facts, target, crosses=crosses)
        return
    if facts.key.region != kms.region:
        facts = facts._replace(kms=kms.in_region(facts.key.region))
    if crosses and target.action not in CROSS_ACCOUNT_ACTIONS:
        raise AccessDeniedException(reasons.hidden(principal.arn, target.action))
    grant = find_grant(kms, target) if isinstance(target, GrantTarget) else None
    if grant is None and is_allowed_anyway(facts):
        return
    asked, policies = collect(facts._replace(request_alias=_request_alias(kms, target)))
    if grant is not None:
        policies = of_the_grant_alone(facts, policies, grant)
    decision = evaluate(asked, policies)
    if not decision.allowed:
        if isinstance(target, CiphertextTarget):
            raise ciphertext_refused()
        raise AccessDeniedException(reasons.denial(asked, decision))


def of_the_grant_alone(facts: Facts, policies: Policies, grant: Grant) -> Policies:
    """Return the policies on retiring a grant: the grant says who may, a key policy only who may not."""
    assert policies.key is not None
    denies = tuple(each for each in policies.key.statements if each.effect is Effect.DENY)
    reach = grants.reach_of_retiring(grant, facts.principal)
    return policies._replace(
        key=replace(policies.key, statements=denies),
        grants=(MatchedGrant(grant.grant_id, reach),),
    )


def _require_without_key(facts: Facts, target: Target, *, crosses: bool) -> None:
    """Refuse what identity policies do not allow; to other accounts, this one's keys are no business."""
    kms = facts.kms
    if isinstance(target, AccountTarget) and target.region in kms.regions:
        facts = facts._replace(kms=kms.in_region(target.region))
    resource = kms.alias_arn(target.name) if isinstance(target, AliasTarget) else "*"
    asked, policies = collect(facts, resource=resource)
    decision = evaluate(asked, policies)
    if not decision.allowed:
        raise AccessDeniedException(reasons.denial(asked, decision))
    if crosses:
        raise AccessDeniedException(reasons.hidden(facts.principal.arn, target.action))
