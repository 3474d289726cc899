"""Owns the table's rows of the operations on key policies."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import KEY_STATE, Operation
from agent.api.shapes import policies
from agent.api.shapes.base import Empty

GET_KEY_POLICY: Final = Operation(
    "GetKeyPolicy",
    policies.GetKeyPolicyRequest,
    policies.GetKeyPolicyResponse,
    "kms:GetKeyPolicy",
    KEY_STATE,
)
PUT_KEY_POLICY: Final = Operation(
    "PutKeyPolicy",
    policies.PutKeyPolicyRequest,
    Empty,
    "kms:PutKeyPolicy",
    (
        *KEY_STATE,
        errors.MalformedPolicyDocumentException,
        errors.UnsupportedOperationException,
        errors.LimitExceededException,
    ),
)
LIST_KEY_POLICIES: Final = Operation(
    "ListKeyPolicies",
    policies.ListKeyPoliciesRequest,
    policies.ListKeyPoliciesResponse,
    "kms:ListKeyPolicies",
    KEY_STATE,
)
