"""The client of a key management agent: what kmsfs and the commands use.

Everything a caller needs is here; what the agent refuses is raised as in ``agent.api.errors``.
"""

from __future__ import annotations

from agent.client.autostart import ensure_running
from agent.client.calls import AgentClient
from agent.client.endpoint import default_agent_url
from agent.client.errors import (
    AgentError,
    AgentImpersonatedError,
    AgentUnavailableError,
    CredentialsError,
    InvalidAgentUrlError,
    ProtocolError,
)

__all__ = [
    "AgentClient",
    "AgentError",
    "AgentImpersonatedError",
    "AgentUnavailableError",
    "CredentialsError",
    "InvalidAgentUrlError",
    "ProtocolError",
    "default_agent_url",
    "ensure_running",
]
