"""Owns the table's rows of the operations on shared secrets."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import CRYPTOGRAPHIC, Operation
from agent.api.shapes import agreement

DERIVE_SHARED_SECRET: Final = Operation(
    "DeriveSharedSecret",
    agreement.DeriveSharedSecretRequest,
    agreement.DeriveSharedSecretResponse,
    "kms:DeriveSharedSecret",
    CRYPTOGRAPHIC,
)
ENCAPSULATE: Final = Operation(
    "Encapsulate",
    agreement.EncapsulateRequest,
    agreement.EncapsulateResponse,
    "kms:Encapsulate",
    CRYPTOGRAPHIC,
)
DECAPSULATE: Final = Operation(
    "Decapsulate",
    agreement.DecapsulateRequest,
    agreement.DecapsulateResponse,
    "kms:Decapsulate",
    (
        *CRYPTOGRAPHIC,
        errors.InvalidCiphertextException,
    ),
)
