"""Owns the operations that encrypt and decrypt what callers bring: Encrypt, Decrypt, ReEncrypt.

Order of the checks, as AWS was seen to make them: usage, state, algorithm, size, the cryptography itself, and
DryRun at the very end. With symmetric keys the ciphertext names its key; with RSA keys it is RSAES-OAEP's and
nothing else, so the request must name key and algorithm, and there is nothing to bind a context to.
"""

from typing import Final

from agent.api import operations as api
from agent.api.enums import DryRunModifier, EncryptionAlgorithmSpec, KeyUsage
from agent.api.errors import ValidationException
from agent.api.shapes.cryptographic import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
    ReEncryptRequest,
    ReEncryptResponse,
)
from agent.backends import asymmetric, local, symmetric
from agent.backends.local import Context
from agent.crypto import rsa
from agent.keys.key import Key
from agent.operations import handler, recipients
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import CiphertextTarget, KeyTarget, Target
from agent.operations.usable import dry_run_succeeded, end_dry_run, require_usable

CiphertextRequest = DecryptRequest | ReEncryptRequest

_SYMMETRIC: Final = EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT
_NULL_MEMBER: Final = (
    "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null"
)


def check_encrypt(request: EncryptRequest) -> None:
    """Refuse an encryption context that nothing can be bound to."""
    _check_context(request.encryption_algorithm, request.encryption_context)


def encrypt(kms: Kms, _caller: Caller, keys: Keys, request: EncryptRequest) -> EncryptResponse:
    """Encrypt up to 4096 bytes under a symmetric key, or what fits into its modulus under an RSA key."""
    (key,) = keys
    algorithm = _require_usable(key, "Encrypt", request.encryption_algorithm)
    blob = _encrypt(kms, key, algorithm, request.plaintext, request.encryption_context)
    end_dry_run(request.dry_run)
    return EncryptResponse(ciphertext_blob=blob, key_id=key.arn, encryption_algorithm=algorithm)


def check_decrypt(request: DecryptRequest) -> None:
    """Refuse what the model allows and AWS does not: half a recipient, and a key or ciphertext not named."""
    recipients.check(request.recipient)
    _check_context(request.encryption_algorithm, request.encryption_context)
    _check_source(request, request.key_id, "KeyId", request.encryption_algorithm)


def decrypt_targets(request: DecryptRequest) -> tuple[Target, ...]:
    """Return the key that the request names, else the key that the ciphertext names."""
    return (_source("kms:Decrypt", request.key_id, request.ciphertext_blob),)


def decrypt(kms: Kms, caller: Caller, keys: Keys, request: DecryptRequest) -> DecryptResponse:
    """Decrypt what this service encrypted, or under an RSA key whatever was encrypted to its public half."""
    (key,) = keys
    _require_own(kms, key, request, request.encryption_algorithm)
    algorithm = _require_usable(key, "Decrypt", request.encryption_algorithm)
    if _ignores_ciphertext(request):
        raise dry_run_succeeded()
    assert request.ciphertext_blob is not None
    plaintext, material_id = _decrypt(
        kms, key, algorithm, request.ciphertext_blob, request.encryption_context
    )
    end_dry_run(request.dry_run)
    answer = recipients.address(caller, request.recipient, plaintext)
    return DecryptResponse(
        key_id=key.arn,
        plaintext=answer.plaintext,
        encryption_algorithm=algorithm,
        ciphertext_for_recipient=answer.ciphertext_for_recipient,
        key_material_id=material_id if request.recipient is None else None,
    )


def check_re_encrypt(request: ReEncryptRequest) -> None:
    """Refuse what the model allows and AWS does not: a source key or ciphertext not named."""
    _check_context(request.source_encryption_algorithm, request.source_encryption_context)
    _check_context(request.destination_encryption_algorithm, request.destination_encryption_context)
    _check_source(request, request.source_key_id, "SourceKeyId", request.source_encryption_algorithm)


def re_encrypt_targets(request: ReEncryptRequest) -> tuple[Target, ...]:
    """Return the source key, named by the request or by the ciphertext, and the destination key."""
    return (
        _source("kms:ReEncryptFrom", request.source_key_id, request.ciphertext_blob),
        KeyTarget("kms:ReEncryptTo", request.destination_key_id, takes_alias=True),
    )


def re_encrypt(kms: Kms, _caller: Caller, keys: Keys, request: ReEncryptRequest) -> ReEncryptResponse:
    """Decrypt under one key and encrypt under another of any kind, or under the same with another context."""
    source, destination = keys
    _require_own(kms, source, request, request.source_encryption_algorithm)
    decrypting = _require_usable(source, "ReEncrypt", request.source_encryption_algorithm)
    encrypting = _require_usable(destination, "ReEncrypt", request.destination_encryption_algorithm)
    if _ignores_ciphertext(request):
        raise dry_run_succeeded()
    assert request.ciphertext_blob is not None
    plaintext, source_material_id = _decrypt(
        kms, source, decrypting, request.ciphertext_blob, request.source_encryption_context
    )
    blob = _encrypt(kms, destination, encrypting, plaintext, request.destination_encryption_context)
    end_dry_run(request.dry_run)
    return ReEncryptResponse(
        ciphertext_blob=blob,
        source_key_id=source.arn,
        key_id=destination.arn,
        source_encryption_algorithm=decrypting,
        destination_encryption_algorithm=encrypting,
        source_key_material_id=source_material_id,
        destination_key_material_id=destination.current_material_id if encrypting is _SYMMETRIC else None,
    )


def _require_own(
    kms: Kms, key: Key, request: CiphertextRequest, algorithm: EncryptionAlgorithmSpec | None
) -> None:
    """Look first whether a ciphertext that names its key names this one: AWS does before all else."""
    if algorithm in (None, _SYMMETRIC) and not _ignores_ciphertext(request):
        assert request.ciphertext_blob is not None
        local.require_own(kms.store, key, request.ciphertext_blob)


def _require_usable(
    key: Key, operation_name: str, algorithm: EncryptionAlgorithmSpec | None
) -> EncryptionAlgorithmSpec:
    """Return the algorithm, once it fits the key: RSA's fit RSA keys only, and so does the default."""
    algorithm = algorithm or _SYMMETRIC
    require_usable(key, operation_name, KeyUsage.ENCRYPT_DECRYPT, algorithm)
    return algorithm


def _encrypt(
    kms: Kms, key: Key, algorithm: EncryptionAlgorithmSpec, plaintext: bytes, context: Context | None
) -> bytes:
    if algorithm is _SYMMETRIC:
        return symmetric.encrypt(kms.store, kms.barrier, key, plaintext, context)
    most = rsa.max_plaintext_bytes(key.key_spec, algorithm)
    if len(plaintext) > most:
        raise ValidationException(
            f"Algorithm {algorithm} and key spec {key.key_spec} cannot encrypt data larger than {most} bytes."
        )
    return asymmetric.encrypt(kms.store, key, algorithm, plaintext)


def _decrypt(
    kms: Kms, key: Key, algorithm: EncryptionAlgorithmSpec, blob: bytes, context: Context | None
) -> tuple[bytes, str | None]:
    """Return the plaintext, and the id of the material that was used, where AWS shows it."""
    if algorithm is _SYMMETRIC:
        return symmetric.decrypt(kms.store, kms.barrier, key, blob, context)
    return asymmetric.decrypt(kms.store, kms.barrier, key, algorithm, blob), None


def _source(action: str, key_id: str | None, blob: bytes | None) -> Target:
    if key_id is not None:
        return KeyTarget(action, key_id, takes_alias=True)
    assert blob is not None
    return CiphertextTarget(action, blob)


def _ignores_ciphertext(request: CiphertextRequest) -> bool:
    return bool(request.dry_run) and DryRunModifier.IGNORE_CIPHERTEXT in (request.dry_run_modifiers or ())


def _check_context(algorithm: EncryptionAlgorithmSpec | None, context: Context | None) -> None:
    if context and algorithm not in (None, _SYMMETRIC):
        raise ValidationException(
            "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
        )


def _check_source(
    request: CiphertextRequest, key_id: str | None, key_member: str, algorithm: EncryptionAlgorithmSpec | None
) -> None:
    if _ignores_ciphertext(request):
        if key_id is None:
            raise ValidationException(_NULL_MEMBER.format(key_member[0].lower() + key_member[1:]))
    elif request.ciphertext_blob is None:
        raise ValidationException(_NULL_MEMBER.format("ciphertextBlob"))
    elif key_id is None and algorithm not in (None, _SYMMETRIC):
        raise ValidationException(
            f"{key_member} is required for algorithm {algorithm}: "
            "only the ciphertexts of symmetric keys name their key."
        )


HANDLERS: Final = (
    handler.Handler(api.ENCRYPT, handler.key_or_alias(api.ENCRYPT), encrypt, check_encrypt),
    handler.Handler(api.DECRYPT, decrypt_targets, decrypt, check_decrypt),
    handler.Handler(api.RE_ENCRYPT, re_encrypt_targets, re_encrypt, check_re_encrypt),
)
