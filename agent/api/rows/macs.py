"""Owns the table's rows of the operations on message authentication codes."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import Operation
from agent.api.shapes import macs

GENERATE_MAC: Final = Operation(
    "GenerateMac",
    macs.GenerateMacRequest,
    macs.GenerateMacResponse,
    "kms:GenerateMac",
    (
        errors.NotFoundException,
        errors.DisabledException,
        errors.KeyUnavailableException,
        errors.InvalidKeyUsageException,
        errors.InvalidGrantTokenException,
        errors.KMSInternalException,
        errors.KMSInvalidStateException,
        errors.DryRunOperationException,
    ),
)
VERIFY_MAC: Final = Operation(
    "VerifyMac",
    macs.VerifyMacRequest,
    macs.VerifyMacResponse,
    "kms:VerifyMac",
    (
        errors.NotFoundException,
        errors.DisabledException,
        errors.KeyUnavailableException,
        errors.InvalidKeyUsageException,
        errors.InvalidGrantTokenException,
        errors.KMSInternalException,
        errors.KMSInvalidMacException,
        errors.KMSInvalidStateException,
        errors.DryRunOperationException,
    ),
)
