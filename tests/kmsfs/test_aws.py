"""AWS KMS as the service, by way of boto3: the agent's own ports stand in for AWS's."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import ports
from agent.api import errors, operations
from agent.api.shapes.base import Empty
from agent.api.shapes.cryptographic import DecryptRequest, GenerateDataKeyRequest
from agent.api.shapes.keys import DescribeKeyRequest
from agent.client import AgentUnavailableError, CredentialsError
from agents import RunningAgent
from backgrounds import Place
from certificates import Authority
from kmsfs import aws, kms
from kmsfs.aws import AwsKms

USER = "user/ann"
ENOUGH = ["kms:Decrypt", "kms:GenerateDataKey"]
OUR_KEY = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of the agent's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def agent(authority: Authority) -> Iterator[RunningAgent]:
    """An agent with a plain port and one with TLS, whose user Ann may have data keys and nothing else."""
    server = authority.issue_server()
    tls = {"tls": {"certificate": str(server.certificate), "key": str(server.key)}}
    with ports.running({}, tls) as agent:
        policy = {"Effect": "Allow", "Resource": "*", "Action": ENOUGH}
        path = agent.directory / "use.json"
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [policy]}))
        assert agent.command("policy", "put", USER, "use", str(path)).returncode == 0
        yield agent


@pytest.fixture
def key_arn(agent: RunningAgent) -> str:
    """A KMS key of the test's own."""
    made = ports.command(agent, "key", "create", "--json")
    return str(made["Arn"])


@pytest.fixture
def profile(agent: RunningAgent, authority: Authority, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose credentials boto3 alone finds: a process gives them to it."""
    places = [f"{name}={value}" for name, value in agent.environ.items() if name.startswith(("XDG_", "HOME"))]
    process = shlex.join(
        ["env", *places, sys.executable, "-P", "-m", "agent", "access-key", "session", USER,
         "--credential-process"]
    )  # fmt: skip
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {process}\n")
    return {
        "AWS_CONFIG_FILE": str(config),
        "AWS_CA_BUNDLE": str(authority.bundle),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def place(short_directory: Path, profile: dict[str, str], agent: RunningAgent) -> Iterator[Place]:
    """Directories for a volume of that somebody, at whose standard place there is no agent."""
    environ = {name: value for name, value in agent.environ.items() if not name.startswith(("XDG_", "AWS_"))}
    made = Place(short_directory, environ | profile | {"HOME": str(short_directory)})
    yield made
    made.discard()


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://kms.us-east-1.amazonaws.com", {}, True),
        ("https://kms.us-east-1.amazonaws.com", OUR_KEY, True),
        ("https://kms-fips.us-gov-west-1.amazonaws.com", OUR_KEY, True),
        ("https://kms.cn-north-1.amazonaws.com.cn", OUR_KEY, True),
        ("https://kms.eu-west-1.api.aws:443/", OUR_KEY, True),
        ("https://vpce-0a1b2c-3d4e.kms.us-east-1.vpce.amazonaws.com", OUR_KEY, True),
        ("https://kms.us-east-1.amazonaws.com.example.org", OUR_KEY, False),
        ("https://kms.example.org:8443", {}, True),
        ("https://kms.example.org:8443", OUR_KEY, False),
        ("https://kms.example.org:8443", {"KMS_AGENT_CLIENT_CERTIFICATE": "/c.pem"}, False),
        ("http://127.0.0.1:4599", {"AWS_SHARED_CREDENTIALS_FILE": "/credentials"}, False),
        ("http://127.0.0.1:4599", {"AWS_PROFILE": "ann"}, True),
        ("unix:///run/kms-agent/agent.sock", {}, False),
        ("https://[", {}, False),
    ],
)
def test_who_is_asked_through_boto3(url: str, environ: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a table
    """AWS is, and whom the agent's own client has nothing to prove itself to with."""
    assert aws.serves(url, environ) is expected


@pytest.fixture
def service(agent: RunningAgent, profile: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AwsKms:
    """The agent's plain port, by way of boto3."""
    for name in ports.OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    for name, value in profile.items():
        monkeypatch.setenv(name, value)
    return AwsKms(ports.doors(agent)[1], 20)


def test_answers_are_those_of_the_agent(service: AwsKms, agent: RunningAgent, key_arn: str) -> None:
    """Blobs, names and moments come over as they are."""
    context = {"kmsfs:volume": "00" * 16}
    made = kms.generate_data_key(service, key_arn, context)
    assert made.key_arn == key_arn
    assert made.key_material_id is not None
    with agent.client() as client:
        request = DecryptRequest(ciphertext_blob=made.blob, encryption_context=context)
        assert client.call(operations.DECRYPT, request).plaintext == made.plaintext
        described = DescribeKeyRequest(key_id=key_arn)
        expected = client.call(operations.DESCRIBE_KEY, described).key_metadata
        use = ports.make_key(agent, "root")
    assert kms.decrypt(service, key_arn, made.blob, context) == made.plaintext
    as_root = AwsKms(ports.doors(agent)[1], 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", use["aws_access_key_id"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", use["aws_secret_access_key"])
        metadata = as_root.call(operations.DESCRIBE_KEY, described).key_metadata
    assert metadata.current_key_material_id == expected.current_key_material_id == made.key_material_id
    assert metadata.creation_date == pytest.approx(expected.creation_date, abs=1)
    assert replace(metadata, creation_date=None) == replace(expected, creation_date=None)


def test_refusals_are_those_of_the_agent(service: AwsKms, agent: RunningAgent, key_arn: str) -> None:
    """Each is the exception that the agent's own client raises."""
    request = GenerateDataKeyRequest(key_id=key_arn, number_of_bytes=32)
    with pytest.raises(errors.AccessDeniedException):
        service.call(operations.DESCRIBE_KEY, DescribeKeyRequest(key_id=key_arn))
    assert kms.current_material(service, key_arn) is None
    another = key_arn[:-1] + ("1" if key_arn.endswith("0") else "0")
    with pytest.raises(errors.NotFoundException):
        service.call(operations.GENERATE_DATA_KEY, replace(request, key_id=another))
    assert agent.command("key", "disable", key_arn).returncode == 0
    with pytest.raises(errors.DisabledException, match="disabled"):
        service.call(operations.GENERATE_DATA_KEY, request)
    with pytest.raises(errors.UnknownOperationException, match="agent's own"):
        service.call(operations.ADMINISTRATION["ListIdentityPolicies"], Empty())


def test_whoever_cannot_be_asked_is_said(
    service: AwsKms, key_arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody at the address, and no credentials, are two things, each with a way out."""
    nobody = AwsKms("http://127.0.0.1:1", 20)
    with pytest.raises(AgentUnavailableError, match="Could not connect"):
        nobody.call(operations.DESCRIBE_KEY, DescribeKeyRequest(key_id=key_arn))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(CredentialsError, match="AWS_PROFILE"):
        service.call(operations.DESCRIBE_KEY, DescribeKeyRequest(key_id=key_arn))


@pytest.mark.parametrize(("mode", "door"), [("bucket", 2), ("direct", 1)], ids=["https", "http"])
def test_a_volume_under_a_key_of_aws(
    place: Place, agent: RunningAgent, key_arn: str, mode: str, door: int
) -> None:
    """Such a volume is made, used and mounted like any other; with its key disabled it is not."""
    url = ports.doors(agent)[door]
    place.init("--key", key_arn, "--mode", mode, "--agent", url)
    mounted = place.mount("--agent", url)
    assert mounted.returncode == 0, mounted.stderr
    for index in range(5):
        (place.mountpoint / f"file{index}").write_text(f"content {index}")
    assert place.umount().returncode == 0
    assert place.has_ended()
    read = place.kmsfs("cat", "--agent", url, place.ciphertext, "file3")
    assert (read.returncode, read.stdout) == (0, "content 3"), read.stderr
    assert agent.command("key", "disable", key_arn).returncode == 0
    refused = place.mount("--agent", url)
    assert refused.returncode == 7
    assert "is disabled" in refused.stderr


def test_without_boto3_the_extra_is_named(place: Place, key_arn: str) -> None:
    """Where the extra is not installed, the error says which one."""
    absent = place.directory / "absent"
    absent.mkdir()
    (absent / "boto3.py").write_text("raise ModuleNotFoundError('boto3')\n")
    place.environ["PYTHONPATH"] = str(absent)
    result = place.kmsfs(
        "init", "--key", key_arn, "--agent", "https://kms.us-east-1.amazonaws.com", place.ciphertext
    )
    assert result.returncode == 6
    assert "pip install 'kmsfs[aws]'" in result.stderr
    assert not place.ciphertext.exists()
    shutil.rmtree(absent)
