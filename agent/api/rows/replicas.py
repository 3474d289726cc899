"""Owns the table's rows of the operations on multi-Region keys."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import Operation
from agent.api.shapes import replicas
from agent.api.shapes.base import Empty

REPLICATE_KEY: Final = Operation(
    "ReplicateKey",
    replicas.ReplicateKeyRequest,
    replicas.ReplicateKeyResponse,
    "kms:ReplicateKey",
    (
        errors.AlreadyExistsException,
        errors.DisabledException,
        errors.InvalidArnException,
        errors.KMSInvalidStateException,
        errors.KMSInternalException,
        errors.LimitExceededException,
        errors.MalformedPolicyDocumentException,
        errors.NotFoundException,
        errors.TagException,
        errors.UnsupportedOperationException,
    ),
)
UPDATE_PRIMARY_REGION: Final = Operation(
    "UpdatePrimaryRegion",
    replicas.UpdatePrimaryRegionRequest,
    Empty,
    "kms:UpdatePrimaryRegion",
    (
        errors.DisabledException,
        errors.InvalidArnException,
        errors.KMSInvalidStateException,
        errors.KMSInternalException,
        errors.NotFoundException,
        errors.UnsupportedOperationException,
    ),
)
