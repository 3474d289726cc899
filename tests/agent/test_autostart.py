"""The client with real agents: restarts, and starting the user's own when none answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from agent.api.errors import NotFoundException
from agent.api.operations import CREATE_KEY, DESCRIBE_KEY, GENERATE_DATA_KEY
from agent.api.shapes.cryptographic import GenerateDataKeyRequest
from agent.api.shapes.keys import CreateKeyRequest, DescribeKeyRequest
from agent.client import AgentClient, AgentUnavailableError, default_agent_url, ensure_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents import RunningAgent

CREATE = CreateKeyRequest()


def test_a_real_agent_answers(running_agent: RunningAgent) -> None:
    """The client and the agent understand each other, errors included, from several threads at once."""
    with running_agent.client() as client:
        key_id = client.call(CREATE_KEY, CREATE).key_metadata.key_id
        request = GenerateDataKeyRequest(key_id=key_id, number_of_bytes=64)
        sizes: list[int] = []

        def generate() -> None:
            sizes.extend(len(client.call(GENERATE_DATA_KEY, request).plaintext or b"") for _ in range(20))

        threads = [threading.Thread(target=generate) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sizes == [64] * 80
        with pytest.raises(NotFoundException):
            client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id="alias/none"))


def test_a_restarted_agent_is_found_again(running_agent: RunningAgent) -> None:
    """A client outlives the agent it was connected to, stopped or killed."""
    with running_agent.client() as client:
        key_id = client.call(CREATE_KEY, CREATE).key_metadata.key_id
        for end in (running_agent.stop, running_agent.kill):
            end()
            with pytest.raises(AgentUnavailableError):
                client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=key_id))
            running_agent.start()
            metadata = client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=key_id)).key_metadata
            assert metadata.key_id == key_id


@pytest.fixture
def user(make_agent: Callable[[], RunningAgent], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningAgent]:
    """A user without an agent; this process is that user. Whatever agent gets started is ended."""
    agent = make_agent()
    for name in ("KMS_AGENT_URL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, agent.environ[name])
    yield agent
    agent.end_started()


def test_an_agent_is_started_when_none_answers(user: RunningAgent) -> None:
    """The user's own agent is made and started on first use, once, and left alone when it answers."""
    url = default_agent_url()
    assert url == user.url
    starters = [threading.Thread(target=ensure_running, args=(url,)) for _ in range(3)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    with AgentClient(url) as client:
        client.call(CREATE_KEY, CREATE)
        pid = client.peer_pid()
    ensure_running(url)
    with AgentClient(url) as client:
        client.status()
        assert client.peer_pid() == pid


def test_no_agent_is_started_for_an_address_somebody_chose(user: RunningAgent) -> None:
    """Only the standard socket is started for."""
    with pytest.raises(AgentUnavailableError, match="there is no socket"):
        ensure_running(f"unix://{user.directory}/other.sock")
    assert not user.state_directory.exists()


def test_a_start_that_fails_is_told_in_the_agents_words(user: RunningAgent) -> None:
    """When the agent cannot start, its own message reaches the caller."""
    user.state_directory.mkdir(parents=True)
    (user.state_directory / "seal.json").write_text("{}")
    with pytest.raises(
        AgentUnavailableError, match=r"starting one failed: kms-agent: .*seal\.json is damaged"
    ):
        ensure_running(user.url)
