"""Owns the table's rows of the operations on grants."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import KEY, KEY_STATE, Operation
from agent.api.shapes import grants
from agent.api.shapes.base import Empty

CREATE_GRANT: Final = Operation(
    "CreateGrant",
    grants.CreateGrantRequest,
    grants.CreateGrantResponse,
    "kms:CreateGrant",
    (
        *KEY_STATE,
        errors.DisabledException,
        errors.InvalidGrantTokenException,
        errors.LimitExceededException,
        errors.DryRunOperationException,
    ),
)
LIST_GRANTS: Final = Operation(
    "ListGrants",
    grants.ListGrantsRequest,
    grants.ListGrantsResponse,
    "kms:ListGrants",
    (
        *KEY_STATE,
        errors.InvalidMarkerException,
        errors.InvalidGrantIdException,
    ),
)
LIST_RETIRABLE_GRANTS: Final = Operation(
    "ListRetirableGrants",
    grants.ListRetirableGrantsRequest,
    grants.ListGrantsResponse,
    "kms:ListRetirableGrants",
    (
        *KEY,
        errors.InvalidMarkerException,
    ),
)
REVOKE_GRANT: Final = Operation(
    "RevokeGrant",
    grants.RevokeGrantRequest,
    Empty,
    "kms:RevokeGrant",
    (
        *KEY_STATE,
        errors.InvalidGrantIdException,
        errors.DryRunOperationException,
    ),
)
RETIRE_GRANT: Final = Operation(
    "RetireGrant",
    grants.RetireGrantRequest,
    Empty,
    "kms:RetireGrant",
    (
        *KEY_STATE,
        errors.InvalidGrantTokenException,
        errors.InvalidGrantIdException,
        errors.DryRunOperationException,
    ),
)
