"""Owns which request quotas a request counts against, and refuses what is beyond those that are set.

Requests count against the quota of the caller's account in the Region that they are for. What a request will
come to is not known yet: refused requests count as well.
"""

from collections.abc import Sequence

from agent.api import quotas as groups
from agent.api.enums import KeySpec
from agent.api.errors import ServiceError, ThrottlingException
from agent.api.shapes.base import Shape
from agent.keys.principal import Principal
from agent.operations.kms import Kms
from agent.operations.targets import Target, resolve
from agent.settings.quotas import RequestRate
from agent.throttle import Rate


def require_rate(
    kms: Kms, principal: Principal, operation_name: str, targets: Sequence[Target], request: Shape
) -> None:
    """Count a request, and refuse it if too many came before it.

    Raises:
        ThrottlingException: beyond a quota; it may be tried again a little later.
    """
    quotas = kms.quotas
    if not quotas.requests:
        return
    who = principal.account_id if quotas.per == "account" else principal.arn
    for group in _groups(kms, operation_name, targets, request) & quotas.requests.keys():
        if not kms.throttle.take((who, kms.region, group), _rate(quotas.requests[group]), kms.now()):
            raise ThrottlingException("Rate exceeded")


def _groups(kms: Kms, operation_name: str, targets: Sequence[Target], request: Shape) -> frozenset[str]:
    if operation_name in groups.CRYPTOGRAPHIC:
        return frozenset(groups.cryptographic_group(_spec(kms, target)) for target in targets)
    if operation_name in groups.DATA_KEY_PAIRS:
        return frozenset({groups.pair_group(getattr(request, "key_pair_spec"))})  # noqa: B009 -- both requests have it
    return frozenset({operation_name})


def _spec(kms: Kms, target: Target) -> KeySpec:
    """Return the spec of the key that a target is about; a key that is not there counts as symmetric."""
    try:
        key = resolve(kms, target)
    except ServiceError:
        key = None
    return KeySpec.SYMMETRIC_DEFAULT if key is None else key.key_spec


def _rate(configured: RequestRate) -> Rate:
    burst = configured.burst
    return Rate(configured.per_second, max(1.0, configured.per_second) if burst is None else burst)
