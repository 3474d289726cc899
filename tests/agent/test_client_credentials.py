"""What a client on TCP proves itself with: the variables of AWS's tools, files, certificates."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import ports
from agent.api.errors import InvalidSignatureException, MissingAuthenticationTokenException
from agent.api.operations import CREATE_KEY, LIST_KEYS
from agent.api.shapes.keys import CreateKeyRequest, ListKeysRequest
from agent.client import AgentClient, AgentUnavailableError, CredentialsError
from agent.client.credentials import load_credentials, load_signer
from agent.client.endpoint import parse_url
from agent.client.tls import client_context
from agent.sigv4.signing import Credentials
from agents import RunningAgent
from certificates import Authority, dns

FILE = """
[default]
aws_access_key_id = AKIDEFAULT
aws_secret_access_key = s3cret/%+=

[temporary]
aws_access_key_id=ASIDOTHER
aws_secret_access_key=other
aws_session_token=t0ken

[half]
aws_access_key_id = AKIDHALF
"""


@pytest.fixture
def named(tmp_path: Path) -> dict[str, str]:
    """An environment that names a credentials file."""
    path = tmp_path / "credentials"
    path.write_text(FILE)
    return {"AWS_SHARED_CREDENTIALS_FILE": str(path)}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these variables, and none of AWS's else, in this process's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "KMS_AGENT_"))]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def test_the_environment_has_the_key(named: dict[str, str]) -> None:
    """A key in the environment is used, with its session token, and goes before a file."""
    key = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert load_credentials(key | named) == Credentials("AKID", "secret")
    assert load_credentials(key | {"AWS_SESSION_TOKEN": "t"}) == Credentials("AKID", "secret", "t")
    assert load_credentials({}) is None


def test_a_file_has_profiles(named: dict[str, str]) -> None:
    """The file that is named is read, for the profile that is named; no other file ever is."""
    assert load_credentials(named) == Credentials("AKIDEFAULT", "s3cret/%+=")
    other = load_credentials(named | {"AWS_PROFILE": "temporary"})
    assert other == Credentials("ASIDOTHER", "other", "t0ken")
    assert load_credentials({"HOME": str(Path(named["AWS_SHARED_CREDENTIALS_FILE"]).parent)}) is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "set both"),
        ({"AWS_SECRET_ACCESS_KEY": "s3cret"}, "set both"),
        ({"AWS_PROFILE": "half"}, "has no profile 'half' with"),
        ({"AWS_PROFILE": "absent"}, "has no profile 'absent' with"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}, "cannot read the credentials file /nowhere"),
    ],
)
def test_half_a_key_is_none(named: dict[str, str], environ: dict[str, str], words: str) -> None:
    """What is set and cannot be used is said; nothing is signed with something else then."""
    with pytest.raises(CredentialsError, match=words) as caught:
        load_credentials(named | environ)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["not a file of profiles", "[default\n", "[default]\n" * 2, "\xff", "#" * 70_000]
)
def test_a_file_that_is_none_does_not_show_what_is_in_it(tmp_path: Path, text: str) -> None:
    """A malformed or enormous file is refused without a word of its content."""
    path = tmp_path / "credentials"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CredentialsError) as caught:
        load_credentials({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
    assert str(caught.value).startswith(str(path))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "environ", "region"),
    [
        ("http://127.0.0.1:4599", {}, "local"),
        ("http://127.0.0.1:4599", {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "x"}, "eu-central-1"),
        ("http://127.0.0.1:4599", {"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ("https://kms.us-east-2.amazonaws.com", {}, "us-east-2"),
        ("https://kms-fips.us-gov-west-1.amazonaws.com", {}, "us-gov-west-1"),
        ("https://kms.us-east-2.amazonaws.com", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ("https://kms.us-east-2.amazonaws.com.evil.example", {}, "local"),
    ],
)
def test_the_region_that_is_signed_for(url: str, environ: dict[str, str], region: str) -> None:
    """The environment names the Region, else AWS's own addresses do."""
    assert load_signer(parse_url(url), environ).region == region


def test_a_unix_socket_needs_no_key() -> None:
    """On a socket nothing is signed, and wrong variables do not matter."""
    signer = load_signer(parse_url("unix:///run/agent.sock"), {"AWS_ACCESS_KEY_ID": "half"})
    assert signer.headers("POST", "/", (), b"") == ()


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Which variable names the wrong file is said."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nonsense")
    for name in ("AWS_CA_BUNDLE", "KMS_AGENT_CLIENT_CERTIFICATE"):
        for path in (wrong, tmp_path / "absent"):
            with pytest.raises(CredentialsError, match=name):
                client_context({name: str(path)})


def test_our_client_signs_and_shows_certificates(
    make_agent: Callable[[], RunningAgent], tmp_path: Path
) -> None:
    """Over TLS our client is known by its key, or by its certificate; without either it is not."""
    authority = Authority(tmp_path)
    server, client = authority.issue_server(), authority.issue("client", dns("ann.example.org"))
    rule = {"match": {"dns": "ann.example.org"}, "arn": "arn:aws:iam::{account}:root"}
    agent = make_agent()
    (url,) = ports.start(
        agent,
        {
            "tls": {
                "certificate": str(server.certificate),
                "key": str(server.key),
                "client_ca": str(authority.bundle),
            }
        },
        principals=[rule],
    )
    key = {name.upper(): value for name, value in ports.make_key(agent, "root").items()}
    trust = {"AWS_CA_BUNDLE": str(authority.bundle)}
    for proof in (key, {"KMS_AGENT_CLIENT_CERTIFICATE": str(client.both)}):
        with environment(trust | proof), AgentClient(url) as asking:
            asking.call(CREATE_KEY, CreateKeyRequest())
            asking.call(LIST_KEYS, ListKeysRequest())
    with (
        environment(trust),
        AgentClient(url) as asking,
        pytest.raises(MissingAuthenticationTokenException),
    ):
        asking.call(LIST_KEYS, ListKeysRequest())
    refused = agent.command("status", "--agent", url)
    assert (refused.returncode, refused.stdout) == (3, "")
    agent.environ |= trust
    refused = agent.command("status", "--agent", url)
    assert refused.returncode == 4
    assert "set AWS_ACCESS_KEY_ID" in refused.stderr
    with (
        environment(trust | key | {"AWS_REGION": "mars"}),
        AgentClient(url) as asking,
        pytest.raises(InvalidSignatureException, match="valid region"),
    ):
        asking.call(LIST_KEYS, ListKeysRequest())
    with (
        environment(key),
        AgentClient(url) as asking,
        pytest.raises(AgentUnavailableError, match="certificate"),
    ):
        asking.call(LIST_KEYS, ListKeysRequest())
