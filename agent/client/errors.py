"""What can go wrong between a client and its agent, before a service error can be told."""

from __future__ import annotations


class AgentError(Exception):
    """The agent could not be asked. What the agent itself refuses is a ``ServiceError`` instead."""


class AgentUnavailableError(AgentError):
    """Nothing answers at the agent's address, or it went away or fell silent during a request.

    Args:
        url: The address that was tried.
        reason: What happened, and what the user can do.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no key management agent at {url}: {reason}")
        self.url = url
        self.reason = reason


class AgentImpersonatedError(AgentError):
    """The socket is served by a user who is neither root nor the caller.

    Args:
        url: The address that was tried.
        peer_uid: Who serves it.
    """

    def __init__(self, url: str, peer_uid: int) -> None:
        super().__init__(
            f"{url} is served by uid {peer_uid}, who is neither root nor you; "
            "no key was asked for. Stop that process, or name another agent with KMS_AGENT_URL."
        )
        self.url = url
        self.peer_uid = peer_uid


class InvalidAgentUrlError(AgentError):
    """An agent address is not one of ``unix:///path``, ``http://host[:port]``, ``https://host[:port]``."""


class CredentialsError(AgentError):
    """The access key, certificate or authorities that the environment names cannot be used."""


class ProtocolError(AgentError):
    """What came back is not an answer of a key management service."""
