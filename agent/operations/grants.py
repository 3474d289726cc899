"""Owns the operations that make and end grants."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from agent.api import operations as api
from agent.api.errors import LimitExceededException, ValidationException
from agent.api.shapes.base import Empty
from agent.api.shapes.grants import (
    CreateGrantRequest,
    CreateGrantResponse,
    GrantConstraints,
    RetireGrantRequest,
    RevokeGrantRequest,
)
from agent.authn.logins import uid_of
from agent.keys.grant import Grant
from agent.keys.grants import (
    MAX_CONTEXT_PAIRS,
    MAX_CONTEXT_VALUE_LENGTH,
    read_principal,
    require_fitting,
    unique_id,
)
from agent.keys.key import Key
from agent.keys.states import require_state
from agent.operations import grantlisting as listing
from agent.operations import handler
from agent.operations.granted import proposed_by
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import GrantTarget, Target, find_grant, present
from agent.operations.tokens import grant_with_id, issue_token
from agent.operations.usable import end_dry_run

_GRANT_ID_BYTES: Final = 32


def check_create_grant(request: CreateGrantRequest) -> None:
    """Refuse grants that name nobody or too many, permit nothing, or ask too much of the context."""
    by_service = request.grantee_service_principal is not None
    if (request.grantee_principal is None) is not by_service:
        raise ValidationException("Specify either GranteePrincipal or GranteeServicePrincipal, but not both.")
    if request.retiring_principal is not None and request.retiring_service_principal is not None:
        raise ValidationException("Specify RetiringPrincipal or RetiringServicePrincipal, but not both.")
    if not request.operations:
        raise ValidationException("Specify at least one operation in Operations.")
    _check_constraints(request.constraints or GrantConstraints())
    if by_service and (request.constraints is None or request.constraints.source_arn is None):
        raise ValidationException("A grant to a GranteeServicePrincipal needs a SourceArn constraint.")
    if by_service and request.retiring_principal is None and request.retiring_service_principal is None:
        raise ValidationException(
            "A grant to a GranteeServicePrincipal needs a RetiringPrincipal or RetiringServicePrincipal."
        )
    for principal in (request.grantee_principal, request.retiring_principal):
        if principal is not None:
            read_principal(principal)


def create_grant(kms: Kms, caller: Caller, keys: Keys, request: CreateGrantRequest) -> CreateGrantResponse:
    """Permit a principal to use a key, unless a grant of that name and content does so already."""
    proposed = _grant(kms, caller, keys[0], request)
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        require_state(key, "CreateGrant")
        require_fitting(key, proposed)
        present_grants = kms.store.grants(key.region, key.key_id)
        grant = _made_before(proposed, present_grants)
        most = kms.quotas.grants_per_key
        if grant is None and len(present_grants) >= most:
            raise LimitExceededException(
                f"{key.arn} has {most} grants already. Retire or revoke those that are not used."
            )
        end_dry_run(request.dry_run)
        if grant is None:
            grant = proposed
            transaction.put(grant)
    return CreateGrantResponse(grant_token=issue_token(kms, grant), grant_id=grant.grant_id)


def revoke_grant(kms: Kms, _caller: Caller, keys: Keys, request: RevokeGrantRequest) -> Empty:
    """End a grant, as an administrator of the key."""
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        require_state(key, "RevokeGrant")
        grant = grant_with_id(kms, key, request.grant_id)
        end_dry_run(request.dry_run)
        transaction.delete(grant)
    return Empty()


def check_retire_grant(request: RetireGrantRequest) -> None:
    """Refuse to retire no grant, or one that is named twice."""
    by_token = request.grant_token is not None
    by_id = request.key_id is not None and request.grant_id is not None
    if by_token is by_id or (by_token and (request.key_id is not None or request.grant_id is not None)):
        raise ValidationException("Specify either GrantToken, or both KeyId and GrantId.")


def retire_grant_targets(request: RetireGrantRequest) -> tuple[Target, ...]:
    """Return the grant."""
    return (_retired(request),)


def retire_grant(kms: Kms, _caller: Caller, keys: Keys, request: RetireGrantRequest) -> Empty:
    """End a grant, as somebody whom it lets do so."""
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        require_state(key, "RetireGrant")
        grant = find_grant(kms, _retired(request))
        end_dry_run(request.dry_run)
        transaction.delete(grant)
    return Empty()


def _grant(kms: Kms, caller: Caller, key: Key, request: CreateGrantRequest) -> Grant:
    terms = proposed_by(request)
    grantee = request.grantee_principal and read_principal(request.grantee_principal)
    return Grant(
        grant_id=secrets.token_hex(_GRANT_ID_BYTES),
        key_id=key.key_id,
        region=key.region,
        creation_date=kms.now(),
        issuing_account=caller.account_id,
        operations=terms.operations,
        name=request.name,
        grantee_principal=grantee,
        grantee_id="" if grantee is None else _unique_id(kms, grantee),
        retiring_principal=request.retiring_principal and read_principal(request.retiring_principal),
        grantee_service_principal=request.grantee_service_principal,
        retiring_service_principal=request.retiring_service_principal,
        context_equals=terms.context_equals,
        context_subset=terms.context_subset,
        source_arn=terms.source_arn,
    )


def _unique_id(kms: Kms, grantee: str) -> str:
    """Return what the grantee is told by from later users of its name; "" where nothing is known."""
    login = grantee.removeprefix(f"arn:aws:iam::{kms.account_id}:user/")
    uid = None if login == grantee else uid_of(login)
    return "" if uid is None else unique_id(uid)


def _made_before(proposed: Grant, grants: Sequence[Grant]) -> Grant | None:
    if proposed.name is None:
        return None
    for grant in grants:
        if grant.name != proposed.name:
            continue
        if grant == replace(proposed, grant_id=grant.grant_id, creation_date=grant.creation_date):
            return grant
    return None


def _check_constraints(constraints: GrantConstraints) -> None:
    contexts = (constraints.encryption_context_equals, constraints.encryption_context_subset)
    given = [context for context in contexts if context is not None]
    if len(given) > 1:
        raise ValidationException("Specify EncryptionContextEquals or EncryptionContextSubset, but not both.")
    for context in given:
        if len(context) > MAX_CONTEXT_PAIRS:
            raise ValidationException(
                f"A grant constraint can have at most {MAX_CONTEXT_PAIRS} encryption context pairs."
            )
        if any(len(value) > MAX_CONTEXT_VALUE_LENGTH for value in context.values()):
            raise ValidationException(
                "An encryption context value in a grant constraint can have at most "
                f"{MAX_CONTEXT_VALUE_LENGTH} characters."
            )


def _retired(request: RetireGrantRequest) -> GrantTarget:
    return GrantTarget(api.RETIRE_GRANT.action, request.grant_token, request.key_id, request.grant_id)


HANDLERS: Final = (
    handler.Handler(
        api.CREATE_GRANT, handler.key(api.CREATE_GRANT), create_grant, check_create_grant, mutates=True
    ),
    *listing.HANDLERS,
    handler.Handler(api.REVOKE_GRANT, handler.key(api.REVOKE_GRANT), revoke_grant, mutates=True),
    handler.Handler(api.RETIRE_GRANT, retire_grant_targets, retire_grant, check_retire_grant, mutates=True),
)
