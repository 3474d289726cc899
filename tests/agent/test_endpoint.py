"""A real agent over its socket: AWS JSON as it is on the wire, who callers are, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agent.api.errors import KMSInternalException
from agent.api.operations import CREATE_KEY, GENERATE_RANDOM
from agent.api.rows.identity import PUT_IDENTITY_POLICY
from agent.api.shapes.cryptographic import GenerateRandomRequest
from agent.api.shapes.identity import PutIdentityPolicyRequest
from agent.api.shapes.keys import CreateKeyRequest
from agent.audit.reading import lines
from agent.client import AgentUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents import RunningAgent

AWS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.GenerateRandom"}
NOBODY = 65534


class UnixConnection(http.client.HTTPConnection):
    """The standard library's HTTP client over a Unix socket: a client that is not ours."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(
    agent: RunningAgent, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> tuple[int, Mapping[str, str], bytes]:
    """Send one request; return status, headers and body of the answer."""
    connection = UnixConnection(str(agent.socket_path))
    try:
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def records(agent: RunningAgent) -> list[dict[str, Any]]:
    """Return the audit records."""
    return [json.loads(line) for line in lines(agent.audit_path)]


def test_an_answer_is_aws_json_with_the_request_id_of_its_record(running_agent: RunningAgent) -> None:
    """Answers, good and bad, have AWS's content type and a request id that the audit log knows."""
    for body, status in ((b'{"NumberOfBytes":8}', 200), (b"{}", 400), (b"[", 400)):
        found, headers, answer = ask(running_agent, "POST", "/", AWS | {"User-Agent": "x" * 2000}, body)
        assert found == status
        assert headers["Content-Type"] == "application/x-amz-json-1.1"
        assert isinstance(json.loads(answer), dict)
        record = records(running_agent)[-1]
        assert headers["x-amzn-RequestId"] == record["requestID"]
        assert ("errorCode" in record) == (status != 200)
        assert record["sourceIPAddress"] == f"unix:pid={os.getpid()}"
        assert record["userAgent"] == "x" * 1024


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({"Content-Type": AWS["Content-Type"]}, b"{}", "UnknownOperationException"),
        ({**AWS, "X-Amz-Target": "TrentService.NoSuchThing"}, b"{}", "UnknownOperationException"),
        ({**AWS, "X-Amz-Target": "TrentService."}, b"{}", "UnknownOperationException"),
        ({**AWS, "X-Amz-Target": "DynamoDB_20120810.ListTables"}, b"{}", "UnknownOperationException"),
        ({**AWS, "X-Amz-Target": "TrentService.\xff"}, b"{}", "UnknownOperationException"),
        ({**AWS, "Content-Type": "text/html"}, b"{}", "UnknownOperationException"),
        (AWS, b"not json", "SerializationException"),
        (AWS, b'{"NumberOfBytes":"8"}', "SerializationException"),
        (AWS, b"[" * 100_000, "SerializationException"),
        (AWS, b'{"NumberOfBytes":1025}', "ValidationException"),
    ],
)
def test_a_wrong_request_has_awss_name_for_it(
    running_agent: RunningAgent, headers: Mapping[str, str], body: bytes, error: str
) -> None:
    """What is wrong with target, content type or body is named as AWS names it, with a request id."""
    status, answered, answer = ask(running_agent, "POST", "/", headers, body)
    assert (status, json.loads(answer)["__type"]) == (400, error)
    assert answered["x-amzn-RequestId"]


def test_a_content_type_may_have_parameters(running_agent: RunningAgent) -> None:
    """A charset after the content type changes nothing."""
    headers = {**AWS, "Content-Type": "Application/X-AMZ-JSON-1.1; charset=utf-8"}
    assert ask(running_agent, "POST", "/", headers, b'{"NumberOfBytes":1}')[0] == 200


def test_the_status_is_told_without_a_record(running_agent: RunningAgent) -> None:
    """GET /status tells who serves, touches no key and leaves no audit record; nothing else is served."""
    status, _, answer = ask(running_agent, "GET", "/status", {})
    assert (status, json.loads(answer)["pid"]) == (200, running_agent.pid)
    for method, target in (("GET", "/"), ("POST", "/status"), ("PUT", "/"), ("DELETE", "/x"), ("POST", "//")):
        assert ask(running_agent, method, target, AWS, b"{}")[0] == 404
    assert records(running_agent) == []


NOBODY_ARN = "arn:aws:iam::000000000000:user/nobody"
KEYS_OF_ONE_S_OWN = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["kms:CreateKey", "kms:TagResource"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "kms:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}},
        },
    ],
}
OTHER_USER = """
import json, os, sys
from agent.api.errors import ServiceError
from agent.api.operations import CREATE_KEY, DESCRIBE_KEY, GENERATE_DATA_KEY
from agent.api.shapes.cryptographic import GenerateDataKeyRequest
from agent.api.shapes.keys import CreateKeyRequest, DescribeKeyRequest, Tag
from agent.client import AgentClient

url, foreign_key = sys.argv[1:]
os.setgid(65534)
os.setuid(65534)
with AgentClient(url) as client:
    tags = (Tag(tag_key="owner", tag_value="nobody"),)
    request = CreateKeyRequest(tags=tags, bypass_policy_lockout_safety_check=True)
    own = client.call(CREATE_KEY, request).key_metadata.key_id
    client.call(GENERATE_DATA_KEY, GenerateDataKeyRequest(key_id=own, number_of_bytes=32))
    try:
        client.call(DESCRIBE_KEY, DescribeKeyRequest(key_id=foreign_key))
        print("allowed")
    except ServiceError as error:
        print(error.code)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_the_kernel_says_who_is_calling(make_agent: Callable[[], RunningAgent]) -> None:
    """On a socket open to all, each caller is who the kernel says: policies and records go by that."""
    agent = make_agent()
    agent.directory.chmod(0o755)
    config = agent.directory / "config.yaml"
    config.write_text(f'socket: {agent.socket_path}\nsocket_mode: "0666"\n')
    agent.start("--config", str(config))
    with agent.client() as client:
        key_id = client.call(CREATE_KEY, CreateKeyRequest()).key_metadata.key_id
        allowed = PutIdentityPolicyRequest(
            principal_arn=NOBODY_ARN, policy_name="keys", policy_document=json.dumps(KEYS_OF_ONE_S_OWN)
        )
        client.call(PUT_IDENTITY_POLICY, allowed)
    other = subprocess.run(
        [sys.executable, "-P", "-c", OTHER_USER, agent.url, key_id],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert other.stdout == "AccessDeniedException\n"
    told = [(r["eventName"], r["userIdentity"]["arn"], "errorCode" in r) for r in records(agent)]
    root = "arn:aws:iam::000000000000:root"
    assert told == [
        ("CreateKey", root, False),
        ("PutIdentityPolicy", root, False),
        ("CreateKey", NOBODY_ARN, False),
        ("GenerateDataKey", NOBODY_ARN, False),
        ("DescribeKey", NOBODY_ARN, True),
    ]


def test_without_its_audit_log_the_agent_answers_nothing(running_agent: RunningAgent) -> None:
    """When the log is gone, requests fail and say why, instead of being carried out unrecorded."""
    with running_agent.client() as client:
        client.call(GENERATE_RANDOM, GenerateRandomRequest(number_of_bytes=1))
        running_agent.audit_path.rename(running_agent.directory / "stolen")
        with pytest.raises(KMSInternalException, match=r"audit\.jsonl"):
            client.call(GENERATE_RANDOM, GenerateRandomRequest(number_of_bytes=1))


def test_a_stop_under_load_loses_no_answer(running_agent: RunningAgent) -> None:
    """SIGTERM while many ask: each gets its answer or is not served at all, and the agent ends well."""
    answers = threading.Semaphore(0)
    answered = [0] * 8

    def work(number: int) -> None:
        with running_agent.client() as client:
            try:
                while True:
                    client.call(CREATE_KEY, CreateKeyRequest())
                    answered[number] += 1
                    answers.release()
            except AgentUnavailableError:
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert answers.acquire(timeout=60)
    running_agent.stop()
    for thread in threads:
        thread.join()
    running_agent.start()
    created = [record for record in records(running_agent) if record["eventName"] == "CreateKey"]
    assert sum(answered) <= len(created) <= sum(answered) + len(threads)
