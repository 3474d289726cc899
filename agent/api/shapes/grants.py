"""Owns the shapes of the operations on grants."""

from typing import Annotated

from msgspec import Meta

from agent.api.enums import GrantOperation
from agent.api.shapes.base import (
    EncryptionContext,
    GrantToken,
    GrantTokens,
    KeyId,
    Limit,
    Marker,
    Shape,
    pattern,
)

PrincipalId = Annotated[str, Meta(min_length=1, max_length=256), pattern(r"^[\w+=,.@:/-]+$")]
GrantConstraintSourceArn = Annotated[
    str,
    Meta(min_length=20, max_length=512),
    pattern(r"^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$"),
]
GrantName = Annotated[str, Meta(min_length=1, max_length=256), pattern(r"^[a-zA-Z0-9:/_-]+$")]
ServicePrincipal = Annotated[
    str,
    Meta(min_length=1, max_length=128),
    pattern(r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$"),
]
GrantId = Annotated[str, Meta(min_length=1, max_length=128)]


class GrantConstraints(Shape, frozen=True, kw_only=True):
    """What an encryption context must have, and on whose behalf a request must come, for a grant to count."""

    encryption_context_subset: EncryptionContext | None = None
    encryption_context_equals: EncryptionContext | None = None
    source_arn: GrantConstraintSourceArn | None = None


class CreateGrantRequest(Shape, frozen=True, kw_only=True):
    """Request of CreateGrant."""

    key_id: KeyId
    grantee_principal: PrincipalId | None = None
    retiring_principal: PrincipalId | None = None
    operations: tuple[GrantOperation, ...]
    constraints: GrantConstraints | None = None
    grant_tokens: GrantTokens | None = None
    name: GrantName | None = None
    dry_run: bool | None = None
    grantee_service_principal: ServicePrincipal | None = None
    retiring_service_principal: ServicePrincipal | None = None


class CreateGrantResponse(Shape, frozen=True, kw_only=True):
    """Response of CreateGrant."""

    grant_token: GrantToken
    grant_id: GrantId


class ListGrantsRequest(Shape, frozen=True, kw_only=True):
    """Request of ListGrants."""

    limit: Limit | None = None
    marker: Marker | None = None
    key_id: KeyId
    grant_id: GrantId | None = None
    grantee_principal: PrincipalId | None = None
    grantee_service_principal: ServicePrincipal | None = None


class GrantListEntry(Shape, frozen=True, kw_only=True):
    """One grant in ListGrants and ListRetirableGrants."""

    key_id: KeyId | None = None
    grant_id: GrantId | None = None
    name: GrantName | None = None
    creation_date: float | None = None
    grantee_principal: PrincipalId | None = None
    retiring_principal: PrincipalId | None = None
    issuing_account: PrincipalId | None = None
    operations: tuple[GrantOperation, ...] | None = None
    constraints: GrantConstraints | None = None
    grantee_service_principal: ServicePrincipal | None = None
    retiring_service_principal: ServicePrincipal | None = None


class ListGrantsResponse(Shape, frozen=True, kw_only=True):
    """Response of ListGrants."""

    grants: tuple[GrantListEntry, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None


class ListRetirableGrantsRequest(Shape, frozen=True, kw_only=True):
    """Request of ListRetirableGrants."""

    limit: Limit | None = None
    marker: Marker | None = None
    retiring_principal: PrincipalId | None = None
    retiring_service_principal: ServicePrincipal | None = None


class RevokeGrantRequest(Shape, frozen=True, kw_only=True):
    """Request of RevokeGrant."""

    key_id: KeyId
    grant_id: GrantId
    dry_run: bool | None = None


class RetireGrantRequest(Shape, frozen=True, kw_only=True):
    """Request of RetireGrant."""

    grant_token: GrantToken | None = None
    key_id: KeyId | None = None
    grant_id: GrantId | None = None
    dry_run: bool | None = None
