"""Real agents that serve TCP ports, and boto3 as their client. Knows the command line and AWS's own SDK."""

import http.client
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import botocore.config
from botocore.exceptions import ClientError

from agents import RunningAgent


class UnixConnection(http.client.HTTPConnection):
    """The standard library's HTTP client over a Unix socket: a client that is not ours."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


NO_RETRIES = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=60)
OUTSIDE = {name for name in os.environ if name.startswith("AWS_")}
"""The developer's own variables, which no program of a test may see."""


def start(agent: RunningAgent, *listen: Mapping[str, object], **settings: object) -> list[str]:
    """Start an agent with these ports; return their addresses."""
    for name in OUTSIDE:
        agent.environ.pop(name, None)
    config = agent.directory / "config.yaml"
    fixed = {
        "socket": str(agent.socket_path),
        "listen": [{"address": "127.0.0.1", "port": 0, **one} for one in listen],
    }
    config.write_text(json.dumps(fixed | settings))  # JSON is YAML too
    agent.start("--config", str(config))
    return doors(agent)[1:]


@contextmanager
def running(*listen: Mapping[str, object], **settings: object) -> Iterator[RunningAgent]:
    """An agent with these ports; it, and all that it wrote, are gone afterwards."""
    agent = RunningAgent(Path(tempfile.mkdtemp(prefix="kms-", dir="/tmp")))
    try:
        start(agent, *listen, **settings)
        yield agent
    finally:
        agent.discard()
        shutil.rmtree(agent.directory)


def doors(agent: RunningAgent) -> list[str]:
    """Return the addresses that an agent says it serves."""
    with agent.client() as client:
        found: list[str] = json.loads(client.status().body)["doors"]
    return found


def address(url: str) -> tuple[str, int]:
    """Return host and port of an address."""
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return host, int(port)


def connect(url: str) -> socket.socket:
    """Open a TCP connection."""
    return socket.create_connection(address(url), timeout=60)


def make_key(agent: RunningAgent, principal: str) -> dict[str, str]:
    """Make an access key as the agent's owner; return it as boto3 takes it."""
    return as_boto3(command(agent, "access-key", "create", principal, "--json"))


def make_session(agent: RunningAgent, *arguments: str) -> dict[str, str]:
    """Make temporary credentials; return them as boto3 takes them."""
    return as_boto3(command(agent, "access-key", "session", *arguments, "--json"))


def as_boto3(made: Mapping[str, Any]) -> dict[str, str]:
    """Return credentials that were made under boto3's names for them."""
    names = {
        "aws_access_key_id": "AccessKeyId",
        "aws_secret_access_key": "SecretAccessKey",
        "aws_session_token": "SessionToken",
    }
    return {ours: made[theirs] for ours, theirs in names.items() if theirs in made}


def command(agent: RunningAgent, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it prints
    """Run a command that prints JSON, or nothing, and has to succeed."""
    result = agent.command(*arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout) if result.stdout else None


def kms(url: str, credentials: Mapping[str, str], *, region: str = "local", **options: Any) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return a client of boto3's, as anybody would make it."""
    session = boto3.Session(region_name=region)
    return session.client("kms", endpoint_url=url, config=NO_RETRIES, **credentials, **options)


def error_of(client: Any, operation: str, **members: object) -> tuple[str, str]:  # noqa: ANN401 - as above
    """Call an operation that has to be refused; return code and message."""
    try:
        getattr(client, operation)(**members)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError(f"{operation} was not refused")


def records(agent: RunningAgent) -> list[dict[str, Any]]:
    """Return the audit records."""
    return [json.loads(line) for line in agent.audit_path.read_bytes().splitlines()]
