"""Owns the operations that use key material: data keys, encryption, random bytes.

Order of the checks, as AWS was seen to make them: usage, state, algorithm, the cryptography itself, and
DryRun at the very end.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from agent.api import operations as api
from agent.api.enums import DataKeySpec, DryRunModifier, EncryptionAlgorithmSpec, KeySpec, KeyUsage
from agent.api.errors import (
    CustomKeyStoreNotFoundException,
    InvalidKeyUsageException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.cryptographic import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
    GenerateDataKeyRequest,
    GenerateDataKeyResponse,
    GenerateDataKeyWithoutPlaintextRequest,
    GenerateDataKeyWithoutPlaintextResponse,
    GenerateRandomRequest,
    GenerateRandomResponse,
    RecipientInfo,
    ReEncryptRequest,
    ReEncryptResponse,
)
from agent.backends import local
from agent.keys.key import Key
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import CiphertextTarget, KeyTarget, Target
from agent.operations.usable import dry_run_succeeded, end_dry_run, require_usable

DataKeyRequest = GenerateDataKeyRequest | GenerateDataKeyWithoutPlaintextRequest
CiphertextRequest = DecryptRequest | ReEncryptRequest

_DATA_KEY_SIZES: Final[Mapping[DataKeySpec, int]] = {DataKeySpec.AES_256: 32, DataKeySpec.AES_128: 16}
_NULL_MEMBER: Final = (
    "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null"
)


def check_data_key(request: DataKeyRequest) -> None:
    """Refuse what the model allows and AWS does not: no length or two, and recipients."""
    if (request.number_of_bytes is None) == (request.key_spec is None):
        raise ValidationException("Please specify either number of bytes or key spec.")
    if isinstance(request, GenerateDataKeyRequest):
        _refuse_recipient(request.recipient)


def generate_data_key(
    kms: Kms, _caller: Caller, keys: Keys, request: GenerateDataKeyRequest
) -> GenerateDataKeyResponse:
    """Make a data key; answer it in plain and encrypted under the key."""
    (key,) = keys
    plaintext, blob = _data_key(kms, key, request, "GenerateDataKey")
    return GenerateDataKeyResponse(
        ciphertext_blob=blob,
        plaintext=plaintext,
        key_id=key.arn,
        key_material_id=key.current_material_id,
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


def encrypt(kms: Kms, _caller: Caller, keys: Keys, request: EncryptRequest) -> EncryptResponse:
    """Encrypt up to 4096 bytes under the key."""
    (key,) = keys
    _require_usable(key, "Encrypt", request.encryption_algorithm)
    blob = local.encrypt(kms.store, kms.barrier, key, request.plaintext, request.encryption_context)
    end_dry_run(request.dry_run)
    return EncryptResponse(
        ciphertext_blob=blob,
        key_id=key.arn,
        encryption_algorithm=EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT,
    )


def check_decrypt(request: DecryptRequest) -> None:
    """Refuse recipients, and a missing ciphertext unless a dry run ignores it."""
    _refuse_recipient(request.recipient)
    _require_ciphertext(request, request.key_id, "keyId")


def decrypt_targets(request: DecryptRequest) -> tuple[Target, ...]:
    """Return the key that the request names, else the key that the ciphertext names."""
    return (_source("kms:Decrypt", request.key_id, request.ciphertext_blob),)


def decrypt(kms: Kms, _caller: Caller, keys: Keys, request: DecryptRequest) -> DecryptResponse:
    """Decrypt what Encrypt, ReEncrypt or GenerateDataKey made."""
    (key,) = keys
    _require_usable(key, "Decrypt", request.encryption_algorithm)
    if _ignores_ciphertext(request):
        raise dry_run_succeeded()
    assert request.ciphertext_blob is not None
    plaintext, material_id = local.decrypt(
        kms.store, kms.barrier, key, request.ciphertext_blob, request.encryption_context
    )
    end_dry_run(request.dry_run)
    return DecryptResponse(
        key_id=key.arn,
        plaintext=plaintext,
        encryption_algorithm=EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT,
        key_material_id=material_id,
    )


def check_re_encrypt(request: ReEncryptRequest) -> None:
    """Refuse a missing ciphertext unless a dry run ignores it."""
    _require_ciphertext(request, request.source_key_id, "sourceKeyId")


def re_encrypt_targets(request: ReEncryptRequest) -> tuple[Target, ...]:
    """Return the source key, named by the request or by the ciphertext, and the destination key."""
    return (
        _source("kms:ReEncryptFrom", request.source_key_id, request.ciphertext_blob),
        KeyTarget("kms:ReEncryptTo", request.destination_key_id, takes_alias=True),
    )


def re_encrypt(kms: Kms, _caller: Caller, keys: Keys, request: ReEncryptRequest) -> ReEncryptResponse:
    """Decrypt under one key and encrypt under another, or under the same with another context."""
    source, destination = keys
    _require_usable(source, "ReEncrypt", request.source_encryption_algorithm)
    _require_usable(destination, "ReEncrypt", request.destination_encryption_algorithm)
    if _ignores_ciphertext(request):
        raise dry_run_succeeded()
    assert request.ciphertext_blob is not None
    plaintext, source_material_id = local.decrypt(
        kms.store, kms.barrier, source, request.ciphertext_blob, request.source_encryption_context
    )
    blob = local.encrypt(
        kms.store, kms.barrier, destination, plaintext, request.destination_encryption_context
    )
    end_dry_run(request.dry_run)
    return ReEncryptResponse(
        ciphertext_blob=blob,
        source_key_id=source.arn,
        key_id=destination.arn,
        source_encryption_algorithm=EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT,
        destination_encryption_algorithm=EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT,
        source_key_material_id=source_material_id,
        destination_key_material_id=destination.current_material_id,
    )


def check_generate_random(request: GenerateRandomRequest) -> None:
    """Refuse what the model allows and AWS does not, and what needs hardware this agent has not."""
    if request.number_of_bytes is None:
        raise ValidationException("NumberOfBytes is required.")
    _refuse_recipient(request.recipient)
    if request.custom_key_store_id is not None:
        raise CustomKeyStoreNotFoundException(
            f"Custom key store {request.custom_key_store_id} does not exist. "
            "Leave CustomKeyStoreId out to get bytes from the operating system's generator."
        )


def generate_random(
    _kms: Kms, _caller: Caller, _keys: Keys, request: GenerateRandomRequest
) -> GenerateRandomResponse:
    """Return bytes of the operating system's generator."""
    assert request.number_of_bytes is not None
    return GenerateRandomResponse(plaintext=secrets.token_bytes(request.number_of_bytes))


def _data_key(kms: Kms, key: Key, request: DataKeyRequest, operation_name: str) -> tuple[bytes, bytes]:
    _require_usable(key, operation_name, None)
    size = request.number_of_bytes
    if size is None:
        assert request.key_spec is not None
        size = _DATA_KEY_SIZES[request.key_spec]
    plaintext = secrets.token_bytes(size)
    blob = local.encrypt(kms.store, kms.barrier, key, plaintext, request.encryption_context)
    end_dry_run(request.dry_run)
    return plaintext, blob


def _require_usable(key: Key, operation_name: str, algorithm: EncryptionAlgorithmSpec | None) -> None:
    require_usable(key, operation_name, KeyUsage.ENCRYPT_DECRYPT, algorithm)
    if key.key_spec is not KeySpec.SYMMETRIC_DEFAULT:
        raise InvalidKeyUsageException(
            f"{key.arn} key spec is {key.key_spec} which is not valid for {operation_name}."
        )


def _source(action: str, key_id: str | None, blob: bytes | None) -> Target:
    if key_id is not None:
        return KeyTarget(action, key_id, takes_alias=True)
    assert blob is not None
    return CiphertextTarget(action, blob)


def _ignores_ciphertext(request: CiphertextRequest) -> bool:
    return bool(request.dry_run) and DryRunModifier.IGNORE_CIPHERTEXT in (request.dry_run_modifiers or ())


def _require_ciphertext(request: CiphertextRequest, key_id: str | None, key_member: str) -> None:
    if _ignores_ciphertext(request):
        if key_id is None:
            raise ValidationException(_NULL_MEMBER.format(key_member))
    elif request.ciphertext_blob is None:
        raise ValidationException(_NULL_MEMBER.format("ciphertextBlob"))


def _refuse_recipient(recipient: RecipientInfo | None) -> None:
    if recipient is not None:
        raise UnsupportedOperationException(
            "Recipient is not supported: this service verifies no attestation documents. Leave it out."
        )


HANDLERS: Final = (
    handler.Handler(
        api.GENERATE_DATA_KEY, handler.key_or_alias(api.GENERATE_DATA_KEY), generate_data_key, check_data_key
    ),
    handler.Handler(
        api.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
        handler.key_or_alias(api.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT),
        generate_data_key_without_plaintext,
        check_data_key,
    ),
    handler.Handler(api.ENCRYPT, handler.key_or_alias(api.ENCRYPT), encrypt),
    handler.Handler(api.DECRYPT, decrypt_targets, decrypt, check_decrypt),
    handler.Handler(api.RE_ENCRYPT, re_encrypt_targets, re_encrypt, check_re_encrypt),
    handler.Handler(
        api.GENERATE_RANDOM, handler.account(api.GENERATE_RANDOM), generate_random, check_generate_random
    ),
)
