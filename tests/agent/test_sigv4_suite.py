"""Signature Version 4 against AWS's published test suite, and against what botocore signs."""

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sigv4.canonical import HttpRequest, Scope, canonical_request, signature, string_to_sign
from agent.sigv4.signing import Credentials, sign

SUITE = json.loads((Path(__file__).parents[1] / "vectors" / "sigv4-suite.json").read_text())
SCOPE = Scope("20150830", SUITE["region"], SUITE["service"])
SUITE_EPOCH_SECONDS = 1_440_938_160
ENDPOINT = "http://127.0.0.1:4599"


def read_request(text: str) -> HttpRequest:
    """Read a request as the suite writes them: folded headers, and no encoding of the target."""
    head, _, body = text.partition("\n\n")
    first, *lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
    method, _, rest = first.partition(" ")
    pairs = [line.partition(":") for line in lines]
    headers = tuple((name.lower().encode(), value.strip().encode()) for name, _, value in pairs)
    return HttpRequest(method.encode(), rest.removesuffix(" HTTP/1.1").encode(), headers, body.encode())


@pytest.mark.parametrize("case", SUITE["cases"], ids=[case["name"] for case in SUITE["cases"]])
def test_a_published_case_has_its_canonical_request_and_signature(case: dict[str, Any]) -> None:
    """Canonical request, string to sign and signature are those of AWS's test suite, byte for byte."""
    request = read_request(case["request"])
    names = re.search(r"SignedHeaders=([^,]*)", case["authorization"])
    assert names is not None
    signed_names = names[1].encode().split(b";")
    assert canonical_request(request, signed_names).decode() == case["canonical_request"]
    to_sign = string_to_sign(request, signed_names, "20150830T123600Z", SCOPE)
    digest = hashlib.sha256(case["canonical_request"].encode()).hexdigest()
    assert to_sign.decode() == f"AWS4-HMAC-SHA256\n20150830T123600Z\n{SCOPE}\n{digest}"
    found = signature(SUITE["secret_access_key"], SCOPE, to_sign)
    assert case["authorization"].endswith(f"Signature={found}")


def test_the_signer_writes_the_suites_authorization_header() -> None:
    """Signing adds the date and the Authorization header as the suite has them."""
    request = HttpRequest(b"POST", b"/", ((b"host", b"example.amazonaws.com"),), b"")
    credentials = Credentials(SUITE["access_key_id"], SUITE["secret_access_key"])
    headers = sign(
        request, credentials, region="us-east-1", service="service", epoch_seconds=SUITE_EPOCH_SECONDS
    )
    case = next(case for case in SUITE["cases"] if case["name"] == "post-vanilla")
    assert headers == (
        (b"x-amz-date", b"20150830T123600Z"),
        (b"authorization", case["authorization"].encode()),
    )


@given(
    body=st.binary(max_size=200),
    token=st.none() | st.text("abcXYZ019+/=", min_size=1, max_size=50),
    headers=st.dictionaries(
        st.sampled_from(["X-Amz-Target", "Content-Type", "Accept"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    ),
    secret=st.text("abcXYZ019+/", min_size=1, max_size=40),
)
def test_the_signer_agrees_with_botocore(
    body: bytes, token: str | None, headers: dict[str, str], secret: str
) -> None:
    """Whatever is in a request, botocore and this signer write the same signature."""
    theirs = botocore.awsrequest.AWSRequest("POST", ENDPOINT + "/", dict(headers), body)
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", secret, token)
    botocore.auth.SigV4Auth(credentials, "kms", "eu-central-1").add_auth(theirs)
    signed_at = dt.datetime.fromisoformat(theirs.headers["X-Amz-Date"])
    sent = ((name.lower().encode(), value.encode()) for name, value in headers.items())
    request = HttpRequest(b"POST", b"/", ((b"host", b"127.0.0.1:4599"), *sent), body)
    ours = sign(
        request,
        Credentials("AKIDEXAMPLE", secret, token),
        region="eu-central-1",
        service="kms",
        epoch_seconds=signed_at.timestamp(),
    )
    assert dict(ours)[b"authorization"].decode() == theirs.headers["Authorization"]


def test_no_representation_has_a_secret() -> None:
    """Credentials and requests do not show what must not be seen."""
    credentials = Credentials("AKIDEXAMPLE", "s3cret", "t0ken")
    request = HttpRequest(b"POST", b"/", ((b"authorization", b"s3cret"),), b"s3cret")
    assert "s3cret" not in repr((credentials, request))
    assert "t0ken" not in repr(credentials)
