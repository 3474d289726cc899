"""Owns the table's rows of the operations on aliases."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import INTERNAL, KEY, Operation
from agent.api.shapes import aliases
from agent.api.shapes.base import Empty

CREATE_ALIAS: Final = Operation(
    "CreateAlias",
    aliases.CreateAliasRequest,
    Empty,
    "kms:CreateAlias",
    (
        *INTERNAL,
        errors.AlreadyExistsException,
        errors.NotFoundException,
        errors.InvalidAliasNameException,
        errors.LimitExceededException,
        errors.KMSInvalidStateException,
    ),
)
UPDATE_ALIAS: Final = Operation(
    "UpdateAlias",
    aliases.UpdateAliasRequest,
    Empty,
    "kms:UpdateAlias",
    (
        *INTERNAL,
        errors.NotFoundException,
        errors.LimitExceededException,
        errors.KMSInvalidStateException,
    ),
)
DELETE_ALIAS: Final = Operation(
    "DeleteAlias",
    aliases.DeleteAliasRequest,
    Empty,
    "kms:DeleteAlias",
    (
        *INTERNAL,
        errors.NotFoundException,
        errors.KMSInvalidStateException,
    ),
)
LIST_ALIASES: Final = Operation(
    "ListAliases",
    aliases.ListAliasesRequest,
    aliases.ListAliasesResponse,
    "kms:ListAliases",
    (
        *KEY,
        errors.InvalidMarkerException,
    ),
)
