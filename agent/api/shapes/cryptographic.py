"""Owns the shapes of the operations that use key material: data keys, encryption, random bytes."""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import DataKeySpec, DryRunModifier, EncryptionAlgorithmSpec, KeyEncryptionMechanism
from agent.api.shapes.base import (
    Ciphertext,
    CustomKeyStoreId,
    EncryptionContext,
    GrantTokens,
    KeyId,
    KeyMaterialId,
    NumberOfBytes,
    Plaintext,
    Shape,
)


class RecipientInfo(Shape, frozen=True, kw_only=True):
    """An attested enclave to which an answer shall be encrypted."""

    key_encryption_algorithm: KeyEncryptionMechanism | None = None
    attestation_document: Annotated[bytes, Meta(min_length=1, max_length=262144)] | None = None


class GenerateDataKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of GenerateDataKey: either a number of bytes or a key spec."""

    key_id: KeyId
    encryption_context: EncryptionContext | None = None
    number_of_bytes: NumberOfBytes | None = None
    key_spec: DataKeySpec | None = None
    grant_tokens: GrantTokens | None = None
    recipient: RecipientInfo | None = None
    dry_run: bool | None = None


class GenerateDataKeyResponse(Shape, frozen=True, kw_only=True):
    """Response of GenerateDataKey; the plaintext is absent where it went to a recipient."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"plaintext"})

    ciphertext_blob: Ciphertext
    plaintext: Plaintext | None = None
    key_id: KeyId
    ciphertext_for_recipient: Ciphertext | None = None
    key_material_id: KeyMaterialId | None = None


class GenerateDataKeyWithoutPlaintextRequest(Shape, frozen=True, kw_only=True):
    """Request of GenerateDataKeyWithoutPlaintext: either a number of bytes or a key spec."""

    key_id: KeyId
    encryption_context: EncryptionContext | None = None
    key_spec: DataKeySpec | None = None
    number_of_bytes: NumberOfBytes | None = None
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class GenerateDataKeyWithoutPlaintextResponse(Shape, frozen=True, kw_only=True):
    """Response of GenerateDataKeyWithoutPlaintext."""

    ciphertext_blob: Ciphertext
    key_id: KeyId
    key_material_id: KeyMaterialId | None = None


class EncryptRequest(Shape, frozen=True, kw_only=True):
    """Request of Encrypt."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"plaintext"})

    key_id: KeyId
    plaintext: Plaintext
    encryption_context: EncryptionContext | None = None
    grant_tokens: GrantTokens | None = None
    encryption_algorithm: EncryptionAlgorithmSpec | None = None
    dry_run: bool | None = None


class EncryptResponse(Shape, frozen=True, kw_only=True):
    """Response of Encrypt."""

    ciphertext_blob: Ciphertext
    key_id: KeyId
    encryption_algorithm: EncryptionAlgorithmSpec | None = None


class DecryptRequest(Shape, frozen=True, kw_only=True):
    """Request of Decrypt; the ciphertext may be absent only in a dry run that ignores it."""

    ciphertext_blob: Ciphertext | None = None
    encryption_context: EncryptionContext | None = None
    grant_tokens: GrantTokens | None = None
    key_id: KeyId | None = None
    encryption_algorithm: EncryptionAlgorithmSpec | None = None
    recipient: RecipientInfo | None = None
    dry_run: bool | None = None
    dry_run_modifiers: tuple[DryRunModifier, ...] | None = None


class DecryptResponse(Shape, frozen=True, kw_only=True):
    """Response of Decrypt; the plaintext is absent where it went to a recipient."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"plaintext"})

    key_id: KeyId
    plaintext: Plaintext | None = None
    encryption_algorithm: EncryptionAlgorithmSpec | None = None
    ciphertext_for_recipient: Ciphertext | None = None
    key_material_id: KeyMaterialId | None = None


class ReEncryptRequest(Shape, frozen=True, kw_only=True):
    """Request of ReEncrypt."""

    ciphertext_blob: Ciphertext | None = None
    source_encryption_context: EncryptionContext | None = None
    source_key_id: KeyId | None = None
    destination_key_id: KeyId
    destination_encryption_context: EncryptionContext | None = None
    source_encryption_algorithm: EncryptionAlgorithmSpec | None = None
    destination_encryption_algorithm: EncryptionAlgorithmSpec | None = None
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None
    dry_run_modifiers: tuple[DryRunModifier, ...] | None = None


class ReEncryptResponse(Shape, frozen=True, kw_only=True):
    """Response of ReEncrypt."""

    ciphertext_blob: Ciphertext
    source_key_id: KeyId | None = None
    key_id: KeyId
    source_encryption_algorithm: EncryptionAlgorithmSpec | None = None
    destination_encryption_algorithm: EncryptionAlgorithmSpec | None = None
    source_key_material_id: KeyMaterialId | None = None
    destination_key_material_id: KeyMaterialId | None = None


class GenerateRandomRequest(Shape, frozen=True, kw_only=True):
    """Request of GenerateRandom."""

    number_of_bytes: NumberOfBytes | None = None
    custom_key_store_id: CustomKeyStoreId | None = None
    recipient: RecipientInfo | None = None


class GenerateRandomResponse(Shape, frozen=True, kw_only=True):
    """Response of GenerateRandom; the plaintext is absent where it went to a recipient."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"plaintext"})

    plaintext: Plaintext | None = None
    ciphertext_for_recipient: Ciphertext | None = None
