"""Owns the table's rows of the operations on the rotation of key material."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import KEY_STATE, Operation
from agent.api.shapes import rotation
from agent.api.shapes.base import Empty

ENABLE_KEY_ROTATION: Final = Operation(
    "EnableKeyRotation",
    rotation.EnableKeyRotationRequest,
    Empty,
    "kms:EnableKeyRotation",
    (
        *KEY_STATE,
        errors.DisabledException,
        errors.UnsupportedOperationException,
    ),
)
DISABLE_KEY_ROTATION: Final = Operation(
    "DisableKeyRotation",
    rotation.DisableKeyRotationRequest,
    Empty,
    "kms:DisableKeyRotation",
    (
        *KEY_STATE,
        errors.DisabledException,
        errors.UnsupportedOperationException,
    ),
)
GET_KEY_ROTATION_STATUS: Final = Operation(
    "GetKeyRotationStatus",
    rotation.GetKeyRotationStatusRequest,
    rotation.GetKeyRotationStatusResponse,
    "kms:GetKeyRotationStatus",
    (
        *KEY_STATE,
        errors.UnsupportedOperationException,
    ),
)
ROTATE_KEY_ON_DEMAND: Final = Operation(
    "RotateKeyOnDemand",
    rotation.RotateKeyOnDemandRequest,
    rotation.RotateKeyOnDemandResponse,
    "kms:RotateKeyOnDemand",
    (
        *KEY_STATE,
        errors.DisabledException,
        errors.UnsupportedOperationException,
        errors.LimitExceededException,
        errors.ConflictException,
    ),
)
LIST_KEY_ROTATIONS: Final = Operation(
    "ListKeyRotations",
    rotation.ListKeyRotationsRequest,
    rotation.ListKeyRotationsResponse,
    "kms:ListKeyRotations",
    (
        errors.NotFoundException,
        errors.InvalidArnException,
        errors.InvalidMarkerException,
        errors.KMSInternalException,
        errors.KMSInvalidStateException,
        errors.UnsupportedOperationException,
    ),
)
