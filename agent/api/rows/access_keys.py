"""Owns the table's rows of the operations on access keys and sessions."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import own_operation
from agent.api.shapes import access_keys
from agent.api.shapes.base import Empty

CREATE_ACCESS_KEY: Final = own_operation(
    "CreateAccessKey",
    access_keys.CreateAccessKeyRequest,
    access_keys.CreateAccessKeyResponse,
    (errors.KMSInternalException, errors.LimitExceededException),
)
LIST_ACCESS_KEYS: Final = own_operation(
    "ListAccessKeys",
    access_keys.ListAccessKeysRequest,
    access_keys.ListAccessKeysResponse,
    (errors.KMSInternalException, errors.InvalidMarkerException),
)
UPDATE_ACCESS_KEY: Final = own_operation(
    "UpdateAccessKey",
    access_keys.UpdateAccessKeyRequest,
    Empty,
    (errors.KMSInternalException, errors.NotFoundException),
)
DELETE_ACCESS_KEY: Final = own_operation(
    "DeleteAccessKey",
    access_keys.DeleteAccessKeyRequest,
    Empty,
    (errors.KMSInternalException, errors.NotFoundException),
)
CREATE_SESSION: Final = own_operation(
    "CreateSession",
    access_keys.CreateSessionRequest,
    access_keys.CreateSessionResponse,
    (
        errors.KMSInternalException,
        errors.LimitExceededException,
        errors.MalformedPolicyDocumentException,
        errors.TagException,
    ),
)
