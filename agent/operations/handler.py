"""Owns what a handler is: the checks, the targets and the deed of one operation. Knows none of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent.api.operations import Operation
from agent.api.shapes.base import Shape
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import AccountTarget, KeyTarget, Target

Targets: TypeAlias = Callable[[Any], tuple[Target, ...]]


def _no_further_checks(_request: Shape) -> None:
    """Leave a request to its model."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How one operation is carried out, in the order of the fields.

    Attributes:
        targets: what the request touches and by which action; looks at the request only.
        run: does it, once every target is found and permitted.
        check: refuses what the model allows and the operation does not; looks at the request only, before
            anything else happens.
        mutates: whether it changes what is kept, and so must run in a worker thread.
        slow: whether it computes for so long that it must run in a worker thread.
        created: the ARN of the key that the response tells to have been made.
        told: what the request tells that its record is to have, once it was permitted and carried out.
    """

    operation: Operation[Any, Any]
    targets: Targets
    run: Callable[[Kms, Caller, Keys, Any], Shape]
    check: Callable[[Any], None] = _no_further_checks
    mutates: bool = False
    slow: bool = False
    created: Callable[[Any], str] | None = None
    told: Callable[[Any], dict[str, object]] | None = None


def account(operation: Operation[Any, Any]) -> Targets:
    """Return the targets of an operation that is about no key in particular."""
    targets = (AccountTarget(operation.action),)
    return lambda _request: targets


def key(operation: Operation[Any, Any]) -> Targets:
    """Return the targets of an operation on the key that `KeyId` names, by id or ARN."""
    return lambda request: (KeyTarget(operation.action, request.key_id),)


def key_or_alias(operation: Operation[Any, Any]) -> Targets:
    """Return the targets of an operation on the key that `KeyId` names in any of the four forms."""
    return lambda request: (KeyTarget(operation.action, request.key_id, takes_alias=True),)
