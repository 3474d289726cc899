"""Owns the table of operations: name, request, response, IAM action, and the exceptions AWS models.

Knows nothing of what an operation does; clients and the service both read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from agent.api import errors
from agent.api.shapes import aliases, cryptographic, keys, policies, rotation
from agent.api.shapes.base import Empty, Shape

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Request, Response]):
    """One operation of the API.

    `errors` are those of AWS's model; any operation may also answer the ones in `errors.COMMON_ERRORS`.
    """

    name: str
    request: type[Request]
    response: type[Response]
    action: str
    errors: tuple[type[errors.ServiceError], ...]


_INTERNAL: Final = (errors.KMSInternalException, errors.DependencyTimeoutException)
_KEY: Final = (*_INTERNAL, errors.NotFoundException, errors.InvalidArnException)
_KEY_STATE: Final = (*_KEY, errors.KMSInvalidStateException)
_CRYPTOGRAPHIC: Final = (
    *_INTERNAL,
    errors.NotFoundException,
    errors.DisabledException,
    errors.KMSInvalidStateException,
    errors.KeyUnavailableException,
    errors.InvalidKeyUsageException,
    errors.InvalidGrantTokenException,
    errors.DryRunOperationException,
)

CREATE_KEY: Final = Operation(
    "CreateKey",
    keys.CreateKeyRequest,
    keys.CreateKeyResponse,
    "kms:CreateKey",
    (
        *_INTERNAL,
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
    _KEY,
)
LIST_KEYS: Final = Operation(
    "ListKeys",
    keys.ListKeysRequest,
    keys.ListKeysResponse,
    "kms:ListKeys",
    (
        *_INTERNAL,
        errors.InvalidMarkerException,
    ),
)
ENABLE_KEY: Final = Operation(
    "EnableKey",
    keys.EnableKeyRequest,
    Empty,
    "kms:EnableKey",
    (
        *_KEY_STATE,
        errors.LimitExceededException,
    ),
)
DISABLE_KEY: Final = Operation(
    "DisableKey",
    keys.DisableKeyRequest,
    Empty,
    "kms:DisableKey",
    _KEY_STATE,
)
UPDATE_KEY_DESCRIPTION: Final = Operation(
    "UpdateKeyDescription",
    keys.UpdateKeyDescriptionRequest,
    Empty,
    "kms:UpdateKeyDescription",
    _KEY_STATE,
)
SCHEDULE_KEY_DELETION: Final = Operation(
    "ScheduleKeyDeletion",
    keys.ScheduleKeyDeletionRequest,
    keys.ScheduleKeyDeletionResponse,
    "kms:ScheduleKeyDeletion",
    _KEY_STATE,
)
CANCEL_KEY_DELETION: Final = Operation(
    "CancelKeyDeletion",
    keys.CancelKeyDeletionRequest,
    keys.CancelKeyDeletionResponse,
    "kms:CancelKeyDeletion",
    _KEY_STATE,
)
GENERATE_DATA_KEY: Final = Operation(
    "GenerateDataKey",
    cryptographic.GenerateDataKeyRequest,
    cryptographic.GenerateDataKeyResponse,
    "kms:GenerateDataKey",
    _CRYPTOGRAPHIC,
)
GENERATE_DATA_KEY_WITHOUT_PLAINTEXT: Final = Operation(
    "GenerateDataKeyWithoutPlaintext",
    cryptographic.GenerateDataKeyWithoutPlaintextRequest,
    cryptographic.GenerateDataKeyWithoutPlaintextResponse,
    "kms:GenerateDataKeyWithoutPlaintext",
    _CRYPTOGRAPHIC,
)
ENCRYPT: Final = Operation(
    "Encrypt",
    cryptographic.EncryptRequest,
    cryptographic.EncryptResponse,
    "kms:Encrypt",
    _CRYPTOGRAPHIC,
)
DECRYPT: Final = Operation(
    "Decrypt",
    cryptographic.DecryptRequest,
    cryptographic.DecryptResponse,
    "kms:Decrypt",
    (
        *_CRYPTOGRAPHIC,
        errors.InvalidCiphertextException,
        errors.IncorrectKeyException,
    ),
)
RE_ENCRYPT: Final = Operation(
    "ReEncrypt",
    cryptographic.ReEncryptRequest,
    cryptographic.ReEncryptResponse,
    "kms:ReEncrypt",
    (
        *_CRYPTOGRAPHIC,
        errors.InvalidCiphertextException,
        errors.IncorrectKeyException,
    ),
)
GENERATE_RANDOM: Final = Operation(
    "GenerateRandom",
    cryptographic.GenerateRandomRequest,
    cryptographic.GenerateRandomResponse,
    "kms:GenerateRandom",
    (
        *_INTERNAL,
        errors.UnsupportedOperationException,
        errors.CustomKeyStoreNotFoundException,
        errors.CustomKeyStoreInvalidStateException,
    ),
)
CREATE_ALIAS: Final = Operation(
    "CreateAlias",
    aliases.CreateAliasRequest,
    Empty,
    "kms:CreateAlias",
    (
        *_INTERNAL,
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
        *_INTERNAL,
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
        *_INTERNAL,
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
        *_KEY,
        errors.InvalidMarkerException,
    ),
)
GET_KEY_POLICY: Final = Operation(
    "GetKeyPolicy",
    policies.GetKeyPolicyRequest,
    policies.GetKeyPolicyResponse,
    "kms:GetKeyPolicy",
    _KEY_STATE,
)
PUT_KEY_POLICY: Final = Operation(
    "PutKeyPolicy",
    policies.PutKeyPolicyRequest,
    Empty,
    "kms:PutKeyPolicy",
    (
        *_KEY_STATE,
        errors.MalformedPolicyDocumentException,
        errors.UnsupportedOperationException,
        errors.LimitExceededException,
    ),
)
ENABLE_KEY_ROTATION: Final = Operation(
    "EnableKeyRotation",
    rotation.EnableKeyRotationRequest,
    Empty,
    "kms:EnableKeyRotation",
    (
        *_KEY_STATE,
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
        *_KEY_STATE,
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
        *_KEY_STATE,
        errors.UnsupportedOperationException,
    ),
)
ROTATE_KEY_ON_DEMAND: Final = Operation(
    "RotateKeyOnDemand",
    rotation.RotateKeyOnDemandRequest,
    rotation.RotateKeyOnDemandResponse,
    "kms:RotateKeyOnDemand",
    (
        *_KEY_STATE,
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

_ALL: Final[tuple[Operation[Any, Any], ...]] = (
    CREATE_KEY,
    DESCRIBE_KEY,
    LIST_KEYS,
    ENABLE_KEY,
    DISABLE_KEY,
    UPDATE_KEY_DESCRIPTION,
    SCHEDULE_KEY_DELETION,
    CANCEL_KEY_DELETION,
    GENERATE_DATA_KEY,
    GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
    ENCRYPT,
    DECRYPT,
    RE_ENCRYPT,
    GENERATE_RANDOM,
    CREATE_ALIAS,
    UPDATE_ALIAS,
    DELETE_ALIAS,
    LIST_ALIASES,
    GET_KEY_POLICY,
    PUT_KEY_POLICY,
    ENABLE_KEY_ROTATION,
    DISABLE_KEY_ROTATION,
    GET_KEY_ROTATION_STATUS,
    ROTATE_KEY_ON_DEMAND,
    LIST_KEY_ROTATIONS,
)

OPERATIONS: Final[Mapping[str, Operation[Any, Any]]] = {operation.name: operation for operation in _ALL}
"""Every operation of this version, by name."""
