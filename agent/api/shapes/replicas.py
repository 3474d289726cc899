"""Owns the shapes of the operations on multi-Region keys."""

from agent.api.shapes.base import Description, KeyId, Policy, Shape
from agent.api.shapes.keys import KeyMetadata, Region, Tag


class ReplicateKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of ReplicateKey."""

    key_id: KeyId
    replica_region: Region
    policy: Policy | None = None
    bypass_policy_lockout_safety_check: bool | None = None
    description: Description | None = None
    tags: tuple[Tag, ...] | None = None


class ReplicateKeyResponse(Shape, frozen=True, kw_only=True):
    """Response of ReplicateKey."""

    replica_key_metadata: KeyMetadata
    replica_policy: Policy
    replica_tags: tuple[Tag, ...] | None = None


class UpdatePrimaryRegionRequest(Shape, frozen=True, kw_only=True):
    """Request of UpdatePrimaryRegion."""

    key_id: KeyId
    primary_region: Region
