"""AWS JSON 1.1: an HTTP request to an operation's name and body, its outcome to an HTTP reply.

Owns the routes, the request id, the Region that a request means, and the last boundary for errors: whatever
was not foreseen is logged and answered with KMSInternalException. Knows HTTP requests as values and no
socket: who asks is the business of the doors.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from agent import dispatch
from agent.api import codec
from agent.api.errors import (
    KMSInternalException,
    ServiceError,
    UnknownOperationException,
    ValidationException,
)
from agent.api.operations import ADMINISTRATION, OPERATIONS
from agent.api.rows.operation import AGENT_SERVICE, KMS_SERVICE
from agent.http import Reply, Request
from agent.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.audit.log import AuditLog
    from agent.keys.principal import Principal
    from agent.operations.kms import Kms

_log = logging.getLogger(__name__)

_SERVICES: Mapping[bytes, Mapping[str, Any]] = {
    KMS_SERVICE.encode(): OPERATIONS,
    AGENT_SERVICE.encode(): ADMINISTRATION,
}
_CONTENT_TYPE = b"application/x-amz-json-1.1"
_REGION_HEADER = b"x-kms-region"
_SOURCE_ARN_HEADER = b"x-amz-source-arn"
_SOURCE_ARN = re.compile(r"(?=.{20,512}\Z)arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:[!-~]+")
_MAX_RECORDED_NAME = 64
_MAX_USER_AGENT = 1024  # as CloudTrail cuts it
_NOT_FOUND = Reply(404, ((b"content-type", b"text/plain; charset=utf-8"),), b"POST operations to /\n")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The service behind every door.

    Args:
        kms: What operations work on.
        audit: Where they are recorded.
        status: What ``GET /status`` answers, as JSON.
    """

    kms: Kms
    audit: AuditLog
    status: Mapping[str, Any]

    async def answer(
        self, request: Request, principal: Principal, region: str | None, request_id: str, source: str
    ) -> Reply:
        """Answer a request.

        Args:
            request: The request.
            principal: Who asks.
            region: The Region that the caller has signed for; None when nothing was signed.
            request_id: As the caller is told.
            source: Where the request came from, for the record.
        """
        if request.method == b"POST" and request.target == b"/":
            return await self._operate(request, principal, region, request_id, source)
        if request.method in (b"GET", b"HEAD") and request.target == b"/status":
            status = {**self.status, "audit": self.audit.condition}
            return Reply(200, ((b"content-type", b"application/json"),), msgspec.json.encode(status))
        return _NOT_FOUND

    async def _operate(
        self, request: Request, principal: Principal, region: str | None, request_id: str, source: str
    ) -> Reply:
        try:
            body = await dispatch.handle(
                self.kms,
                self.audit,
                _on_behalf(self._known(principal), request),
                _operation_name(request),
                request.body,
                request_id,
                source,
                region or self._named_region(request),
                _user_agent(request),
            )
        except ServiceError as error:
            return refusal(error, request_id)
        except Exception as error:  # noqa: BLE001 - the last boundary: the caller is owed an answer
            return refusal(unforeseen(error, request_id), request_id)
        return _reply(200, request_id, body)

    def _known(self, principal: Principal) -> Principal:
        """Return a caller with the tags that are kept of its user or role, under those of its session."""
        profile = self.kms.store.profile(principal.role_arn or principal.arn)
        if profile is None or not profile.tags:
            return principal
        return replace(principal, tags=dict(profile.tags) | dict(principal.tags))

    def _named_region(self, request: Request) -> str | None:
        """Return the Region that a header names; only the KeyId can say it otherwise."""
        header = request.header(_REGION_HEADER)
        if header is None:
            return None
        region = header.decode("latin-1")
        if region not in self.kms.regions:
            raise ValidationException(
                f"The Region {region[:_MAX_RECORDED_NAME]!r} is not served; "
                f"these are: {', '.join(sorted(self.kms.regions))}"
            )
        return region


def new_request_id() -> str:
    """Return an id for a request, as the caller and the audit log are told."""
    return new_id()


def asked_for(request: Request) -> str:
    """Return what a request seems to ask for, to be recorded although nobody looked at it closely."""
    name = (request.header(b"x-amz-target") or b"").rpartition(b".")[2].decode("ascii", "replace")
    return name[:_MAX_RECORDED_NAME] if name.isidentifier() else "Unknown"


def refusal(error: ServiceError, request_id: str) -> Reply:
    """Return the reply that tells of an error."""
    return _reply(error.status, request_id, codec.encode_error(error))


def unforeseen(error: Exception, request_id: str) -> KMSInternalException:
    """Log an error of our own, and return what the caller is told of it."""
    _log.error("request %s failed by an error of our own", request_id, exc_info=error)
    return KMSInternalException("The agent failed; its log has this request id.")


def _on_behalf(principal: Principal, request: Request) -> Principal:
    """Return a service with the resource for which it says to ask; nobody else is believed that."""
    header = request.header(_SOURCE_ARN_HEADER)
    if header is None or principal.via_service is None:
        return principal
    source_arn = header.decode("latin-1")
    if _SOURCE_ARN.fullmatch(source_arn) is None:
        raise ValidationException(f"{_SOURCE_ARN_HEADER.decode()} is not the ARN of a resource.")
    return replace(principal, source_arn=source_arn)


def _user_agent(request: Request) -> str | None:
    header = request.header(b"user-agent")
    return None if header is None else header[:_MAX_USER_AGENT].decode("latin-1")


def _operation_name(request: Request) -> str:
    name = _named(request.header(b"x-amz-target") or b"", request.header(b"content-type") or b"")
    if name is None:
        raise UnknownOperationException
    return name


@lru_cache(maxsize=256)
def _named(target: bytes, content_type: bytes) -> str | None:
    """Return the operation that these headers name, if there is one; most requests have had them before."""
    service, _, operation = target.partition(b".")
    name = operation.decode("ascii", "replace")
    known = content_type.partition(b";")[0].strip().lower() == _CONTENT_TYPE
    return name if known and name in _SERVICES.get(service, {}) else None


def _reply(status: int, request_id: str, body: bytes) -> Reply:
    return Reply(status, ((b"x-amzn-requestid", request_id.encode()), (b"content-type", _CONTENT_TYPE)), body)
