"""Owns the table's rows of the operations on identity policies and principals."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import own_operation
from agent.api.shapes import explain, identity
from agent.api.shapes.base import Empty

_CHANGED: Final = (errors.KMSInternalException, errors.NotFoundException)
_POLICY: Final = (
    errors.KMSInternalException,
    errors.LimitExceededException,
    errors.MalformedPolicyDocumentException,
)

PUT_IDENTITY_POLICY: Final = own_operation(
    "PutIdentityPolicy",
    identity.PutIdentityPolicyRequest,
    Empty,
    _POLICY,
)
GET_IDENTITY_POLICY: Final = own_operation(
    "GetIdentityPolicy",
    identity.GetIdentityPolicyRequest,
    identity.GetIdentityPolicyResponse,
    _CHANGED,
)
DELETE_IDENTITY_POLICY: Final = own_operation(
    "DeleteIdentityPolicy",
    identity.DeleteIdentityPolicyRequest,
    Empty,
    _CHANGED,
)
LIST_IDENTITY_POLICIES: Final = own_operation(
    "ListIdentityPolicies",
    identity.ListIdentityPoliciesRequest,
    identity.ListIdentityPoliciesResponse,
    (errors.KMSInternalException, errors.InvalidMarkerException),
)
PUT_PERMISSIONS_BOUNDARY: Final = own_operation(
    "PutPermissionsBoundary",
    identity.PutPermissionsBoundaryRequest,
    Empty,
    _POLICY,
)
DELETE_PERMISSIONS_BOUNDARY: Final = own_operation(
    "DeletePermissionsBoundary",
    identity.DeletePermissionsBoundaryRequest,
    Empty,
    _CHANGED,
)
TAG_PRINCIPAL: Final = own_operation(
    "TagPrincipal",
    identity.TagPrincipalRequest,
    Empty,
    (errors.KMSInternalException, errors.TagException),
)
UNTAG_PRINCIPAL: Final = own_operation(
    "UntagPrincipal",
    identity.UntagPrincipalRequest,
    Empty,
    (errors.KMSInternalException,),
)
EXPLAIN_ACCESS: Final = own_operation(
    "ExplainAccess",
    explain.ExplainAccessRequest,
    explain.ExplainAccessResponse,
    (errors.KMSInternalException, errors.NotFoundException, errors.InvalidGrantTokenException),
)
