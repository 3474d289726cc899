"""Owns the operations that list grants: of a key, and of whoever may retire them."""

from operator import attrgetter
from typing import Final

from agent.api import operations as api
from agent.api.errors import ValidationException
from agent.api.shapes.grants import (
    GrantConstraints,
    GrantListEntry,
    ListGrantsRequest,
    ListGrantsResponse,
    ListRetirableGrantsRequest,
)
from agent.keys.grant import Context, Grant
from agent.keys.grants import read_principal
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page
from agent.operations.tokens import require_grant_id
from agent.policy.principals import account_root

_LIST_LIMIT: Final = 50
_MAX_LIST_LIMIT: Final = 100


def check_list_grants(request: ListGrantsRequest) -> None:
    """Refuse filters that exclude each other or make no sense, and page sizes above AWS's."""
    _check_limit(request.limit)
    if request.grant_id is not None:
        require_grant_id(request.grant_id)
    if request.grantee_principal is not None:
        read_principal(request.grantee_principal)
    if request.grantee_principal is not None and request.grantee_service_principal is not None:
        raise ValidationException("Specify GranteePrincipal or GranteeServicePrincipal, but not both.")


def list_grants(kms: Kms, _caller: Caller, keys: Keys, request: ListGrantsRequest) -> ListGrantsResponse:
    """Return a page of a key's grants by id, of one grantee if the request names one."""
    (key,) = keys
    require_state(key, "ListGrants")
    grants = kms.store.grants(key.region, key.key_id)
    filters = (request.grant_id, request.grantee_principal, request.grantee_service_principal)
    if request.grant_id is not None:
        named = kms.store.grant(key.region, key.key_id, request.grant_id)
        grants = [] if named is None else [named]
    if request.grantee_principal is not None:
        grantee = read_principal(request.grantee_principal)
        grants = [grant for grant in grants if grant.grantee_principal == grantee]
    if request.grantee_service_principal is not None:
        service = request.grantee_service_principal
        grants = [grant for grant in grants if grant.grantee_service_principal == service]
    listing = f"ListGrants {key.key_id} {filters}"
    limit = request.limit or _LIST_LIMIT
    chosen, marker = page(grants, attrgetter("grant_id"), limit, request.marker, listing)
    return ListGrantsResponse(
        grants=tuple(_entry(grant, key.arn) for grant in chosen),
        next_marker=marker,
        truncated=marker is not None,
    )


def check_list_retirable_grants(request: ListRetirableGrantsRequest) -> None:
    """Refuse to list the grants of nobody or of two principals, and page sizes above AWS's."""
    _check_limit(request.limit)
    if (request.retiring_principal is None) is (request.retiring_service_principal is None):
        raise ValidationException(
            "Specify either RetiringPrincipal or RetiringServicePrincipal, but not both."
        )
    if request.retiring_principal is not None:
        read_principal(request.retiring_principal)


def list_retirable_grants(
    kms: Kms, _caller: Caller, _keys: Keys, request: ListRetirableGrantsRequest
) -> ListGrantsResponse:
    """Return a page of the Region's grants that a principal may retire, by key id and grant id."""
    service = request.retiring_service_principal
    retiring = request.retiring_principal and read_principal(request.retiring_principal)
    grants = [
        grant
        for grant in kms.store.all_grants(kms.region)
        if (grant.retiring_principal, grant.retiring_service_principal) == (retiring, service)
    ]
    chosen, marker = page(
        grants,
        lambda grant: f"{grant.key_id}/{grant.grant_id}",
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListRetirableGrants {retiring} {service}",
    )
    return ListGrantsResponse(
        grants=tuple(_entry(grant, kms.key_arn(grant.key_id)) for grant in chosen),
        next_marker=marker,
        truncated=marker is not None,
    )


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit > _MAX_LIST_LIMIT:
        raise ValidationException(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy "
            f"constraint: Member must have value less than or equal to {_MAX_LIST_LIMIT}"
        )


def _entry(grant: Grant, key_arn: str) -> GrantListEntry:
    equals, subset = _shown(grant.context_equals), _shown(grant.context_subset)
    constrained = equals is not None or subset is not None or grant.source_arn is not None
    return GrantListEntry(
        key_id=key_arn,
        grant_id=grant.grant_id,
        name=grant.name,
        creation_date=grant.creation_date,
        grantee_principal=grant.grantee_principal,
        retiring_principal=grant.retiring_principal,
        issuing_account=account_root(grant.issuing_account),
        operations=grant.operations,
        constraints=GrantConstraints(
            encryption_context_equals=equals,
            encryption_context_subset=subset,
            source_arn=grant.source_arn,
        )
        if constrained
        else None,
        grantee_service_principal=grant.grantee_service_principal,
        retiring_service_principal=grant.retiring_service_principal,
    )


def _shown(context: Context | None) -> dict[str, str] | None:
    return None if context is None else dict(context)


HANDLERS: Final = (
    handler.Handler(api.LIST_GRANTS, handler.key(api.LIST_GRANTS), list_grants, check_list_grants),
    handler.Handler(
        api.LIST_RETIRABLE_GRANTS,
        handler.account(api.LIST_RETIRABLE_GRANTS),
        list_retirable_grants,
        check_list_retirable_grants,
        slow=True,
    ),
)
