"""A real agent behind TLS: boto3 with an authority of one's own, client certificates, and bad handshakes."""

import datetime as dt
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import SSLError

import ports
from agents import RunningAgent
from certificates import Authority, Identity, dns, uri
from ports import kms

ACCOUNT = "000000000000"
PRINCIPALS = [
    {"match": {"uri": "spiffe://example.org/sa/*"}, "arn": "arn:aws:iam::{account}:role/mesh/{1}"},
    {"match": {"dns": "admin.example.org"}, "arn": "arn:aws:iam::{account}:root"},
]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of clients' certificates."""
    return Authority(tmp_path_factory.mktemp("clients"), "clients")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of the agent's certificate."""
    return Authority(tmp_path_factory.mktemp("servers"), "servers")


@pytest.fixture(scope="module")
def agent(servers: Authority, clients: Authority) -> Iterator[RunningAgent]:
    """An agent with a TLS port that knows client certificates."""
    settings = tls(servers.issue_server(), client_ca=str(clients.bundle))
    with ports.running(settings, principals=PRINCIPALS, limits={"request_seconds": 2}) as agent:
        yield agent


@pytest.fixture
def url(agent: RunningAgent) -> str:
    """The address of its port."""
    return ports.doors(agent)[1]


@pytest.fixture(scope="module")
def root(agent: RunningAgent) -> dict[str, str]:
    """An access key of the account's root."""
    return ports.make_key(agent, "root")


def tls(identity: Identity, **more: object) -> dict[str, object]:
    """Return the settings of a port with TLS."""
    return {"tls": {"certificate": str(identity.certificate), "key": str(identity.key), **more}}


def trusting(servers: Authority, identity: Identity | None = None) -> ssl.SSLContext:
    """Return a client's side of TLS."""
    context = ssl.create_default_context(cafile=str(servers.bundle))
    if identity is not None:
        context.load_cert_chain(identity.both)
    return context


def ask(
    url: str, context: ssl.SSLContext, operation: str = "ListKeys", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Ask for an operation without a signature; the connection's certificate has to do."""
    connection = http.client.HTTPSConnection(*ports.address(url), timeout=60, context=context)
    known = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    try:
        connection.request("POST", "/", b"{}", known | (headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_boto3_works_over_tls(url: str, root: dict[str, str], servers: Authority, clients: Authority) -> None:
    """With the authority's certificate boto3 works; without it, it does not trust the agent."""
    assert url.startswith("https://127.0.0.1:")
    client = kms(url, root, verify=str(servers.bundle))
    key_id = client.create_key()["KeyMetadata"]["KeyId"]
    assert client.generate_data_key(KeyId=key_id, NumberOfBytes=32)["Plaintext"]
    with pytest.raises(SSLError):
        kms(url, root, verify=str(clients.bundle)).list_keys()


BOTO3 = """
import sys, boto3
client = boto3.client("kms", endpoint_url=sys.argv[1], region_name="local")
print(len(client.list_keys()["Keys"]) >= 0)
"""


def test_the_environment_is_enough(
    agent: RunningAgent, url: str, root: dict[str, str], servers: Authority
) -> None:
    """AWS_CA_BUNDLE and AWS's variables for keys are all that boto3, and our own commands, need."""
    environ = agent.environ | {"AWS_CA_BUNDLE": str(servers.bundle)}
    environ |= {name.upper(): value for name, value in root.items()}
    asked = subprocess.run(
        [sys.executable, "-c", BOTO3, url], env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    assert asked.stdout == "True\n"
    for arguments in (("key", "create", "--agent", url), ("status", "--agent", url)):
        result = subprocess.run(
            [sys.executable, "-P", "-m", "agent", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, "")


def test_a_client_certificate_says_who_asks(
    agent: RunningAgent, url: str, servers: Authority, clients: Authority
) -> None:
    """URI and DNS names become the principals of the rules; their requests need no signature."""
    database = trusting(servers, clients.issue("db", uri("spiffe://example.org/sa/db")))
    status, answer = ask(url, database)
    assert (status, answer["__type"]) == (400, "AccessDeniedException")
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/db/db" in answer["Message"]
    record = ports.records(agent)[-1]
    assert record["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == (
        f"arn:aws:iam::{ACCOUNT}:role/mesh/db"
    )
    admin = trusting(servers, clients.issue("admin", dns("admin.example.org")))
    assert ask(url, admin)[0] == 200
    assert ports.records(agent)[-1]["userIdentity"]["type"] == "Root"


def test_a_signature_goes_before_the_certificate(
    agent: RunningAgent, url: str, servers: Authority, clients: Authority, root: dict[str, str]
) -> None:
    """Who shows a certificate and signs is whom the signature says; a wrong one is not made good by it."""
    identity = clients.issue("both", uri("spiffe://example.org/sa/both"))
    config = ports.NO_RETRIES.merge(ports.botocore.config.Config(client_cert=str(identity.both)))
    session = ports.boto3.Session(region_name="local", **root)
    session.client("kms", endpoint_url=url, config=config, verify=str(servers.bundle)).list_keys()
    assert ports.records(agent)[-1]["userIdentity"]["type"] == "Root"
    admin = trusting(servers, clients.issue("admin", dns("admin.example.org")))
    status, answer = ask(url, admin, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x"})
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")


def test_certificates_that_are_not_good_open_nothing(
    url: str, servers: Authority, clients: Authority, tmp_path: Path
) -> None:
    """No certificate or an unmapped one asks for a signature; one that is not good ends the handshake."""
    for context in (trusting(servers), trusting(servers, clients.issue("other", dns("other.example.org")))):
        status, answer = ask(url, context)
        assert (status, answer["__type"]) == (400, "MissingAuthenticationTokenException")
    day = dt.timedelta(days=1)
    expired = clients.issue("expired", dns("admin.example.org"), begins=-3 * day, ends=-day)
    early = clients.issue("early", dns("admin.example.org"), begins=day)
    stranger = Authority(tmp_path, "clients").issue("stranger", dns("admin.example.org"))
    server = clients.issue("purpose", dns("admin.example.org"), server=True)
    for identity in (expired, early, stranger, server):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            ask(url, trusting(servers, identity))


def test_whoever_speaks_plain_http_is_told(url: str) -> None:
    """A plain request to a TLS port gets an answer that people understand."""
    with ports.connect(url) as plain:
        plain.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while piece := plain.recv(4096):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"
    assert b"https://" in body


def test_a_handshake_has_to_be_done_in_time(url: str, root: dict[str, str], servers: Authority) -> None:
    """Connections that say nothing, or half a handshake, are closed; others are served meanwhile."""
    with ports.connect(url) as silent, ports.connect(url) as slow:
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        kms(url, root, verify=str(servers.bundle)).list_keys()
        for connection in (silent, slow):
            connection.settimeout(60)
            assert connection.recv(1) == b""


def test_a_stop_does_not_wait_for_who_says_nothing(
    make_agent: Callable[[], RunningAgent], servers: Authority
) -> None:
    """Silent connections, before and after their handshake, end with the agent, at once and properly."""
    agent = make_agent()
    limits = {"request_seconds": 1000, "idle_seconds": 1000, "stop_seconds": 1000}
    (url,) = ports.start(agent, tls(servers.issue_server()), limits=limits)
    context = trusting(servers)
    with (
        ports.connect(url) as silent,
        ports.connect(url) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as idle,
    ):
        agent.stop()
        assert (silent.recv(1), idle.recv(1)) == (b"", b"")


def test_old_versions_of_tls_are_refused(url: str) -> None:
    """TLS 1.2 and 1.3 are spoken, nothing older."""
    host, port = ports.address(url)
    spoken = set()
    for flag in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
        client = ["openssl", "s_client", "-brief", flag, "-cipher", "ALL:@SECLEVEL=0"]
        result = subprocess.run(
            [*client, "-connect", f"{host}:{port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"Protocol version: (\S+)", result.stderr)
        spoken.add(found[1] if found else "")
    assert spoken == {"", "TLSv1.2", "TLSv1.3"}


def presented(url: str) -> bytes:
    """Return the certificate that the agent shows."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(ports.address(url), timeout=60) as plain,
        context.wrap_socket(plain) as secured,
    ):
        found = secured.getpeercert(binary_form=True)
    assert found is not None
    return found


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what has to happen soon."""
    ends = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_signal_loads_the_certificate_again(make_agent: Callable[[], RunningAgent], tmp_path: Path) -> None:
    """SIGHUP makes new connections get the new certificate; one that cannot be used leaves the old one."""
    authority = Authority(tmp_path)
    identity = authority.issue_server()
    agent = make_agent()
    (url,) = ports.start(agent, tls(identity))
    first = presented(url)
    authority.issue_server()  # writes the same files
    assert presented(url) == first
    os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: presented(url) != first)
    second = presented(url)
    identity.certificate.write_text("nonsense")
    os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: "the certificate from before is still used" in agent.log_path.read_text())
    assert presented(url) == second
    agent.stop()


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ({"address": "0.0.0.0", "port": 0}, "0.0.0.0 is not a loopback address, so it needs tls"),  # noqa: S104
        ({"address": "192.0.2.1", "port": 0, "plain_http": "allow-non-loopback"}, "choose another in listen"),
        (
            {"address": "127.0.0.1", "port": 0, "tls": {"certificate": "/nowhere", "key": "/nowhere"}},
            "cannot use the certificate /nowhere, its key or client_ca: No such file",
        ),
    ],
)
def test_a_port_that_cannot_be_served_is_refused_at_the_start(
    make_agent: Callable[[], RunningAgent], listen: dict[str, object], words: str
) -> None:
    """The agent does not start, and says what to do, with the exit status of the configuration."""
    agent = make_agent()
    config = agent.directory / "config.yaml"
    config.write_text(json.dumps({"socket": str(agent.socket_path), "listen": [listen]}))
    result = agent.command("serve", "--init", "--config", str(config))
    assert result.returncode == 9
    assert words in result.stderr


def test_a_key_of_another_certificate_is_refused_at_the_start(
    make_agent: Callable[[], RunningAgent], tmp_path: Path
) -> None:
    """Certificate and key have to belong together, and the key must not be encrypted."""
    authority = Authority(tmp_path)
    one, other = authority.issue_server("one"), authority.issue_server("other")
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", one.key, "-out", encrypted, "-passout", "pass:x"], check=True
    )
    for key, words in ((other.key, "KEY_VALUES_MISMATCH"), (encrypted, "not encrypted")):
        agent = make_agent()
        config = agent.directory / "config.yaml"
        settings = {"address": "127.0.0.1", "port": 0}
        settings |= {"tls": {"certificate": str(one.certificate), "key": str(key)}}
        config.write_text(json.dumps({"socket": str(agent.socket_path), "listen": [settings]}))
        result = agent.command("serve", "--init", "--config", str(config))
        assert (result.returncode, words in result.stderr) == (9, True)


def test_a_certificate_can_be_demanded(
    make_agent: Callable[[], RunningAgent], servers: Authority, clients: Authority
) -> None:
    """With require_client_certificate nobody gets as far as a request without one."""
    agent = make_agent()
    settings = tls(servers.issue_server(), client_ca=str(clients.bundle), require_client_certificate=True)
    (url,) = ports.start(agent, settings, principals=PRINCIPALS)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        ask(url, trusting(servers))
    assert ask(url, trusting(servers, clients.issue("admin", dns("admin.example.org"))))[0] == 200
