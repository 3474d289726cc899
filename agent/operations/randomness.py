"""Owns GenerateRandom."""

import secrets
from typing import Final

from agent.api import operations as api
from agent.api.errors import CustomKeyStoreNotFoundException, ValidationException
from agent.api.shapes.cryptographic import GenerateRandomRequest, GenerateRandomResponse
from agent.operations import handler, recipients
from agent.operations.kms import Caller, Keys, Kms


def check_generate_random(request: GenerateRandomRequest) -> None:
    """Refuse what the model allows and AWS does not, and what needs hardware this agent has not."""
    if request.number_of_bytes is None:
        raise ValidationException("NumberOfBytes is required.")
    recipients.check(request.recipient)
    if request.custom_key_store_id is not None:
        raise CustomKeyStoreNotFoundException(
            f"Custom key store {request.custom_key_store_id} does not exist. "
            "Leave CustomKeyStoreId out to get bytes from the operating system's generator."
        )


def generate_random(
    _kms: Kms, caller: Caller, _keys: Keys, request: GenerateRandomRequest
) -> GenerateRandomResponse:
    """Return bytes of the operating system's generator."""
    assert request.number_of_bytes is not None
    answer = recipients.address(caller, request.recipient, secrets.token_bytes(request.number_of_bytes))
    return GenerateRandomResponse(
        plaintext=answer.plaintext, ciphertext_for_recipient=answer.ciphertext_for_recipient
    )


HANDLERS: Final = (
    handler.Handler(
        api.GENERATE_RANDOM, handler.account(api.GENERATE_RANDOM), generate_random, check_generate_random
    ),
)
