"""Owns what a request needs a grant for, and which grant permits it. Knows nothing of policies.

A grant is looked for by the operation that the request performs on one key: ReEncrypt, with one key as its
source and one as its destination, needs a grant on each.
"""

from collections.abc import Mapping
from typing import Final

from agent.api.enums import GrantOperation
from agent.api.shapes.base import EncryptionContext, Shape
from agent.api.shapes.grants import CreateGrantRequest
from agent.keys.grant import Context
from agent.keys.grantindex import Match, Use
from agent.keys.grants import ProposedGrant
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.operations.kms import Kms

_OPERATIONS: Final[Mapping[str, GrantOperation]] = {
    f"kms:{operation}": operation for operation in GrantOperation
}
_CONTEXT_MEMBERS: Final[Mapping[GrantOperation, str]] = {
    GrantOperation.RE_ENCRYPT_FROM: "source_encryption_context",
    GrantOperation.RE_ENCRYPT_TO: "destination_encryption_context",
}
_WITHOUT_CONTEXT: Final = frozenset({GrantOperation.DESCRIBE_KEY, GrantOperation.GET_PUBLIC_KEY})


def grant_for(kms: Kms, caller: Principal, key: Key, action: str, request: Shape) -> Match | None:
    """Return a grant that permits a request on one of its keys, or None.

    Args:
        kms: where the key is.
        caller: who asks.
        key: one of the keys that the request's targets resolved to.
        action: that target's action.
        request: what is asked.
    """
    operation = _OPERATIONS.get(action)
    index = kms.store.grant_index(key.region, key.key_id)
    if operation is None or not index.grants:
        return None
    use = Use(
        operation,
        _context(operation, request),
        caller.source_arn,
        proposed_by(request) if isinstance(request, CreateGrantRequest) else None,
    )
    return index.matching(caller, use)


def proposed_by(request: CreateGrantRequest) -> ProposedGrant:
    """Return the terms of the grant that CreateGrant is asked for, each operation once."""
    constraints = request.constraints
    if constraints is None:
        return ProposedGrant(_sorted(request))
    return ProposedGrant(
        _sorted(request),
        _pairs(constraints.encryption_context_equals),
        _pairs(constraints.encryption_context_subset),
        constraints.source_arn,
    )


def _context(operation: GrantOperation, request: Shape) -> Context | None:
    """Return the encryption context that constraints are about; None where they are about none."""
    if operation in _WITHOUT_CONTEXT:
        return None
    member = _CONTEXT_MEMBERS.get(operation, "encryption_context")
    return _pairs(getattr(request, member, None) or {})


def _pairs(context: EncryptionContext | None) -> Context | None:
    return None if context is None else tuple(sorted(context.items()))


def _sorted(request: CreateGrantRequest) -> tuple[GrantOperation, ...]:
    return tuple(sorted(set(request.operations)))
