"""Owns the table's rows of the operations on data keys, encryption and random bytes."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import CRYPTOGRAPHIC, INTERNAL, Operation
from agent.api.shapes import cryptographic

ENCRYPT: Final = Operation(
    "Encrypt",
    cryptographic.EncryptRequest,
    cryptographic.EncryptResponse,
    "kms:Encrypt",
    CRYPTOGRAPHIC,
)
DECRYPT: Final = Operation(
    "Decrypt",
    cryptographic.DecryptRequest,
    cryptographic.DecryptResponse,
    "kms:Decrypt",
    (
        *CRYPTOGRAPHIC,
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
        *CRYPTOGRAPHIC,
        errors.InvalidCiphertextException,
        errors.IncorrectKeyException,
    ),
)
GENERATE_DATA_KEY: Final = Operation(
    "GenerateDataKey",
    cryptographic.GenerateDataKeyRequest,
    cryptographic.GenerateDataKeyResponse,
    "kms:GenerateDataKey",
    CRYPTOGRAPHIC,
)
GENERATE_DATA_KEY_WITHOUT_PLAINTEXT: Final = Operation(
    "GenerateDataKeyWithoutPlaintext",
    cryptographic.GenerateDataKeyWithoutPlaintextRequest,
    cryptographic.GenerateDataKeyWithoutPlaintextResponse,
    "kms:GenerateDataKeyWithoutPlaintext",
    CRYPTOGRAPHIC,
)
GENERATE_RANDOM: Final = Operation(
    "GenerateRandom",
    cryptographic.GenerateRandomRequest,
    cryptographic.GenerateRandomResponse,
    "kms:GenerateRandom",
    (
        *INTERNAL,
        errors.UnsupportedOperationException,
        errors.CustomKeyStoreNotFoundException,
        errors.CustomKeyStoreInvalidStateException,
    ),
)
