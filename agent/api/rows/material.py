"""Owns the table's rows of the operations on imported key material."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import KEY_STATE, Operation
from agent.api.shapes import material

GET_PARAMETERS_FOR_IMPORT: Final = Operation(
    "GetParametersForImport",
    material.GetParametersForImportRequest,
    material.GetParametersForImportResponse,
    "kms:GetParametersForImport",
    (
        *KEY_STATE,
        errors.UnsupportedOperationException,
    ),
)
IMPORT_KEY_MATERIAL: Final = Operation(
    "ImportKeyMaterial",
    material.ImportKeyMaterialRequest,
    material.ImportKeyMaterialResponse,
    "kms:ImportKeyMaterial",
    (
        *KEY_STATE,
        errors.UnsupportedOperationException,
        errors.InvalidCiphertextException,
        errors.IncorrectKeyMaterialException,
        errors.ExpiredImportTokenException,
        errors.InvalidImportTokenException,
    ),
)
DELETE_IMPORTED_KEY_MATERIAL: Final = Operation(
    "DeleteImportedKeyMaterial",
    material.DeleteImportedKeyMaterialRequest,
    material.DeleteImportedKeyMaterialResponse,
    "kms:DeleteImportedKeyMaterial",
    (
        *KEY_STATE,
        errors.UnsupportedOperationException,
    ),
)
