"""Owns the table's rows of the operations on a key's last usage."""

from typing import Final

from agent.api.rows.operation import KEY, Operation
from agent.api.shapes import usage

GET_KEY_LAST_USAGE: Final = Operation(
    "GetKeyLastUsage",
    usage.GetKeyLastUsageRequest,
    usage.GetKeyLastUsageResponse,
    "kms:GetKeyLastUsage",
    KEY,
)
