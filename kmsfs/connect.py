"""Owns reaching the agent: which one, and starting the user's own when none answers."""

from collections.abc import Iterator
from contextlib import contextmanager

from agent.client import AgentClient, default_agent_url, ensure_running


@contextmanager
def connected(agent_url: str | None) -> Iterator[AgentClient]:
    """Connect to the agent at `agent_url`, or to the one that the environment or the user's default names.

    Raises:
        AgentError: none can be reached; the message says what to do.
    """
    url = agent_url or default_agent_url()
    ensure_running(url)
    with AgentClient(url) as client:
        yield client
