"""Owns the table's rows of the operations on data key pairs."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import CRYPTOGRAPHIC, Operation
from agent.api.shapes import pairs

GENERATE_DATA_KEY_PAIR: Final = Operation(
    "GenerateDataKeyPair",
    pairs.GenerateDataKeyPairRequest,
    pairs.GenerateDataKeyPairResponse,
    "kms:GenerateDataKeyPair",
    (
        *CRYPTOGRAPHIC,
        errors.UnsupportedOperationException,
    ),
)
GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT: Final = Operation(
    "GenerateDataKeyPairWithoutPlaintext",
    pairs.GenerateDataKeyPairWithoutPlaintextRequest,
    pairs.GenerateDataKeyPairWithoutPlaintextResponse,
    "kms:GenerateDataKeyPairWithoutPlaintext",
    (
        *CRYPTOGRAPHIC,
        errors.UnsupportedOperationException,
    ),
)
