"""Starting the user's own agent when nothing answers, as gpg-agent is started.

Only the standard socket is ever started for: an address somebody chose is theirs to serve.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.client.calls import AgentClient
from agent.client.endpoint import standard_agent_url
from agent.client.errors import AgentUnavailableError
from agent.places import standard_places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The service makes and opens its store, and runs its self-tests, before it answers.
_START_SECONDS = 60
# One that serves says so at once; whoever asks has better to do than to wait for one that hangs.
_ANSWER_SECONDS = 10


def ensure_running(url: str) -> None:
    """Make sure an agent answers at an address.

    When the address is the standard one of this user and nothing answers there, an agent is started in
    the background; its state is made on first use, with its root key in a key file. Several callers at
    once start one agent.

    Raises:
        AgentUnavailableError: Nothing answers, and none was to be started or it did not start; the reason
            carries the agent's own words.
        AgentImpersonatedError: The socket is served by a stranger.
        ProtocolError: Something that is no agent answers there.
    """
    try:
        _probe(url)
    except AgentUnavailableError:
        if url != standard_agent_url():
            raise
    else:
        return
    places = standard_places(os.environ, os.geteuid())
    with _one_starter(places.state_directory):
        try:
            _probe(url)
        except AgentUnavailableError:
            _start(url)
            _probe(url)


def _probe(url: str) -> None:
    with AgentClient(url, timeout_seconds=_ANSWER_SECONDS) as client:
        client.status()


@contextmanager
def _one_starter(state_directory: Path) -> Iterator[None]:
    """Hold the start lock; the kernel frees it when this process ends in whatever way."""
    state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state_directory / "start.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start(url: str) -> None:
    # -P keeps the working directory off the module path: it may hold anybody's "agent" package.
    command = [sys.executable, "-P", "-m", "agent", "serve", "--detach", "--init"]
    try:
        result = subprocess.run(  # noqa: S603 - a fixed command of our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AgentUnavailableError(url, f"it was started but not ready within {_START_SECONDS} s") from None
    if result.returncode != 0:
        words = result.stderr.strip() or f"it ended with status {result.returncode}"
        raise AgentUnavailableError(url, f"starting one failed: {words}")
