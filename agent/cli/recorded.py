"""What a request in the audit log asked for, so that it can be asked about again."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agent.api.errors import NotFoundException
from agent.api.operations import ADMINISTRATION, OPERATIONS
from agent.api.shapes.explain import ExplainAccessRequest
from agent.audit.query import Question, matching
from agent.audit.reading import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SIDES: Final = (
    ("kms:ReEncryptFrom", "sourceEncryptionContext", 0),
    ("kms:ReEncryptTo", "destinationEncryptionContext", -1),
)


def asked_for(log_path: Path, request_id: str) -> list[ExplainAccessRequest]:
    """Return what a recorded request needed permission for: an action on each of its keys, or on none.

    Raises:
        NotFoundException: The log has no such request, or not of anybody in particular.
    """
    for line, record in matching(lines(log_path), Question(request_id=request_id)):
        if record.user_identity.arn:
            return list(_questions(msgspec.json.decode(line)))
    raise NotFoundException(f"{log_path} has no request {request_id} that somebody made")


def _questions(record: Mapping[str, Any]) -> Iterator[ExplainAccessRequest]:
    name = record["eventName"]
    parameters = record.get("requestParameters") or {}
    keys = [resource["ARN"] for resource in record.get("resources") or () if ":key/" in resource["ARN"]]
    if name == "ReEncrypt" and keys:
        for action, member, place in _SIDES:
            yield _question(record, action, keys[place], parameters.get(member))
        return
    operation = OPERATIONS.get(name) or ADMINISTRATION.get(name)
    if operation is None:
        raise NotFoundException(f"{name} is no operation that this version knows")
    for key in keys or [None]:
        yield _question(record, operation.action, key, parameters.get("encryptionContext"))


def _question(
    record: Mapping[str, Any], action: str, key_arn: str | None, context: dict[str, str] | None
) -> ExplainAccessRequest:
    source = record.get("sourceIPAddress", "")
    return ExplainAccessRequest(
        principal_arn=record["userIdentity"]["arn"],
        action=action,
        key_id=key_arn,
        encryption_context=context,
        condition_keys={"aws:SourceIp": source} if _is_address(source) else None,
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
