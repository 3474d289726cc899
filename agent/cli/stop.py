"""``kms-agent stop``: end the agent behind a Unix socket, gracefully."""

from __future__ import annotations

import os
import select
import signal

import click

from agent.cli.options import agent_option
from agent.client import AgentClient, AgentUnavailableError

# More than the agent gives its running requests by default.
_STOP_SECONDS = 30


@click.command("stop")
@agent_option
def stop(agent_url: str) -> None:
    """Stop an agent on this machine; requests under way are finished first.

    Mounted filesystems go on with the keys they have.
    """
    with AgentClient(agent_url) as client:
        client.status()
        pid = client.peer_pid()
        if pid is None:
            raise click.UsageError("only an agent on a Unix socket can be stopped from here")
        process = os.pidfd_open(pid)
        try:
            # It still answers on this connection, so the descriptor is not of a successor with its number.
            client.status()
            signal.pidfd_send_signal(process, signal.SIGTERM)
            client.close()
            if not select.select([process], [], [], _STOP_SECONDS)[0]:
                raise AgentUnavailableError(
                    agent_url, f"process {pid} was told to stop and still runs; see its log"
                )
        finally:
            os.close(process)
