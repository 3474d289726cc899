"""A real agent on a TCP port, asked by boto3 unchanged and by requests that are not as they were signed."""

import datetime as dt
import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import ports
from agents import RunningAgent
from ports import error_of, kms

MISMATCH = "The request signature we calculated does not match the signature you provided."
UNKNOWN = "The security token included in the request is invalid."


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    """An agent with a plain port on loopback and two Regions, for all tests that may share one."""
    with ports.running({}, regions=["eu-central-1"]) as agent:
        yield agent


@pytest.fixture
def url(agent: RunningAgent) -> str:
    """The address of its port."""
    return ports.doors(agent)[1]


@pytest.fixture(scope="module")
def root(agent: RunningAgent) -> dict[str, str]:
    """An access key of the account's root."""
    return ports.make_key(agent, "root")


def sent(
    url: str,
    key: dict[str, str],
    *,
    body: bytes = b"{}",
    at: dt.timedelta | None = None,
    service: str = "kms",
    change: Callable[[dict[str, str]], None] = lambda _headers: None,
    sent_body: bytes | None = None,
    target: str = "/",
) -> tuple[int, dict[str, Any]]:
    """Have botocore sign a ListKeys, change it on its way, and return status and answer."""
    headers = {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
    request = botocore.awsrequest.AWSRequest("POST", url + target, headers, body)
    signer = botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(key["aws_access_key_id"], key["aws_secret_access_key"]),
        service,
        "local",
    )
    signer.add_auth(request)
    if at is not None:
        moment = (dt.datetime.now(dt.UTC) + at).strftime("%Y%m%dT%H%M%SZ")
        request.headers.replace_header("X-Amz-Date", moment)
        request.context["timestamp"] = moment
        del request.headers["Authorization"]
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    host, port = ports.address(url)
    final = {"Host": f"{host}:{port}", **dict(request.headers.items())}
    change(final)
    return post(url, final, body if sent_body is None else sent_body, target)


def post(url: str, headers: dict[str, str], body: bytes, target: str = "/") -> tuple[int, dict[str, Any]]:
    """Send a request as it is."""
    connection = http.client.HTTPConnection(*ports.address(url), timeout=60)
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_boto3_works_unchanged(agent: RunningAgent, url: str, root: dict[str, str]) -> None:
    """With an endpoint and an access key, boto3 makes a key and uses it; the record has who, from where."""
    client = kms(url, root)
    key_id = client.create_key(Description="by boto3")["KeyMetadata"]["KeyId"]
    blob = client.encrypt(KeyId=key_id, Plaintext=b"hello", EncryptionContext={"a": "bc"})["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "bc"})["Plaintext"] == b"hello"
    record = ports.records(agent)[-1]
    assert (record["eventName"], record["sourceIPAddress"]) == ("Decrypt", "127.0.0.1")
    assert record["userIdentity"]["accessKeyId"] == root["aws_access_key_id"]
    assert root["aws_secret_access_key"] not in agent.audit_path.read_text() + agent.log_path.read_text()


def test_the_region_is_the_one_that_was_signed_for(url: str, root: dict[str, str]) -> None:
    """The credential scope says whose keys are meant; a Region that is not served is refused."""
    key = kms(url, root, region="eu-central-1").create_key()["KeyMetadata"]
    assert key["Arn"].startswith("arn:aws:kms:eu-central-1:")
    assert key["KeyId"] not in [entry["KeyId"] for entry in kms(url, root).list_keys()["Keys"]]
    code, message = error_of(kms(url, root), "describe_key", KeyId=key["Arn"])
    assert (code, message) == ("NotFoundException", "Invalid arn eu-central-1")
    code, message = error_of(kms(url, root, region="us-east-1"), "list_keys")
    assert (code, message.strip()) == (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region.",
    )


def test_wrong_secrets_and_unknown_keys_are_told_apart_as_by_aws(
    agent: RunningAgent, url: str, root: dict[str, str]
) -> None:
    """A wrong secret is a wrong signature; an unknown, disabled or deleted key is an invalid token."""
    own = ports.make_key(agent, "root")
    wrong = root | {"aws_secret_access_key": root["aws_secret_access_key"][::-1]}
    code, message = error_of(kms(url, wrong), "list_keys")
    assert (code, message.startswith(MISMATCH)) == ("InvalidSignatureException", True)
    unknown = root | {"aws_access_key_id": "AKIA" + "A" * 16}
    assert error_of(kms(url, unknown), "list_keys") == ("UnrecognizedClientException", UNKNOWN)
    client = kms(url, own)
    for verb, works in (("disable", False), ("enable", True), ("delete", False)):
        ports.command(agent, "access-key", verb, own["aws_access_key_id"])
        if works:
            client.list_keys()
        else:
            assert error_of(client, "list_keys") == ("UnrecognizedClientException", UNKNOWN)


def test_a_session_needs_its_token(agent: RunningAgent, url: str, root: dict[str, str]) -> None:
    """Temporary credentials work with their token only, as the role's session; ended, they are invalid."""
    session = ports.make_session(agent, "role/team/backup", "--name", "nightly", "--tag", "team=storage")
    code, message = error_of(kms(url, session), "create_key")
    assert code == "AccessDeniedException"
    assert "arn:aws:sts::000000000000:assumed-role/backup/nightly" in message
    for token in ("wrong", None):
        other = {name: value for name, value in (session | {"aws_session_token": token}).items() if value}
        assert error_of(kms(url, other), "list_keys") == ("UnrecognizedClientException", UNKNOWN)
    with_token = root | {"aws_session_token": session["aws_session_token"]}
    assert error_of(kms(url, with_token), "list_keys") == ("UnrecognizedClientException", UNKNOWN)
    ports.command(agent, "access-key", "delete", session["aws_access_key_id"])
    assert error_of(kms(url, session), "list_keys") == ("UnrecognizedClientException", UNKNOWN)
    assert session["aws_session_token"] not in agent.audit_path.read_text() + agent.log_path.read_text()


def test_a_clock_may_be_wrong_by_fifteen_minutes(url: str, root: dict[str, str]) -> None:
    """A signature is good for a quarter of an hour either way, and refused with the three times then."""
    for minutes in (-14, 14):
        assert sent(url, root, at=dt.timedelta(minutes=minutes))[0] == 200
    status, answer = sent(url, root, at=dt.timedelta(minutes=-16))
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["Message"].startswith("Signature expired: ")
    assert answer["Message"].endswith(" - 15 min.)")
    status, answer = sent(url, root, at=dt.timedelta(minutes=16))
    assert answer["Message"].startswith("Signature not yet current: ")


def test_a_request_can_be_sent_again_while_its_signature_is_good(url: str, root: dict[str, str]) -> None:
    """As on AWS, a copy of a signed request is taken again; it is TLS that keeps copies from being made."""
    kept: dict[str, str] = {}
    assert sent(url, root, change=kept.update)[0] == 200
    assert post(url, kept, b"{}")[0] == 200


def dropped(name: str) -> Callable[[dict[str, str]], None]:
    """Return a change that takes a header away."""
    return lambda headers: headers.pop(name) and None


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"sent_body": b'{"Limit":1}'}, "InvalidSignatureException", MISMATCH),
        (
            {"change": lambda headers: headers.update({"X-Amz-Target": "TrentService.CreateKey"})},
            "InvalidSignatureException",
            MISMATCH,
        ),
        (
            {"change": lambda headers: headers.update({"Host": "elsewhere:1"})},
            "InvalidSignatureException",
            MISMATCH,
        ),
        (
            {"change": lambda headers: headers.update({"X-Amz-Added": "x"})},
            "InvalidSignatureException",
            "'X-Amz-Added' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            {"change": dropped("Authorization")},
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        ),
        (
            {"change": dropped("X-Amz-Date")},
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ),
        (
            {"service": "dynamodb"},
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'kms'.",
        ),
        (
            {"target": "/?X-Amz-Algorithm=AWS4-HMAC-SHA256", "change": dropped("Authorization")},
            "IncompleteSignatureException",
            "Signatures in the query string are not accepted",
        ),
    ],
)
def test_a_request_that_is_not_as_it_was_signed(
    url: str, root: dict[str, str], options: dict[str, Any], code: str, message: str
) -> None:
    """Body, operation, host, headers: whatever was changed on the way, it is refused in AWS's words."""
    if "target" in options:
        host, port = ports.address(url)
        status, answer = post(url, {"Host": f"{host}:{port}"}, b"{}", options["target"])
    else:
        status, answer = sent(url, root, **options)
    assert (status, answer["__type"]) == (400, code)
    assert answer["Message"].startswith(message)


def test_a_refused_stranger_is_recorded(make_agent: Callable[[], RunningAgent]) -> None:
    """Who cannot prove who they are is recorded as unknown, with the key they claim, and sees no status."""
    agent = make_agent()
    (url,) = ports.start(agent, {})
    root = ports.make_key(agent, "root")
    error_of(kms(url, root | {"aws_secret_access_key": "wrong"}), "list_keys")
    record = ports.records(agent)[-1]
    assert record["eventName"] == "ListKeys"
    assert record["userIdentity"] == {"type": "Unknown", "accessKeyId": root["aws_access_key_id"]}
    assert (record["errorCode"], record["sourceIPAddress"]) == ("InvalidSignatureException", "127.0.0.1")
    connection = http.client.HTTPConnection(*ports.address(url), timeout=60)
    connection.request("GET", "/status")
    assert connection.getresponse().status == 400
    connection.close()


def test_strangers_cannot_fill_the_log(make_agent: Callable[[], RunningAgent]) -> None:
    """Of many refusals few are recorded, and those who can prove who they are still are."""
    agent = make_agent()
    (url,) = ports.start(agent, {})
    root = ports.make_key(agent, "root")
    before = len(ports.records(agent))
    for _ in range(200):
        assert post(url, {"X-Amz-Target": "TrentService.Decrypt"}, b"{}")[0] == 400
    refused = ports.records(agent)[before:]
    assert 20 <= len(refused) < 100
    assert {record["errorCode"] for record in refused} == {"MissingAuthenticationTokenException"}
    kms(url, root).list_keys()
    assert ports.records(agent)[-1]["userIdentity"]["type"] == "Root"
