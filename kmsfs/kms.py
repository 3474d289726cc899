"""Owns what kmsfs asks a key management service, and what a refusal means to its user.

The service is the agent, or AWS KMS: whatever carries out operations of the API. Knows nothing of where keys
are kept or when they are asked for.
"""

import logging
from typing import Final, NamedTuple, Protocol, TypeVar

from agent.api import errors as service
from agent.api.enums import DataKeySpec
from agent.api.rows.cryptographic import DECRYPT, ENCRYPT, GENERATE_DATA_KEY, RE_ENCRYPT
from agent.api.rows.keys import DESCRIBE_KEY
from agent.api.rows.operation import Operation
from agent.api.shapes.base import Shape
from agent.api.shapes.cryptographic import (
    DecryptRequest,
    EncryptRequest,
    GenerateDataKeyRequest,
    ReEncryptRequest,
)
from agent.api.shapes.keys import DescribeKeyRequest
from kmsfs.errors import KeyUnavailableError

KEY_SIZE: Final = 32

_LOG: Final = logging.getLogger(__name__)

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)

_NEXT_STEPS: Final[dict[type[service.ServiceError], str]] = {
    service.AccessDeniedException: "Ask the owner of the key to allow you to use it.",
    service.DisabledException: "Enable it with: kms-agent key enable {key}",
    service.InvalidCiphertextException: (
        "The agent does not have the key material that this was encrypted under."
    ),
    service.KMSInvalidStateException: "See its state with: kms-agent key show {key}",
    service.NotFoundException: "Ask an agent that has this key: --agent URL or KMS_AGENT_URL names it.",
}
_NEXT_STEP: Final = "See: kms-agent key show {key}"


class Kms(Protocol):
    """A key management service; any thread may call it."""

    def call(self, operation: Operation[Request, Response], request: Request) -> Response:
        """Carry out one operation.

        Raises:
            ServiceError: it refuses.
            AgentError: it cannot be asked.
        """
        ...


class DataKey(NamedTuple):
    """What GenerateDataKey gives.

    Attributes:
        plaintext: 32 bytes.
        blob: the CiphertextBlob.
        key_arn: ARN of the KMS key behind it.
        key_material_id: of that key; None where the service does not tell.
    """

    plaintext: bytes
    blob: bytes
    key_arn: str
    key_material_id: str | None

    def __repr__(self) -> str:
        return f"DataKey({self.key_arn})"


class Under(NamedTuple):
    """What a ciphertext is under.

    Attributes:
        key_id: of the KMS key: key id, key ARN, alias name or alias ARN.
        context: the EncryptionContext.
    """

    key_id: str
    context: dict[str, str]


class ReEncrypted(NamedTuple):
    """What ReEncrypt gives.

    Attributes:
        blob: the new CiphertextBlob.
        key_arn: ARN of the KMS key behind it.
        key_material_id: of that key; None where the service does not tell.
        source_material_id: what the blob before was under; None where the service does not tell.
    """

    blob: bytes
    key_arn: str
    key_material_id: str | None
    source_material_id: str | None


def volume_context(volume_id: bytes) -> dict[str, str]:
    """Return the EncryptionContext of a volume key."""
    return {"kmsfs:volume": volume_id.hex()}


def policy_context(volume_id: bytes, policy: int) -> dict[str, str]:
    """Return the EncryptionContext of a bucket key."""
    return {**volume_context(volume_id), "kmsfs:policy": str(policy)}


def file_context(volume_id: bytes, policy: int, file_id: bytes) -> dict[str, str]:
    """Return the EncryptionContext of the data key of a file in mode direct."""
    return {**policy_context(volume_id, policy), "kmsfs:file": file_id.hex()}


def generate_data_key(kms: Kms, key_id: str, context: dict[str, str]) -> DataKey:
    """Have a data key of 256 bits made.

    Args:
        kms: the service.
        key_id: key id, key ARN, alias name or alias ARN.
        context: the EncryptionContext.

    Raises:
        KeyUnavailableError: the service refuses.
        AgentError: it cannot be asked.
    """
    request = GenerateDataKeyRequest(key_id=key_id, encryption_context=context, key_spec=DataKeySpec.AES_256)
    response = _call(kms, GENERATE_DATA_KEY, request, key_id)
    key = _checked(response.plaintext, key_id)
    return DataKey(key, response.ciphertext_blob, response.key_id, response.key_material_id)


def decrypt(kms: Kms, key_arn: str, blob: bytes, context: dict[str, str]) -> bytes:
    """Return the 32 bytes that `blob` holds.

    Raises:
        KeyUnavailableError: the service refuses.
        AgentError: it cannot be asked.
    """
    request = DecryptRequest(ciphertext_blob=blob, encryption_context=context, key_id=key_arn)
    return _checked(_call(kms, DECRYPT, request, key_arn).plaintext, key_arn)


def encrypt(kms: Kms, key_arn: str, plaintext: bytes, context: dict[str, str]) -> bytes:
    """Return the CiphertextBlob of a data key that exists already.

    Raises:
        KeyUnavailableError: the service refuses.
        AgentError: it cannot be asked.
    """
    request = EncryptRequest(key_id=key_arn, plaintext=plaintext, encryption_context=context)
    return _call(kms, ENCRYPT, request, key_arn).ciphertext_blob


def re_encrypt(kms: Kms, blob: bytes, source: Under, destination: Under) -> ReEncrypted:
    """Have a ciphertext wrapped anew within the service, under current material.

    Raises:
        KeyUnavailableError: the service refuses one of the keys.
        AgentError: it cannot be asked.
    """
    request = ReEncryptRequest(
        ciphertext_blob=blob,
        source_key_id=source.key_id,
        source_encryption_context=source.context,
        destination_key_id=destination.key_id,
        destination_encryption_context=destination.context,
    )
    response = _call(kms, RE_ENCRYPT, request, destination.key_id)
    return ReEncrypted(
        response.ciphertext_blob,
        response.key_id,
        response.destination_key_material_id,
        response.source_key_material_id,
    )


def current_material(kms: Kms, key_arn: str) -> str | None:
    """Return the id of a KMS key's current material; None where the service does not tell, or may not.

    Raises:
        KeyUnavailableError: the service refuses, for another reason than that we may not ask.
        AgentError: it cannot be asked.
    """
    try:
        described = _call(kms, DESCRIBE_KEY, DescribeKeyRequest(key_id=key_arn), key_arn)
    except KeyUnavailableError as error:
        # Whoever has a grant for data keys alone is to get along without.
        if isinstance(error.__cause__, service.AccessDeniedException):
            _LOG.info("not allowed to ask whether %s was rotated: it is taken not to have been", key_arn)
            return None
        raise
    return described.key_metadata.current_key_material_id


def is_foreign(error: KeyUnavailableError) -> bool:
    """Say whether the service found that a blob is none that the key made for that context."""
    return isinstance(error.__cause__, (service.InvalidCiphertextException, service.IncorrectKeyException))


def is_passing(error: KeyUnavailableError) -> bool:
    """Say whether the service was only not able to answer now."""
    return isinstance(
        error.__cause__,
        (service.KMSInternalException, service.DependencyTimeoutException, service.ThrottlingException),
    )


def _checked(plaintext: bytes | None, key_id: str) -> bytes:
    if plaintext is None or len(plaintext) != KEY_SIZE:
        raise KeyUnavailableError(f"the agent answered for {key_id} with something that is not a 256-bit key")
    return plaintext


def _call(kms: Kms, operation: Operation[Request, Response], request: Request, key_id: str) -> Response:
    try:
        return kms.call(operation, request)
    except service.ServiceError as error:
        reason = error.message or (error.__doc__ or "").partition("\n")[0]
        next_step = _NEXT_STEPS.get(type(error), _NEXT_STEP).format(key=key_id)
        raise KeyUnavailableError(
            f"{operation.name} with {key_id} was refused: {reason} ({error.code}). {next_step}",
        ) from error
