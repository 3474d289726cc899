"""A TCP port: each request proves who asks, by its signature or by the connection's client certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from agent.api.errors import MissingAuthenticationTokenException, ServiceError, UnrecognizedClientException
from agent.authn.credentials import check_session, invalid_token, key_principal
from agent.authn.mapping import UnmappedCallerError, certificate_principal
from agent.authn.sigv4 import read_claim, verify_by
from agent.doors.refusals import unknown_caller
from agent.doors.tls import client_certificate
from agent.endpoint import new_request_id, unforeseen
from agent.sigv4.canonical import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.authn.signingkeys import SigningKeys
    from agent.authn.sigv4 import Claim
    from agent.doors.refusals import RefusalDesk
    from agent.doors.tls import ClientCertificate
    from agent.endpoint import Endpoint
    from agent.http import Handle, Reply, Request, Stream
    from agent.keys.principal import Principal
    from agent.settings.principals import PrincipalRule


@dataclass(frozen=True, slots=True)
class NetworkDoor:
    """What TCP ports lead to.

    Args:
        endpoint: What is behind them.
        rules: Who the holders of client certificates are.
        refusals: Who answers those who cannot prove who they are.
        signing_keys: What access keys sign with.
    """

    endpoint: Endpoint
    rules: Sequence[PrincipalRule]
    refusals: RefusalDesk
    signing_keys: SigningKeys

    async def open_session(self, stream: Stream) -> Handle:
        """Look at the connection; who asks is found out for each request."""
        await trio.lowlevel.checkpoint()
        if not isinstance(stream, trio.SSLStream):
            return _Session(self, _address(stream), None, secured=False).answer
        return _Session(
            self, _address(stream.transport_stream), client_certificate(stream), secured=True
        ).answer


@dataclass(frozen=True, slots=True)
class _Session:
    """One connection; its requests may be of different callers."""

    door: NetworkDoor
    address: str
    certificate: ClientCertificate | None
    secured: bool

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
        except Exception as error:  # noqa: BLE001 - the boundary: the caller is owed an answer
            told = error if isinstance(error, ServiceError) else unforeseen(error, request_id)
            caller = unknown_caller(access_key_id=signed_with)
            return await self.door.refusals.refuse(told, caller, request, request_id, self.address)
        return await self.door.endpoint.answer(request, principal, region, request_id, self.address)

    def _is_signed(self, request: Request) -> bool:
        """Tell whether a signature decides; without a certificate it has to."""
        presigned = b"X-Amz-Algorithm" in request.target
        return self.certificate is None or presigned or request.header(b"authorization") is not None

    def _read_claim(self, request: Request) -> Claim:
        kms = self.door.endpoint.kms
        received = HttpRequest(request.method, request.target, request.headers, request.body)
        return read_claim(received, regions=kms.regions, now=kms.now())

    def _signer(self, claim: Claim) -> Principal:
        kms = self.door.endpoint.kms
        record = kms.store.access_key(claim.access_key_id)
        if record is None:
            raise invalid_token()
        verify_by(claim, self.door.signing_keys.get(record, claim.scope))
        check_session(record, claim.session_token, kms.now())
        return key_principal(record, source_ip=self.address, secure_transport=self.secured)

    def _certified(self) -> Principal:
        """Return whom the rules make of the client certificate, as long as it is good."""
        assert self.certificate is not None, "without a certificate a signature decides"
        kms = self.door.endpoint.kms
        if self.certificate.not_after < kms.now():
            raise UnrecognizedClientException("The client certificate has expired; connect with a new one.")
        try:
            found = certificate_principal(self.certificate.names, self.door.rules, kms.account_id)
        except UnmappedCallerError as error:
            raise MissingAuthenticationTokenException(
                f"Request is missing Authentication Token, and {error}"
            ) from None
        return replace(found, source_ip=self.address)


def _address(stream: trio.SocketStream) -> str:
    return str(stream.socket.getpeername()[0])
