"""Owns the table's rows of the operations on keys as a whole."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import INTERNAL, KEY, KEY_STATE, Operation
from agent.api.shapes import keys
from agent.api.shapes.base import Empty

CREATE_KEY: Final = Operation(
    "CreateKey",
    keys.CreateKeyRequest,
    keys.CreateKeyResponse,
    "kms:CreateKey",
    (
        *INTERNAL,
        errors.MalformedPolicyDocumentException,
        errors.InvalidArnException,
        errors.UnsupportedOperationException,
        errors.LimitExceededException,
        errors.TagException,
        errors.CustomKeyStoreNotFoundException,
        errors.CustomKeyStoreInvalidStateException,
        errors.CloudHsmClusterInvalidConfigurationException,
        errors.XksKeyInvalidConfigurationException,
        errors.XksKeyAlreadyInUseException,
        errors.XksKeyNotFoundException,
    ),
)
DESCRIBE_KEY: Final = Operation(
    "DescribeKey",
    keys.DescribeKeyRequest,
    keys.DescribeKeyResponse,
    "kms:DescribeKey",
    KEY,
)
LIST_KEYS: Final = Operation(
    "ListKeys",
    keys.ListKeysRequest,
    keys.ListKeysResponse,
    "kms:ListKeys",
    (
        *INTERNAL,
        errors.InvalidMarkerException,
    ),
)
ENABLE_KEY: Final = Operation(
    "EnableKey",
    keys.EnableKeyRequest,
    Empty,
    "kms:EnableKey",
    (
        *KEY_STATE,
        errors.LimitExceededException,
    ),
)
DISABLE_KEY: Final = Operation(
    "DisableKey",
    keys.DisableKeyRequest,
    Empty,
    "kms:DisableKey",
    KEY_STATE,
)
UPDATE_KEY_DESCRIPTION: Final = Operation(
    "UpdateKeyDescription",
    keys.UpdateKeyDescriptionRequest,
    Empty,
    "kms:UpdateKeyDescription",
    KEY_STATE,
)
SCHEDULE_KEY_DELETION: Final = Operation(
    "ScheduleKeyDeletion",
    keys.ScheduleKeyDeletionRequest,
    keys.ScheduleKeyDeletionResponse,
    "kms:ScheduleKeyDeletion",
    KEY_STATE,
)
CANCEL_KEY_DELETION: Final = Operation(
    "CancelKeyDeletion",
    keys.CancelKeyDeletionRequest,
    keys.CancelKeyDeletionResponse,
    "kms:CancelKeyDeletion",
    KEY_STATE,
)
