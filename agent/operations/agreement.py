"""Owns the operations on shared secrets: DeriveSharedSecret, Encapsulate, Decapsulate.

Order of the checks: usage, state, algorithm, the public key or the ciphertext, the cryptography, DryRun.
"""

from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyUsage
from agent.api.shapes.agreement import (
    DecapsulateRequest,
    DecapsulateResponse,
    DeriveSharedSecretRequest,
    DeriveSharedSecretResponse,
    EncapsulateRequest,
    EncapsulateResponse,
)
from agent.backends import asymmetric
from agent.operations import handler, recipients
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.usable import end_dry_run, require_usable


def check_derive(request: DeriveSharedSecretRequest) -> None:
    """Refuse half a recipient."""
    recipients.check(request.recipient)


def derive_shared_secret(
    kms: Kms, caller: Caller, keys: Keys, request: DeriveSharedSecretRequest
) -> DeriveSharedSecretResponse:
    """Return the raw ECDH secret of the key and a peer's public key, for the recipient if there is one."""
    (key,) = keys
    algorithm = request.key_agreement_algorithm
    require_usable(key, "DeriveSharedSecret", KeyUsage.KEY_AGREEMENT, algorithm)
    secret = asymmetric.derive(kms.store, kms.barrier, key, request.public_key)
    end_dry_run(request.dry_run)
    answer = recipients.address(caller, request.recipient, secret)
    return DeriveSharedSecretResponse(
        key_id=key.arn,
        shared_secret=answer.plaintext,
        ciphertext_for_recipient=answer.ciphertext_for_recipient,
        key_agreement_algorithm=algorithm,
        key_origin=key.origin,
    )


def encapsulate(kms: Kms, _caller: Caller, keys: Keys, request: EncapsulateRequest) -> EncapsulateResponse:
    """Make a shared secret, and the ciphertext from which Decapsulate recovers it."""
    (key,) = keys
    algorithm = request.encapsulation_algorithm
    require_usable(key, "Encapsulate", KeyUsage.ENCAPSULATE_DECAPSULATE, algorithm)
    secret, ciphertext = asymmetric.encapsulate(kms.store, key)
    end_dry_run(request.dry_run)
    return EncapsulateResponse(
        key_id=key.arn,
        shared_secret=secret,
        shared_secret_ciphertext_blob=ciphertext,
        encapsulation_algorithm=algorithm,
    )


def decapsulate(kms: Kms, _caller: Caller, keys: Keys, request: DecapsulateRequest) -> DecapsulateResponse:
    """Recover a shared secret; from a ciphertext that is not the key's, 32 bytes that nobody else has."""
    (key,) = keys
    algorithm = request.encapsulation_algorithm
    require_usable(key, "Decapsulate", KeyUsage.ENCAPSULATE_DECAPSULATE, algorithm)
    secret = asymmetric.decapsulate(kms.store, kms.barrier, key, request.shared_secret_ciphertext_blob)
    end_dry_run(request.dry_run)
    return DecapsulateResponse(key_id=key.arn, shared_secret=secret, encapsulation_algorithm=algorithm)


HANDLERS: Final = (
    handler.Handler(
        api.DERIVE_SHARED_SECRET,
        handler.key_or_alias(api.DERIVE_SHARED_SECRET),
        derive_shared_secret,
        check_derive,
    ),
    handler.Handler(api.ENCAPSULATE, handler.key_or_alias(api.ENCAPSULATE), encapsulate),
    handler.Handler(api.DECAPSULATE, handler.key_or_alias(api.DECAPSULATE), decapsulate),
)
