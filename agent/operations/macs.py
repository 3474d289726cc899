"""Owns the operations on message authentication codes: usage, state, algorithm, the MAC itself, DryRun."""

from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyUsage
from agent.api.shapes.macs import (
    GenerateMacRequest,
    GenerateMacResponse,
    VerifyMacRequest,
    VerifyMacResponse,
)
from agent.backends import local
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.usable import end_dry_run, require_usable


def generate_mac(kms: Kms, _caller: Caller, keys: Keys, request: GenerateMacRequest) -> GenerateMacResponse:
    """Return the HMAC of a message."""
    (key,) = keys
    require_usable(key, "GenerateMac", KeyUsage.GENERATE_VERIFY_MAC, request.mac_algorithm)
    code = local.generate_mac(kms.store, kms.barrier, key, request.mac_algorithm, request.message)
    end_dry_run(request.dry_run)
    return GenerateMacResponse(mac=code, mac_algorithm=request.mac_algorithm, key_id=key.arn)


def verify_mac(kms: Kms, _caller: Caller, keys: Keys, request: VerifyMacRequest) -> VerifyMacResponse:
    """Tell that an HMAC is the key's for this message; any other is an error."""
    (key,) = keys
    require_usable(key, "VerifyMac", KeyUsage.GENERATE_VERIFY_MAC, request.mac_algorithm)
    local.verify_mac(kms.store, kms.barrier, key, request.mac_algorithm, request.message, request.mac)
    end_dry_run(request.dry_run)
    return VerifyMacResponse(key_id=key.arn, mac_valid=True, mac_algorithm=request.mac_algorithm)


HANDLERS: Final = (
    handler.Handler(api.GENERATE_MAC, handler.key_or_alias(api.GENERATE_MAC), generate_mac),
    handler.Handler(api.VERIFY_MAC, handler.key_or_alias(api.VERIFY_MAC), verify_mac),
)
