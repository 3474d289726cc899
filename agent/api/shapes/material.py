"""Owns the shapes of the operations on imported key material."""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import AlgorithmSpec, ExpirationModel, ImportType, WrappingKeySpec
from agent.api.shapes.base import Ciphertext, KeyId, KeyMaterialId, Plaintext, Shape, pattern
from agent.api.shapes.rotation import KeyMaterialDescription

BackingKeyIdResponse = Annotated[str, Meta(min_length=0, max_length=64), pattern(r"^[a-f0-9]+$")]


class GetParametersForImportRequest(Shape, frozen=True, kw_only=True):
    """Request of GetParametersForImport."""

    key_id: KeyId
    wrapping_algorithm: AlgorithmSpec
    wrapping_key_spec: WrappingKeySpec


class GetParametersForImportResponse(Shape, frozen=True, kw_only=True):
    """Response of GetParametersForImport."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"public_key"})

    key_id: KeyId
    import_token: Ciphertext
    public_key: Plaintext
    parameters_valid_to: float


class ImportKeyMaterialRequest(Shape, frozen=True, kw_only=True):
    """Request of ImportKeyMaterial."""

    key_id: KeyId
    import_token: Ciphertext
    encrypted_key_material: Ciphertext
    valid_to: float | None = None
    expiration_model: ExpirationModel | None = None
    import_type: ImportType | None = None
    key_material_description: KeyMaterialDescription | None = None
    key_material_id: KeyMaterialId | None = None


class ImportKeyMaterialResponse(Shape, frozen=True, kw_only=True):
    """Response of ImportKeyMaterial."""

    key_id: KeyId
    key_material_id: KeyMaterialId | None = None


class DeleteImportedKeyMaterialRequest(Shape, frozen=True, kw_only=True):
    """Request of DeleteImportedKeyMaterial."""

    key_id: KeyId
    key_material_id: KeyMaterialId | None = None


class DeleteImportedKeyMaterialResponse(Shape, frozen=True, kw_only=True):
    """Response of DeleteImportedKeyMaterial."""

    key_id: KeyId
    key_material_id: BackingKeyIdResponse | None = None
