"""Owns the pipeline of every request: decode, check, find, authorize, run, record, answer.

An answer exists only once its audit entry is durable, refusals included. Knows nothing of sockets.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from agent.api import codec
from agent.api.errors import KMSInternalException, ServiceError, UnknownOperationException
from agent.api.shapes.base import Shape
from agent.audit.errors import AuditUnavailableError
from agent.audit.log import AuditLog
from agent.authz import explain
from agent.authz.authorize import authorize, require_managed
from agent.ids import new_id
from agent.keys.principal import Principal
from agent.operations import managed, table
from agent.operations.handler import Handler
from agent.operations.kms import Kms
from agent.operations.recipients import attested, has_document
from agent.operations.targets import Target
from agent.operations.throttling import require_rate
from agent.seal.errors import UnwrapError
from agent.store.errors import StoreError

_LOG: Final = logging.getLogger(__name__)
_HANDLERS: Final[Mapping[str, Handler]] = {
    **table.HANDLERS,
    **{handler.operation.name: handler for handler in explain.HANDLERS},
}
_KEY_MEMBERS: Final = ("key_id", "destination_key_id", "target_key_id")


async def handle(
    kms: Kms,
    audit: AuditLog,
    principal: Principal,
    name: str,
    body: bytes,
    request_id: str,
    source: str,
    region: str | None = None,
    user_agent: str | None = None,
) -> bytes:
    """Carry out one request and return the body of its answer.

    Args:
        kms: what the request works on.
        audit: where it is recorded.
        principal: who is calling.
        name: the operation's name, without the service prefix.
        body: the request, AWS JSON 1.1.
        request_id: as the caller will be told.
        source: where the request came from, for the record.
        region: the Region that is meant, one of those served; None to take that of the key ARN in the
            request, or the default.
        user_agent: the program that asks, as it says itself, for the record.

    Raises:
        ServiceError: the answer is this error; any other exception has become KMSInternalException.
    """
    handler = _HANDLERS.get(name)
    if handler is None:
        raise UnknownOperationException(f"This version has no operation {name[:64]!r}.")
    try:
        async with audit.entry(principal, name, request_id, source) as entry:
            entry.region = region or kms.region
            entry.user_agent = user_agent
            request = codec.decode_request(handler.operation, body)
            kms = kms.in_region(region or _region_of(kms, request))
            entry.region = kms.region
            entry.set_request(request)
            handler.check(request)
            targets = handler.targets(request)
            require_rate(kms, principal, name, targets, request)
            if has_document(request):
                principal = await trio.to_thread.run_sync(attested, kms, principal, request)
            entry.set_recipient(principal.attestation)
            await _make_managed_key(kms, audit, principal, targets, request)
            keys = authorize(kms, principal, targets, request, entry)
            if handler.mutates or handler.slow:
                response = await trio.to_thread.run_sync(handler.run, kms, principal, keys, request)
            else:
                response = handler.run(kms, principal, keys, request)
            if handler.created is not None:
                entry.add_resource(handler.created(response))
            if handler.told is not None:
                entry.additional_event_data = handler.told(request)
            entry.set_response(response)
            return codec.encode_response(response)
    except ServiceError:
        raise
    except AuditUnavailableError as error:
        # The audit log has said so already, once for all requests that it fails.
        raise KMSInternalException(str(error)) from error
    except (StoreError, UnwrapError) as error:
        _LOG.error("%s %s: %s", name, request_id, error)
        raise KMSInternalException(str(error)) from error
    except Exception as error:
        _LOG.exception("%s %s failed", name, request_id)
        raise KMSInternalException(
            f"The request failed inside the service; its log has more under request ID {request_id}."
        ) from error


def _region_of(kms: Kms, request: Shape) -> str:
    """Return the Region of the key ARN that a request names, if it is served, else the default."""
    for member in _KEY_MEMBERS:
        arn = getattr(request, member, None)
        if isinstance(arn, str) and arn.startswith("arn:"):
            region = (arn.split(":", 4) + [""] * 4)[3]
            return region if region in kms.regions else kms.region
    return kms.region


async def _make_managed_key(
    kms: Kms, audit: AuditLog, principal: Principal, targets: Sequence[Target], request: Shape
) -> None:
    """Make the AWS managed key that a request names first; recorded as the service's own deed."""
    for target in targets:
        name = managed.missing(kms, target)
        if name is not None:
            require_managed(kms, principal, target, name, request)
            async with audit.entry(None, "CreateKey", new_id(), "AWS Internal") as entry:
                entry.region = kms.region
                key = await trio.to_thread.run_sync(managed.create, kms, name)
                entry.add_resource(key.arn)
                entry.service_event_details = {"keyId": key.key_id, "aliasName": name}
