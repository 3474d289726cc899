"""Owns the table's rows of the operations on access keys and sessions."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import AGENT_SERVICE, Operation
from agent.api.shapes import access_keys
from agent.api.shapes.base import Empty

CREATE_ACCESS_KEY: Final = Operation(
    "CreateAccessKey",
    access_keys.CreateAccessKeyRequest,
    access_keys.CreateAccessKeyResponse,
    "kms-agent:CreateAccessKey",
    (errors.KMSInternalException, errors.LimitExceededException),
    service=AGENT_SERVICE,
)
LIST_ACCESS_KEYS: Final = Operation(
    "ListAccessKeys",
    access_keys.ListAccessKeysRequest,
    access_keys.ListAccessKeysResponse,
    "kms-agent:ListAccessKeys",
    (errors.KMSInternalException, errors.InvalidMarkerException),
    service=AGENT_SERVICE,
)
UPDATE_ACCESS_KEY: Final = Operation(
    "UpdateAccessKey",
    access_keys.UpdateAccessKeyRequest,
    Empty,
    "kms-agent:UpdateAccessKey",
    (errors.KMSInternalException, errors.NotFoundException),
    service=AGENT_SERVICE,
)
DELETE_ACCESS_KEY: Final = Operation(
    "DeleteAccessKey",
    access_keys.DeleteAccessKeyRequest,
    Empty,
    "kms-agent:DeleteAccessKey",
    (errors.KMSInternalException, errors.NotFoundException),
    service=AGENT_SERVICE,
)
CREATE_SESSION: Final = Operation(
    "CreateSession",
    access_keys.CreateSessionRequest,
    access_keys.CreateSessionResponse,
    "kms-agent:CreateSession",
    (
        errors.KMSInternalException,
        errors.LimitExceededException,
        errors.MalformedPolicyDocumentException,
        errors.TagException,
    ),
    service=AGENT_SERVICE,
)
