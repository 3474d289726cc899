"""Owns the shapes of the operations on identity policies and principals, which are the agent's own.

AWS has these in IAM; the members bear their names there.
"""

from typing import Annotated

from msgspec import Meta

from agent.api.shapes.access_keys import PrincipalArn
from agent.api.shapes.base import Limit, Marker, Shape, pattern
from agent.api.shapes.keys import Tag
from agent.api.shapes.tags import TagKey

IdentityPolicyName = Annotated[str, Meta(min_length=1, max_length=128), pattern(r"[\w+=,.@-]+")]
PolicyDocument = Annotated[
    str, Meta(min_length=1, max_length=131072), pattern(r"[\u0009\u000A\u000D\u0020-\u00FF]+")
]


class PutIdentityPolicyRequest(Shape, frozen=True, kw_only=True):
    """Request of PutIdentityPolicy."""

    principal_arn: PrincipalArn
    policy_name: IdentityPolicyName
    policy_document: PolicyDocument


class GetIdentityPolicyRequest(Shape, frozen=True, kw_only=True):
    """Request of GetIdentityPolicy."""

    principal_arn: PrincipalArn
    policy_name: IdentityPolicyName


class GetIdentityPolicyResponse(Shape, frozen=True, kw_only=True):
    """Response of GetIdentityPolicy."""

    principal_arn: PrincipalArn
    policy_name: IdentityPolicyName
    policy_document: PolicyDocument


class DeleteIdentityPolicyRequest(Shape, frozen=True, kw_only=True):
    """Request of DeleteIdentityPolicy."""

    principal_arn: PrincipalArn
    policy_name: IdentityPolicyName


class ListIdentityPoliciesRequest(Shape, frozen=True, kw_only=True):
    """Request of ListIdentityPolicies: of one principal, or of all that anything is known of."""

    principal_arn: PrincipalArn | None = None
    limit: Limit | None = None
    marker: Marker | None = None


class PrincipalListEntry(Shape, frozen=True, kw_only=True):
    """What a principal is given, in ListIdentityPolicies."""

    principal_arn: PrincipalArn
    policy_names: tuple[IdentityPolicyName, ...]
    permissions_boundary: PolicyDocument | None = None
    tags: tuple[Tag, ...] | None = None


class ListIdentityPoliciesResponse(Shape, frozen=True, kw_only=True):
    """Response of ListIdentityPolicies; `next_marker` only if truncated."""

    principals: tuple[PrincipalListEntry, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None


class PutPermissionsBoundaryRequest(Shape, frozen=True, kw_only=True):
    """Request of PutPermissionsBoundary: a policy that limits what identity policies give."""

    principal_arn: PrincipalArn
    permissions_boundary: PolicyDocument


class DeletePermissionsBoundaryRequest(Shape, frozen=True, kw_only=True):
    """Request of DeletePermissionsBoundary."""

    principal_arn: PrincipalArn


class TagPrincipalRequest(Shape, frozen=True, kw_only=True):
    """Request of TagPrincipal."""

    principal_arn: PrincipalArn
    tags: tuple[Tag, ...]


class UntagPrincipalRequest(Shape, frozen=True, kw_only=True):
    """Request of UntagPrincipal."""

    principal_arn: PrincipalArn
    tag_keys: tuple[TagKey, ...]
