"""Owns the table's rows of the operations on signatures and public keys."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import CRYPTOGRAPHIC, KEY_STATE, Operation
from agent.api.shapes import signing

SIGN: Final = Operation(
    "Sign",
    signing.SignRequest,
    signing.SignResponse,
    "kms:Sign",
    CRYPTOGRAPHIC,
)
VERIFY: Final = Operation(
    "Verify",
    signing.VerifyRequest,
    signing.VerifyResponse,
    "kms:Verify",
    (
        *CRYPTOGRAPHIC,
        errors.KMSInvalidSignatureException,
    ),
)
GET_PUBLIC_KEY: Final = Operation(
    "GetPublicKey",
    signing.GetPublicKeyRequest,
    signing.GetPublicKeyResponse,
    "kms:GetPublicKey",
    (
        *KEY_STATE,
        errors.DisabledException,
        errors.KeyUnavailableException,
        errors.UnsupportedOperationException,
        errors.InvalidGrantTokenException,
        errors.InvalidKeyUsageException,
    ),
)
