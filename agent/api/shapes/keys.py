"""Owns the shapes of the operations on keys as a whole: creation, description, state, deletion."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent.api.enums import (
    CustomerMasterKeySpec,
    EncapsulationAlgorithmSpec,
    EncryptionAlgorithmSpec,
    ExpirationModel,
    KeyAgreementAlgorithmSpec,
    KeyManager,
    KeySpec,
    KeyState,
    KeyUsage,
    MacAlgorithmSpec,
    MultiRegionKeyType,
    Origin,
    ResourceOwner,
    SigningAlgorithmSpec,
)
from agent.api.shapes.base import (
    ArnText,
    CustomKeyStoreId,
    Description,
    GrantTokens,
    KeyId,
    KeyMaterialId,
    Limit,
    Marker,
    PendingWindowInDays,
    Policy,
    Shape,
    XksKeyId,
    pattern,
)

# AWS's pattern is ^([a-z]+-){2,3}\d+$; Regions here may have any name, and the default one is "local".
Region = Annotated[str, Meta(min_length=1, max_length=32), pattern(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
ClusterId = Annotated[str, Meta(min_length=19, max_length=24, pattern=r"\A(?a:cluster-[2-7a-zA-Z]{11,16})\Z")]
ResourceOwners = Annotated[tuple[ResourceOwner, ...], Meta(min_length=1, max_length=2)]


class Tag(Shape, frozen=True, kw_only=True):
    """A label of a key, for cost and access control."""

    tag_key: Annotated[str, Meta(min_length=1, max_length=128)]
    tag_value: Annotated[str, Meta(min_length=0, max_length=256)]


class MultiRegionKey(Shape, frozen=True, kw_only=True):
    """One of several related multi-Region keys."""

    arn: ArnText | None = None
    region: Region | None = None


class MultiRegionConfiguration(Shape, frozen=True, kw_only=True):
    """The relatives of a multi-Region key."""

    multi_region_key_type: MultiRegionKeyType | None = None
    primary_key: MultiRegionKey | None = None
    replica_keys: tuple[MultiRegionKey, ...] | None = None


class XksKeyConfiguration(Shape, frozen=True, kw_only=True):
    """The key in an external key store behind a KMS key."""

    id: XksKeyId | None = None


class KeyMetadata(Shape, frozen=True, kw_only=True):
    """What DescribeKey tells about a key; algorithms only those of its usage."""

    aws_account_id: str | None = msgspec.field(default=None, name="AWSAccountId")
    key_id: KeyId
    arn: ArnText | None = None
    creation_date: float | None = None
    enabled: bool | None = None
    description: Description | None = None
    key_usage: KeyUsage | None = None
    key_state: KeyState | None = None
    deletion_date: float | None = None
    valid_to: float | None = None
    origin: Origin | None = None
    custom_key_store_id: CustomKeyStoreId | None = None
    cloud_hsm_cluster_id: ClusterId | None = None
    expiration_model: ExpirationModel | None = None
    key_manager: KeyManager | None = None
    customer_master_key_spec: CustomerMasterKeySpec | None = None
    key_spec: KeySpec | None = None
    encryption_algorithms: tuple[EncryptionAlgorithmSpec, ...] | None = None
    signing_algorithms: tuple[SigningAlgorithmSpec, ...] | None = None
    key_agreement_algorithms: tuple[KeyAgreementAlgorithmSpec, ...] | None = None
    encapsulation_algorithms: tuple[EncapsulationAlgorithmSpec, ...] | None = None
    multi_region: bool | None = None
    multi_region_configuration: MultiRegionConfiguration | None = None
    pending_deletion_window_in_days: PendingWindowInDays | None = None
    mac_algorithms: tuple[MacAlgorithmSpec, ...] | None = None
    xks_key_configuration: XksKeyConfiguration | None = None
    current_key_material_id: KeyMaterialId | None = None


class CreateKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of CreateKey."""

    policy: Policy | None = None
    description: Description | None = None
    key_usage: KeyUsage | None = None
    customer_master_key_spec: CustomerMasterKeySpec | None = None
    key_spec: KeySpec | None = None
    origin: Origin | None = None
    custom_key_store_id: CustomKeyStoreId | None = None
    bypass_policy_lockout_safety_check: bool | None = None
    tags: tuple[Tag, ...] | None = None
    multi_region: bool | None = None
    xks_key_id: XksKeyId | None = None


class CreateKeyResponse(Shape, frozen=True, kw_only=True):
    """Response of CreateKey."""

    key_metadata: KeyMetadata


class DescribeKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of DescribeKey."""

    key_id: KeyId
    grant_tokens: GrantTokens | None = None


class DescribeKeyResponse(Shape, frozen=True, kw_only=True):
    """Response of DescribeKey."""

    key_metadata: KeyMetadata


class ListKeysRequest(Shape, frozen=True, kw_only=True):
    """Request of ListKeys."""

    limit: Limit | None = None
    marker: Marker | None = None
    resource_owners: ResourceOwners | None = None


class KeyListEntry(Shape, frozen=True, kw_only=True):
    """One key in ListKeys."""

    key_id: KeyId
    key_arn: ArnText


class ListKeysResponse(Shape, frozen=True, kw_only=True):
    """Response of ListKeys; `next_marker` only if truncated."""

    keys: tuple[KeyListEntry, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None


class EnableKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of EnableKey."""

    key_id: KeyId


class DisableKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of DisableKey."""

    key_id: KeyId


class UpdateKeyDescriptionRequest(Shape, frozen=True, kw_only=True):
    """Request of UpdateKeyDescription."""

    key_id: KeyId
    description: Description


class ScheduleKeyDeletionRequest(Shape, frozen=True, kw_only=True):
    """Request of ScheduleKeyDeletion; the window is 30 days unless given."""

    key_id: KeyId
    pending_window_in_days: PendingWindowInDays | None = None


class ScheduleKeyDeletionResponse(Shape, frozen=True, kw_only=True):
    """Response of ScheduleKeyDeletion; no date while replicas hold the deletion up."""

    key_id: KeyId
    deletion_date: float | None = None
    key_state: KeyState | None = None
    pending_window_in_days: PendingWindowInDays | None = None


class CancelKeyDeletionRequest(Shape, frozen=True, kw_only=True):
    """Request of CancelKeyDeletion."""

    key_id: KeyId


class CancelKeyDeletionResponse(Shape, frozen=True, kw_only=True):
    """Response of CancelKeyDeletion."""

    key_id: KeyId
