"""Owns the shapes of the operations that make data key pairs."""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import DataKeyPairSpec
from agent.api.shapes.base import (
    Ciphertext,
    EncryptionContext,
    GrantTokens,
    KeyId,
    KeyMaterialId,
    Plaintext,
    Shape,
)
from agent.api.shapes.cryptographic import RecipientInfo

PublicKey = Annotated[bytes, Meta(min_length=1, max_length=8192)]


class GenerateDataKeyPairRequest(Shape, frozen=True, kw_only=True):
    """Request of GenerateDataKeyPair."""

    encryption_context: EncryptionContext | None = None
    key_id: KeyId
    key_pair_spec: DataKeyPairSpec
    grant_tokens: GrantTokens | None = None
    recipient: RecipientInfo | None = None
    dry_run: bool | None = None


class GenerateDataKeyPairResponse(Shape, frozen=True, kw_only=True):
    """Response of GenerateDataKeyPair."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"private_key_plaintext"})

    private_key_ciphertext_blob: Ciphertext
    private_key_plaintext: Plaintext | None = None
    public_key: PublicKey
    key_id: KeyId
    key_pair_spec: DataKeyPairSpec
    ciphertext_for_recipient: Ciphertext | None = None
    key_material_id: KeyMaterialId | None = None


class GenerateDataKeyPairWithoutPlaintextRequest(Shape, frozen=True, kw_only=True):
    """Request of GenerateDataKeyPairWithoutPlaintext."""

    encryption_context: EncryptionContext | None = None
    key_id: KeyId
    key_pair_spec: DataKeyPairSpec
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class GenerateDataKeyPairWithoutPlaintextResponse(Shape, frozen=True, kw_only=True):
    """Response of GenerateDataKeyPairWithoutPlaintext."""

    private_key_ciphertext_blob: Ciphertext
    public_key: PublicKey
    key_id: KeyId
    key_pair_spec: DataKeyPairSpec
    key_material_id: KeyMaterialId | None = None
