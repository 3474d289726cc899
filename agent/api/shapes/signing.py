"""Owns the shapes of the operations on signatures and public keys."""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import (
    CustomerMasterKeySpec,
    EncapsulationAlgorithmSpec,
    EncryptionAlgorithmSpec,
    KeyAgreementAlgorithmSpec,
    KeySpec,
    KeyUsage,
    MessageType,
    SigningAlgorithmSpec,
)
from agent.api.shapes.base import Ciphertext, GrantTokens, KeyId, Plaintext, Shape

PublicKey = Annotated[bytes, Meta(min_length=1, max_length=8192)]


class SignRequest(Shape, frozen=True, kw_only=True):
    """Request of Sign."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"message"})

    key_id: KeyId
    message: Plaintext
    message_type: MessageType | None = None
    grant_tokens: GrantTokens | None = None
    signing_algorithm: SigningAlgorithmSpec
    dry_run: bool | None = None


class SignResponse(Shape, frozen=True, kw_only=True):
    """Response of Sign."""

    key_id: KeyId
    signature: Ciphertext
    signing_algorithm: SigningAlgorithmSpec


class VerifyRequest(Shape, frozen=True, kw_only=True):
    """Request of Verify."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"message"})

    key_id: KeyId
    message: Plaintext
    message_type: MessageType | None = None
    signature: Ciphertext
    signing_algorithm: SigningAlgorithmSpec
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class VerifyResponse(Shape, frozen=True, kw_only=True):
    """Response of Verify."""

    key_id: KeyId
    signature_valid: bool
    signing_algorithm: SigningAlgorithmSpec


class GetPublicKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of GetPublicKey."""

    key_id: KeyId
    grant_tokens: GrantTokens | None = None


class GetPublicKeyResponse(Shape, frozen=True, kw_only=True):
    """Response of GetPublicKey."""

    key_id: KeyId
    public_key: PublicKey
    customer_master_key_spec: CustomerMasterKeySpec | None = None
    key_spec: KeySpec | None = None
    key_usage: KeyUsage | None = None
    encryption_algorithms: tuple[EncryptionAlgorithmSpec, ...] | None = None
    signing_algorithms: tuple[SigningAlgorithmSpec, ...] | None = None
    key_agreement_algorithms: tuple[KeyAgreementAlgorithmSpec, ...] | None = None
    encapsulation_algorithms: tuple[EncapsulationAlgorithmSpec, ...] | None = None
