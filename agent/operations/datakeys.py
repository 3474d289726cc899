"""Owns the operations that make symmetric data keys: usage, spec, state, the cryptography, DryRun."""

import secrets
from collections.abc import Mapping
from typing import Final

from agent.api import operations as api
from agent.api.enums import DataKeySpec
from agent.api.errors import ValidationException
from agent.api.shapes.cryptographic import (
    GenerateDataKeyRequest,
    GenerateDataKeyResponse,
    GenerateDataKeyWithoutPlaintextRequest,
    GenerateDataKeyWithoutPlaintextResponse,
)
from agent.backends import symmetric
from agent.keys.key import Key
from agent.operations import handler, recipients
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.usable import end_dry_run, require_symmetric

DataKeyRequest = GenerateDataKeyRequest | GenerateDataKeyWithoutPlaintextRequest

_SIZES: Final[Mapping[DataKeySpec, int]] = {DataKeySpec.AES_256: 32, DataKeySpec.AES_128: 16}


def check_data_key_without_plaintext(request: DataKeyRequest) -> None:
    """Refuse what the model allows and AWS does not: no length or two."""
    if (request.number_of_bytes is None) == (request.key_spec is None):
        raise ValidationException("Please specify either number of bytes or key spec.")


def check_data_key(request: GenerateDataKeyRequest) -> None:
    """Refuse what the model allows and AWS does not: no length or two, and half a recipient."""
    check_data_key_without_plaintext(request)
    recipients.check(request.recipient)


def generate_data_key(
    kms: Kms, caller: Caller, keys: Keys, request: GenerateDataKeyRequest
) -> GenerateDataKeyResponse:
    """Make a data key; answer it in plain, or for the recipient, and encrypted under the key."""
    (key,) = keys
    plaintext, blob = _data_key(kms, key, request, "GenerateDataKey")
    answer = recipients.address(caller, request.recipient, plaintext)
    return GenerateDataKeyResponse(
        ciphertext_blob=blob,
        plaintext=answer.plaintext,
        key_id=key.arn,
        ciphertext_for_recipient=answer.ciphertext_for_recipient,
        key_material_id=key.current_material_id if request.recipient is None else None,
    )


def generate_data_key_without_plaintext(
    kms: Kms, _caller: Caller, keys: Keys, request: GenerateDataKeyWithoutPlaintextRequest
) -> GenerateDataKeyWithoutPlaintextResponse:
    """Make a data key; answer it encrypted only."""
    (key,) = keys
    _, blob = _data_key(kms, key, request, "GenerateDataKeyWithoutPlaintext")
    return GenerateDataKeyWithoutPlaintextResponse(
        ciphertext_blob=blob, key_id=key.arn, key_material_id=key.current_material_id
    )


def _data_key(kms: Kms, key: Key, request: DataKeyRequest, operation_name: str) -> tuple[bytes, bytes]:
    require_symmetric(key, operation_name)
    size = request.number_of_bytes
    if size is None:
        assert request.key_spec is not None
        size = _SIZES[request.key_spec]
    plaintext = secrets.token_bytes(size)
    blob = symmetric.encrypt(kms.store, kms.barrier, key, plaintext, request.encryption_context)
    end_dry_run(request.dry_run)
    return plaintext, blob


HANDLERS: Final = (
    handler.Handler(
        api.GENERATE_DATA_KEY, handler.key_or_alias(api.GENERATE_DATA_KEY), generate_data_key, check_data_key
    ),
    handler.Handler(
        api.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
        handler.key_or_alias(api.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT),
        generate_data_key_without_plaintext,
        check_data_key_without_plaintext,
    ),
)
