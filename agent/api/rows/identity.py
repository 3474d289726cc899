"""Owns the table's rows of the operations on identity policies and principals."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import AGENT_SERVICE, Operation
from agent.api.shapes import explain, identity
from agent.api.shapes.base import Empty

_CHANGED: Final = (errors.KMSInternalException, errors.NotFoundException)
_POLICY: Final = (
    errors.KMSInternalException,
    errors.LimitExceededException,
    errors.MalformedPolicyDocumentException,
)

PUT_IDENTITY_POLICY: Final = Operation(
    "PutIdentityPolicy",
    identity.PutIdentityPolicyRequest,
    Empty,
    "kms-agent:PutIdentityPolicy",
    _POLICY,
    service=AGENT_SERVICE,
)
GET_IDENTITY_POLICY: Final = Operation(
    "GetIdentityPolicy",
    identity.GetIdentityPolicyRequest,
    identity.GetIdentityPolicyResponse,
    "kms-agent:GetIdentityPolicy",
    _CHANGED,
    service=AGENT_SERVICE,
)
DELETE_IDENTITY_POLICY: Final = Operation(
    "DeleteIdentityPolicy",
    identity.DeleteIdentityPolicyRequest,
    Empty,
    "kms-agent:DeleteIdentityPolicy",
    _CHANGED,
    service=AGENT_SERVICE,
)
LIST_IDENTITY_POLICIES: Final = Operation(
    "ListIdentityPolicies",
    identity.ListIdentityPoliciesRequest,
    identity.ListIdentityPoliciesResponse,
    "kms-agent:ListIdentityPolicies",
    (errors.KMSInternalException, errors.InvalidMarkerException),
    service=AGENT_SERVICE,
)
PUT_PERMISSIONS_BOUNDARY: Final = Operation(
    "PutPermissionsBoundary",
    identity.PutPermissionsBoundaryRequest,
    Empty,
    "kms-agent:PutPermissionsBoundary",
    _POLICY,
    service=AGENT_SERVICE,
)
DELETE_PERMISSIONS_BOUNDARY: Final = Operation(
    "DeletePermissionsBoundary",
    identity.DeletePermissionsBoundaryRequest,
    Empty,
    "kms-agent:DeletePermissionsBoundary",
    _CHANGED,
    service=AGENT_SERVICE,
)
TAG_PRINCIPAL: Final = Operation(
    "TagPrincipal",
    identity.TagPrincipalRequest,
    Empty,
    "kms-agent:TagPrincipal",
    (errors.KMSInternalException, errors.TagException),
    service=AGENT_SERVICE,
)
UNTAG_PRINCIPAL: Final = Operation(
    "UntagPrincipal",
    identity.UntagPrincipalRequest,
    Empty,
    "kms-agent:UntagPrincipal",
    (errors.KMSInternalException,),
    service=AGENT_SERVICE,
)
EXPLAIN_ACCESS: Final = Operation(
    "ExplainAccess",
    explain.ExplainAccessRequest,
    explain.ExplainAccessResponse,
    "kms-agent:ExplainAccess",
    (errors.KMSInternalException, errors.NotFoundException, errors.InvalidGrantTokenException),
    service=AGENT_SERVICE,
)
