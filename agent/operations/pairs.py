"""Owns the operations that make data key pairs: usage, spec, state, the cryptography, DryRun.

The private key is PKCS#8 in DER, ML-KEM's in seed form; it is kept nowhere but in the answer.
"""

from typing import Final

from agent.api import operations as api
from agent.api.enums import KeySpec
from agent.api.errors import UnsupportedOperationException
from agent.api.shapes.pairs import (
    GenerateDataKeyPairRequest,
    GenerateDataKeyPairResponse,
    GenerateDataKeyPairWithoutPlaintextRequest,
    GenerateDataKeyPairWithoutPlaintextResponse,
)
from agent.backends import symmetric
from agent.crypto.generation import NewMaterial, generate
from agent.crypto.specs import require_supported
from agent.keys.key import Key
from agent.keys.states import wrong_origin
from agent.operations import handler, recipients
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.usable import end_dry_run, require_symmetric

PairRequest = GenerateDataKeyPairRequest | GenerateDataKeyPairWithoutPlaintextRequest


def check_pair_without_plaintext(request: PairRequest) -> None:
    """Refuse the specs that this agent cannot make."""
    require_supported(_spec(request))


def check_pair(request: GenerateDataKeyPairRequest) -> None:
    """Refuse the specs that this agent cannot make, and half a recipient."""
    check_pair_without_plaintext(request)
    recipients.check(request.recipient)


def generate_data_key_pair(
    kms: Kms, caller: Caller, keys: Keys, request: GenerateDataKeyPairRequest
) -> GenerateDataKeyPairResponse:
    """Make a key pair; answer its private half in plain, or for the recipient, and encrypted."""
    (key,) = keys
    pair, blob = _pair(kms, key, request, "GenerateDataKeyPair")
    answer = recipients.address(caller, request.recipient, pair.plaintext)
    return GenerateDataKeyPairResponse(
        private_key_ciphertext_blob=blob,
        private_key_plaintext=answer.plaintext,
        public_key=pair.public_key,
        key_id=key.arn,
        key_pair_spec=request.key_pair_spec,
        ciphertext_for_recipient=answer.ciphertext_for_recipient,
        key_material_id=key.current_material_id if request.recipient is None else None,
    )


def generate_data_key_pair_without_plaintext(
    kms: Kms, _caller: Caller, keys: Keys, request: GenerateDataKeyPairWithoutPlaintextRequest
) -> GenerateDataKeyPairWithoutPlaintextResponse:
    """Make a key pair; answer its private half encrypted only."""
    (key,) = keys
    pair, blob = _pair(kms, key, request, "GenerateDataKeyPairWithoutPlaintext")
    return GenerateDataKeyPairWithoutPlaintextResponse(
        private_key_ciphertext_blob=blob,
        public_key=pair.public_key,
        key_id=key.arn,
        key_pair_spec=request.key_pair_spec,
        key_material_id=key.current_material_id,
    )


def _pair(kms: Kms, key: Key, request: PairRequest, operation_name: str) -> tuple[NewMaterial, bytes]:
    require_symmetric(key, operation_name)
    if key.custom_key_store_id is not None:
        raise UnsupportedOperationException(wrong_origin(key))
    # Nothing about the request can fail from here on, and seconds of work are not to be had for nothing.
    end_dry_run(request.dry_run)
    pair = generate(_spec(request))
    return pair, symmetric.encrypt(kms.store, kms.barrier, key, pair.plaintext, request.encryption_context)


def _spec(request: PairRequest) -> KeySpec:
    return KeySpec(request.key_pair_spec)


HANDLERS: Final = (
    handler.Handler(
        api.GENERATE_DATA_KEY_PAIR,
        handler.key_or_alias(api.GENERATE_DATA_KEY_PAIR),
        generate_data_key_pair,
        check_pair,
        slow=True,
    ),
    handler.Handler(
        api.GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
        handler.key_or_alias(api.GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT),
        generate_data_key_pair_without_plaintext,
        check_pair_without_plaintext,
        slow=True,
    ),
)
