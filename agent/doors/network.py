"""A TCP port: each request proves who asks, by its signature or by the connection's client certificate."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from agent.api.errors import MissingAuthenticationTokenException, ServiceError, UnrecognizedClientException
from agent.authn.credentials import check_session, invalid_token, key_principal
from agent.authn.mapping import UnmappedCallerError, certificate_principal
from agent.authn.sigv4 import read_claim, verify
from agent.doors.refusals import unknown_caller
from agent.doors.tls import client_certificate
from agent.endpoint import new_request_id, refusal, unforeseen
from agent.sigv4.canonical import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.authn.sigv4 import Claim
    from agent.doors.refusals import RefusalDesk
    from agent.endpoint import Endpoint
    from agent.http import Handle, Reply, Request, Stream
    from agent.keys.principal import Principal
    from agent.settings.principals import PrincipalRule

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NetworkDoor:
    """What TCP ports lead to.

    Args:
        endpoint: What is behind them.
        rules: Who the holders of client certificates are.
        refusals: Who answers those who cannot prove who they are.
    """

    endpoint: Endpoint
    rules: Sequence[PrincipalRule]
    refusals: RefusalDesk

    async def open_session(self, stream: Stream) -> Handle:
        """Look at the connection; who asks is found out for each request."""
        secured = isinstance(stream, trio.SSLStream)
        transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        address = str(transport.socket.getpeername()[0])
        holder = self._holder(stream, address) if isinstance(stream, trio.SSLStream) else None
        await trio.lowlevel.checkpoint()
        return _Session(self, address, secured, holder).answer

    def _holder(self, stream: trio.SSLStream[trio.SocketStream], address: str) -> _Holder | None:
        certificate = client_certificate(stream)
        if certificate is None:
            return None
        try:
            found = certificate_principal(certificate.names, self.rules, self.endpoint.kms.account_id)
        except UnmappedCallerError as error:
            _log.warning("a client at %s is refused: %s %s", address, error, certificate.names)
            return None
        return _Holder(found, certificate.not_after)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who a connection's client certificate makes its client, and until when."""

    principal: Principal
    not_after: float


@dataclass(frozen=True, slots=True)
class _Session:
    """One connection; its requests may be of different callers."""

    door: NetworkDoor
    address: str
    secured: bool
    holder: _Holder | None

    async def answer(self, request: Request) -> Reply:
        """Answer a request once it is certain who asks."""
        request_id = new_request_id()
        signed_with: str | None = None
        try:
            if self._is_signed(request):
                claim = self._read_claim(request)
                signed_with = claim.access_key_id
                principal, region = self._signer(claim), claim.scope.region
            else:
                principal, region = self._certified(), None
        except ServiceError as error:
            caller = unknown_caller(access_key_id=signed_with)
            return await self.door.refusals.refuse(error, caller, request, request_id, self.address)
        except Exception as error:  # noqa: BLE001 - the boundary: the caller is owed an answer
            return refusal(unforeseen(error, request_id), request_id)
        return await self.door.endpoint.answer(request, principal, region, request_id, self.address)

    def _is_signed(self, request: Request) -> bool:
        """Tell whether a signature decides; without a certificate it has to."""
        presigned = b"X-Amz-Algorithm" in request.target
        return self.holder is None or presigned or request.header(b"authorization") is not None

    def _read_claim(self, request: Request) -> Claim:
        kms = self.door.endpoint.kms
        received = HttpRequest(request.method, request.target, request.headers, request.body)
        return read_claim(received, regions=kms.regions, now=kms.now())

    def _signer(self, claim: Claim) -> Principal:
        kms = self.door.endpoint.kms
        record = kms.store.access_key(claim.access_key_id)
        if record is None:
            raise invalid_token()
        secret = kms.barrier.unwrap_secret(record.access_key_id, record.wrapped_secret)
        verify(claim, secret.decode())
        check_session(record, claim.session_token, kms.now())
        return key_principal(record, source_ip=self.address, secure_transport=self.secured)

    def _certified(self) -> Principal:
        if self.holder is None:
            raise MissingAuthenticationTokenException("Request is missing Authentication Token")
        if self.holder.not_after < self.door.endpoint.kms.now():
            raise UnrecognizedClientException("The client certificate has expired; connect with a new one.")
        return replace(self.holder.principal, source_ip=self.address)
