"""The Unix socket: the kernel says who connected, the configuration who that is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from agent.api.errors import AccessDeniedException
from agent.authn.mapping import UnmappedCallerError, local_principal
from agent.authn.peercred import identify, peer_credentials, peer_pidfd
from agent.doors.refusals import unknown_caller
from agent.endpoint import new_request_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.authn.peercred import Peer, PeerCredentials
    from agent.doors.refusals import RefusalDesk
    from agent.endpoint import Endpoint
    from agent.http import Handle, Reply, Request, Stream
    from agent.keys.principal import Principal
    from agent.settings.principals import PrincipalRule


@dataclass(frozen=True, slots=True)
class LocalDoor:
    """The agent's own socket.

    Args:
        endpoint: What is behind it.
        rules: Who local callers are, where it is not simply their login.
        refusals: Who answers those whom nobody can name.
        owner_uid: The user that the agent runs as.
    """

    endpoint: Endpoint
    rules: Sequence[PrincipalRule]
    refusals: RefusalDesk
    owner_uid: int

    async def open_session(self, stream: Stream) -> Handle:
        """Find out who connected, and answer them from then on."""
        assert isinstance(stream, trio.SocketStream), "nobody speaks TLS on a Unix socket"
        credentials = peer_credentials(stream.socket)
        source = f"unix:pid={credentials.pid}"
        peer = await trio.to_thread.run_sync(_identified, stream.socket, credentials)
        try:
            principal = local_principal(peer, self.rules, self.endpoint.kms.account_id, self.owner_uid)
        except UnmappedCallerError as error:
            return _Stranger(self.refusals, source, credentials.uid, str(error)).answer
        return _Session(self.endpoint, principal, source).answer


@dataclass(frozen=True, slots=True)
class _Session:
    """One local caller on one connection."""

    endpoint: Endpoint
    principal: Principal
    source: str

    async def answer(self, request: Request) -> Reply:
        return await self.endpoint.answer(request, self.principal, None, new_request_id(), self.source)


@dataclass(frozen=True, slots=True)
class _Stranger:
    """A local caller of whom it cannot be told who they are: refused, whatever they ask."""

    refusals: RefusalDesk
    source: str
    uid: int
    reason: str

    async def answer(self, request: Request) -> Reply:
        error = AccessDeniedException(f"The agent cannot tell who you are: {self.reason}.")
        caller = unknown_caller(uid=self.uid)
        return await self.refusals.refuse(error, caller, request, new_request_id(), self.source)


def _identified(connection: trio.socket.SocketType, credentials: PeerCredentials) -> Peer:
    """Identify a caller, in a worker thread, so that no descriptor is left behind by a cancellation."""
    pidfd = peer_pidfd(connection)
    try:
        return identify(credentials, pidfd)
    finally:
        if pidfd is not None:
            os.close(pidfd)
