"""AWS JSON 1.1: an HTTP request to an operation's name and body, its outcome to an HTTP reply.

Owns the routes, the request id, and the last boundary for errors: whatever was not foreseen is logged
and answered with KMSInternalException. Knows HTTP requests as values and no socket but the one it asks
for its peer.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from agent import dispatch
from agent.api import codec
from agent.api.errors import KMSInternalException, ServiceError, UnknownOperationException
from agent.authn.peercred import peer_credentials, principal_of
from agent.http import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.audit.log import AuditLog
    from agent.http import Handle
    from agent.keys.principal import Principal
    from agent.operations.kms import Kms

_log = logging.getLogger(__name__)

_TARGET_PREFIX = b"TrentService."
_CONTENT_TYPE = b"application/x-amz-json-1.1"
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

    async def open_local_session(self, stream: trio.SocketStream) -> Handle:
        """Find out who connected to the Unix socket, and answer them from then on."""
        peer = peer_credentials(stream.socket)
        principal = await trio.to_thread.run_sync(principal_of, peer.uid, self.kms.account_id, os.geteuid())
        return _Session(self, principal, f"unix:pid={peer.pid}").answer


@dataclass(frozen=True, slots=True)
class _Session:
    """One caller on one connection."""

    endpoint: Endpoint
    principal: Principal
    source: str

    async def answer(self, request: Request) -> Reply:
        if request.method == b"POST" and request.target == b"/":
            return await self._operate(request)
        if request.method in (b"GET", b"HEAD") and request.target == b"/status":
            return Reply(
                200, ((b"content-type", b"application/json"),), msgspec.json.encode(self.endpoint.status)
            )
        return _NOT_FOUND

    async def _operate(self, request: Request) -> Reply:
        request_id = str(uuid.uuid4())
        endpoint = self.endpoint
        try:
            name = _operation_name(request)
            body = await dispatch.handle(
                endpoint.kms, endpoint.audit, self.principal, name, request.body, request_id, self.source
            )
        except ServiceError as error:
            return _refusal(error, request_id)
        except Exception:  # noqa: BLE001 - the last boundary: the caller is owed an answer
            _log.exception("request %s failed by an error of our own", request_id)
            return _refusal(
                KMSInternalException("The agent failed; its log has this request id."), request_id
            )
        return _reply(200, request_id, body)


def _operation_name(request: Request) -> str:
    target = request.header(b"x-amz-target") or b""
    content_type = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if not target.startswith(_TARGET_PREFIX) or content_type != _CONTENT_TYPE:
        raise UnknownOperationException
    # Whatever else is in it, it is no operation's name, and dispatch says so.
    return target.removeprefix(_TARGET_PREFIX).decode("ascii", "replace")


def _refusal(error: ServiceError, request_id: str) -> Reply:
    return _reply(error.status, request_id, codec.encode_error(error))


def _reply(status: int, request_id: str, body: bytes) -> Reply:
    return Reply(status, ((b"x-amzn-requestid", request_id.encode()), (b"content-type", _CONTENT_TYPE)), body)
