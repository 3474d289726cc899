"""Owns the shapes of the operations on key policies."""

from agent.api.shapes.base import KeyId, Limit, Marker, Policy, PolicyName, Shape


class GetKeyPolicyRequest(Shape, frozen=True, kw_only=True):
    """Request of GetKeyPolicy; the policy name is `default` unless given."""

    key_id: KeyId
    policy_name: PolicyName | None = None


class GetKeyPolicyResponse(Shape, frozen=True, kw_only=True):
    """Response of GetKeyPolicy."""

    policy: Policy
    policy_name: PolicyName | None = None


class PutKeyPolicyRequest(Shape, frozen=True, kw_only=True):
    """Request of PutKeyPolicy; the policy name is `default` unless given."""

    key_id: KeyId
    policy_name: PolicyName | None = None
    policy: Policy
    bypass_policy_lockout_safety_check: bool | None = None


class ListKeyPoliciesRequest(Shape, frozen=True, kw_only=True):
    """Request of ListKeyPolicies."""

    key_id: KeyId
    limit: Limit | None = None
    marker: Marker | None = None


class ListKeyPoliciesResponse(Shape, frozen=True, kw_only=True):
    """Response of ListKeyPolicies; `next_marker` only if truncated."""

    policy_names: tuple[PolicyName, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None
