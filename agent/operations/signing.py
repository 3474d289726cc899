"""Owns the operations on signatures and public keys.

Order of the checks: usage, state, algorithm, type and length of the message, the signature itself, DryRun.
"""

from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyUsage, MessageType
from agent.api.errors import UnsupportedOperationException
from agent.api.shapes.signing import (
    GetPublicKeyRequest,
    GetPublicKeyResponse,
    SignRequest,
    SignResponse,
    VerifyRequest,
    VerifyResponse,
)
from agent.backends import asymmetric
from agent.crypto.signatures import require_input
from agent.crypto.specs import WITHOUT_PUBLIC_KEY
from agent.keys.key import Key
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.metadata import metadata
from agent.operations.usable import end_dry_run, require_usable


def sign(kms: Kms, _caller: Caller, keys: Keys, request: SignRequest) -> SignResponse:
    """Sign a message, its digest, or ML-DSA's mu of it with the key's private half."""
    (key,) = keys
    message_type = _require_usable(key, "Sign", request)
    signature = asymmetric.sign(
        kms.store, kms.barrier, key, request.signing_algorithm, message_type, request.message
    )
    end_dry_run(request.dry_run)
    return SignResponse(key_id=key.arn, signature=signature, signing_algorithm=request.signing_algorithm)


def verify(kms: Kms, _caller: Caller, keys: Keys, request: VerifyRequest) -> VerifyResponse:
    """Tell that a signature is the key's for this message; any other is an error."""
    (key,) = keys
    message_type = _require_usable(key, "Verify", request)
    asymmetric.verify(
        kms.store, key, request.signing_algorithm, message_type, request.message, request.signature
    )
    end_dry_run(request.dry_run)
    return VerifyResponse(key_id=key.arn, signature_valid=True, signing_algorithm=request.signing_algorithm)


def get_public_key(
    kms: Kms, _caller: Caller, keys: Keys, _request: GetPublicKeyRequest
) -> GetPublicKeyResponse:
    """Return the key's public half, and what it is good for."""
    (key,) = keys
    require_state(key, "GetPublicKey")
    if key.key_spec in WITHOUT_PUBLIC_KEY:
        raise UnsupportedOperationException
    about = metadata(kms, key)
    return GetPublicKeyResponse(
        key_id=key.arn,
        public_key=asymmetric.public_key(kms.store, key),
        customer_master_key_spec=about.customer_master_key_spec,
        key_spec=about.key_spec,
        key_usage=about.key_usage,
        encryption_algorithms=about.encryption_algorithms,
        signing_algorithms=about.signing_algorithms,
        key_agreement_algorithms=about.key_agreement_algorithms,
        encapsulation_algorithms=about.encapsulation_algorithms,
    )


def _require_usable(key: Key, operation_name: str, request: SignRequest | VerifyRequest) -> MessageType:
    algorithm, message_type = request.signing_algorithm, request.message_type or MessageType.RAW
    require_usable(key, operation_name, KeyUsage.SIGN_VERIFY, algorithm)
    require_input(key.key_spec, algorithm, message_type, request.message)
    return message_type


HANDLERS: Final = (
    handler.Handler(api.SIGN, handler.key_or_alias(api.SIGN), sign),
    handler.Handler(api.VERIFY, handler.key_or_alias(api.VERIFY), verify),
    handler.Handler(api.GET_PUBLIC_KEY, handler.key_or_alias(api.GET_PUBLIC_KEY), get_public_key),
)
