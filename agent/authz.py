"""Owns who may do what. Knows nothing of how a caller was recognised or of what an operation does.

The rules of this version, which enforces the default key policy only: the account's root (uid 0) and the
user that the agent runs as may do everything that a key allows; whoever created a key may use and manage
it; an AWS managed key is for root and the agent's own user, and nobody changes it. Aliases are names of the
whole account, so only the first two may give or take them. Making keys, listing and random bytes are open
to everyone in the account.
"""

from collections.abc import Sequence
from typing import Final

from agent.api.enums import KeyManager
from agent.api.errors import AccessDeniedException
from agent.audit.entry import AuditEntry
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.operations.kms import Keys, Kms
from agent.operations.managed import READ_ACTIONS, USE_ACTIONS
from agent.operations.targets import (
    AliasTarget,
    CiphertextTarget,
    Target,
    ciphertext_refused,
    resolve,
)

_MANAGED_ACTIONS: Final = USE_ACTIONS | READ_ACTIONS


def authorize(kms: Kms, principal: Principal, targets: Sequence[Target], entry: AuditEntry) -> Keys:
    """Return the keys of `targets`, once all are found and the caller may do what it asks with each.

    The keys are named in `entry` even if the caller is refused.

    Raises:
        AccessDeniedException: the caller may not.
        ServiceError: a target does not exist or cannot be one, see `targets.resolve`.
    """
    found = [(target, resolve(kms, target)) for target in targets]
    for _, key in found:
        if key is not None:
            entry.add_resource(key.arn)
    for target, key in found:
        _require(kms, principal, target, key)
    return tuple(key for _, key in found if key is not None)


def require_managed(kms: Kms, principal: Principal, target: Target, alias_name: str) -> None:
    """Refuse to have an AWS managed key made by a caller who could not use it.

    Raises:
        AccessDeniedException: the caller may not.
    """
    if not (_is_owner(kms, principal) and target.action in _MANAGED_ACTIONS):
        raise _denied(principal, target.action, kms.alias_arn(alias_name), "resource")


def _require(kms: Kms, principal: Principal, target: Target, key: Key | None) -> None:
    if key is not None:
        if not _may_use(kms, principal, target.action, key):
            if isinstance(target, CiphertextTarget):
                raise ciphertext_refused()
            raise _denied(principal, target.action, key.arn, "resource")
    elif isinstance(target, AliasTarget):
        if not _is_owner(kms, principal):
            raise _denied(principal, target.action, kms.alias_arn(target.name), "identity")
    elif principal.account_id != kms.account_id:
        raise _denied(principal, target.action, "*", "identity")


def _may_use(kms: Kms, principal: Principal, action: str, key: Key) -> bool:
    if key.key_manager is KeyManager.AWS:
        return action in _MANAGED_ACTIONS and _is_owner(kms, principal)
    return _is_owner(kms, principal) or (
        principal.account_id == kms.account_id and principal.arn == key.creator_arn
    )


def _is_owner(kms: Kms, principal: Principal) -> bool:
    return principal.account_id == kms.account_id and principal.administrator


def _denied(principal: Principal, action: str, resource: str, policy_kind: str) -> AccessDeniedException:
    return AccessDeniedException(
        f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no {policy_kind}-based policy allows the {action} action"
    )
