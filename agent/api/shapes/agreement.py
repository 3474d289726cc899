"""Owns the shapes of the operations on shared secrets: key agreement and encapsulation."""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import EncapsulationAlgorithmSpec, KeyAgreementAlgorithmSpec, Origin
from agent.api.shapes.base import Ciphertext, GrantTokens, KeyId, Plaintext, Shape
from agent.api.shapes.cryptographic import RecipientInfo

PublicKey = Annotated[bytes, Meta(min_length=1, max_length=8192)]


class DeriveSharedSecretRequest(Shape, frozen=True, kw_only=True):
    """Request of DeriveSharedSecret."""

    key_id: KeyId
    key_agreement_algorithm: KeyAgreementAlgorithmSpec
    public_key: PublicKey
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None
    recipient: RecipientInfo | None = None


class DeriveSharedSecretResponse(Shape, frozen=True, kw_only=True):
    """Response of DeriveSharedSecret."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"shared_secret"})

    key_id: KeyId
    shared_secret: Plaintext | None = None
    ciphertext_for_recipient: Ciphertext | None = None
    key_agreement_algorithm: KeyAgreementAlgorithmSpec | None = None
    key_origin: Origin | None = None


class EncapsulateRequest(Shape, frozen=True, kw_only=True):
    """Request of Encapsulate."""

    key_id: KeyId
    encapsulation_algorithm: EncapsulationAlgorithmSpec
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class EncapsulateResponse(Shape, frozen=True, kw_only=True):
    """Response of Encapsulate."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"shared_secret"})

    key_id: KeyId
    shared_secret: Plaintext | None = None
    shared_secret_ciphertext_blob: Ciphertext
    encapsulation_algorithm: EncapsulationAlgorithmSpec | None = None


class DecapsulateRequest(Shape, frozen=True, kw_only=True):
    """Request of Decapsulate."""

    key_id: KeyId
    shared_secret_ciphertext_blob: Ciphertext
    encapsulation_algorithm: EncapsulationAlgorithmSpec
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class DecapsulateResponse(Shape, frozen=True, kw_only=True):
    """Response of Decapsulate."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"shared_secret"})

    key_id: KeyId
    shared_secret: Plaintext | None = None
    encapsulation_algorithm: EncapsulationAlgorithmSpec | None = None
