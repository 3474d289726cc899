"""Verification of signatures: who passes, and AWS's words for each fault."""

import datetime as dt
from dataclasses import replace

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.api.errors import (
    CommonError,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
)
from agent.authn.sigv4 import Claim, read_claim, verify
from agent.sigv4.canonical import HttpRequest, Scope, signature, string_to_sign
from agent.sigv4.signing import Credentials, sign

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
REGIONS = frozenset({"local", "eu-central-1"})
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # noqa: S105 - of the published test suite
KEY = Credentials("AKIDEXAMPLE", SECRET)
UNSIGNED = HttpRequest(
    b"POST",
    b"/",
    (
        (b"host", b"kms.example:4599"),
        (b"content-type", b"application/x-amz-json-1.1"),
        (b"x-amz-target", b"TrentService.ListKeys"),
    ),
    b"{}",
)
HASHED = "(Hashed with SHA-256 and encoded with Base64) Authorization="
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)


def signed(request: HttpRequest = UNSIGNED, *, region: str = "local", at: float = NOW) -> HttpRequest:
    """Sign a request as a client would."""
    added = sign(request, KEY, region=region, service="kms", epoch_seconds=at)
    return replace(request, headers=(*request.headers, *added))


def claimed(request: HttpRequest) -> Claim:
    """Read the claim of a request at the tests' time."""
    return read_claim(request, regions=REGIONS, now=NOW)


def with_header(request: HttpRequest, name: bytes, value: bytes | None) -> HttpRequest:
    """Change a header, or drop it."""
    kept = tuple(pair for pair in request.headers if pair[0] != name)
    return replace(request, headers=kept if value is None else (*kept, (name, value)))


def header(request: HttpRequest, name: bytes) -> bytes:
    """Return a header that is there."""
    return dict(request.headers)[name]


def edited(old: bytes, new: bytes) -> HttpRequest:
    """Sign, then edit the Authorization header."""
    request = signed()
    value = header(request, b"authorization")
    assert old in value
    return with_header(request, b"authorization", value.replace(old, new))


def test_a_signed_request_passes() -> None:
    """A request as it was signed is its signer's, in each Region that is served, and within the skew."""
    for region in REGIONS:
        for at in (NOW, NOW - 900, NOW + 900):
            claim = claimed(signed(region=region, at=at))
            assert (claim.access_key_id, claim.scope.region) == ("AKIDEXAMPLE", region)
            assert claim.session_token is None
            verify(claim, SECRET)


def test_what_botocore_signs_passes() -> None:
    """A request of botocore's, session token included, is verified."""
    request = botocore.awsrequest.AWSRequest(
        "POST",
        "https://kms.example:4599/",
        {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"},
        b"{}",
    )
    credentials = botocore.credentials.Credentials("ASIDEXAMPLE", SECRET, "tok/en+==")
    botocore.auth.SigV4Auth(credentials, "kms", "eu-central-1").add_auth(request)
    headers = [(b"host", b"kms.example:4599")]
    headers += [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    received = HttpRequest(b"POST", b"/", tuple(headers), b"{}")
    claim = read_claim(received, regions=REGIONS, now=dt.datetime.now(dt.UTC).timestamp())
    assert claim.session_token == credentials.token
    verify(claim, SECRET)


def test_a_date_header_will_do() -> None:
    """Without X-Amz-Date, a signed Date header is the request's time, in either of its forms."""
    for value in (b"Fri, 15 Jan 2027 08:00:00 GMT", b"20270115T080000Z"):
        request = with_header(UNSIGNED, b"date", value)
        names = sorted(name for name, _ in request.headers)
        scope = Scope("20270115", "local", "kms")
        proof = signature(SECRET, scope, string_to_sign(request, names, "20270115T080000Z", scope))
        authorization = b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/%s, SignedHeaders=%s, Signature=%s" % (
            str(scope).encode(),
            b";".join(names),
            proof.encode(),
        )
        verify(claimed(with_header(request, b"authorization", authorization)), SECRET)


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (UNSIGNED, MissingAuthenticationTokenException, "Request is missing Authentication Token"),
        (
            with_header(UNSIGNED, b"authorization", b"Bearer abc"),
            MissingAuthenticationTokenException,
            "Request is missing Authentication Token",
        ),
        (
            with_header(UNSIGNED, b"authorization", b" , "),
            MissingAuthenticationTokenException,
            "Request is missing Authentication Token",
        ),
        (
            replace(UNSIGNED, target=b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x"),
            IncompleteSignatureException,
            "Signatures in the query string are not accepted; sign with the Authorization header.",
        ),
        (
            replace(signed(), target=b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256"),
            InvalidSignatureException,
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        ),
        (
            with_header(UNSIGNED, b"authorization", b"AWS4-HMAC-SHA256 Credential=, SignedHeaders=host"),
            IncompleteSignatureException,
            "Authorization header requires 'Credential' parameter. "
            "Authorization header requires 'Signature' parameter. "
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
            + HASHED
            + "k3t9rrRN2cVHw4uSbRaqv0dzsB5HFn4J2PFi0EP6a04=",
        ),
        (
            edited(b"Credential=", b"Credential= "),
            IncompleteSignatureException,
            (
                "Invalid key=value pair (missing equal-sign) in Authorization header "
                "(hashed with SHA-256 and encoded with Base64): "
            ),
        ),
        (
            edited(b", Signature", b", SignedHeaders=host, Signature"),
            IncompleteSignatureException,
            "Authorization header has 'SignedHeaders' more than once.",
        ),
        (
            with_header(signed(), b"authorization", b"AWS4-HMAC-SHA256 " + b"x" * 5000),
            IncompleteSignatureException,
            "Authorization header must not be longer than 4096 bytes.",
        ),
        (
            with_header(signed(), b"x-amz-date", b"201"),
            IncompleteSignatureException,
            "Date must be in ISO-8601 'basic format'. Got '201'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (
            signed(at=NOW - 901),
            InvalidSignatureException,
            (
                "Signature expired: 20270115T074459Z is now earlier than 20270115T074500Z "
                "(20270115T080000Z - 15 min.)"
            ),
        ),
        (
            signed(at=NOW + 901),
            InvalidSignatureException,
            (
                "Signature not yet current: 20270115T081501Z is still later than 20270115T081500Z "
                "(20270115T080000Z + 15 min.)"
            ),
        ),
        (
            edited(b"content-type;host;", b"content-type;"),
            InvalidSignatureException,
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            edited(b";x-amz-target", b""),
            InvalidSignatureException,
            "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            edited(b"x-amz-date;", b""),
            InvalidSignatureException,
            "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            with_header(signed(), b"x-amz-security-token", b"added"),
            InvalidSignatureException,
            "'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            with_header(
                with_header(signed(), b"x-amz-date", None), b"date", b"Fri, 15 Jan 2027 08:00:00 GMT"
            ),
            InvalidSignatureException,
            "'Date' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            replace(signed(), headers=(*signed().headers, (b"x-amz-target", b"TrentService.Decrypt"))),
            InvalidSignatureException,
            "'X-Amz-Target' must not be given more than once.",
        ),
        (
            edited(b"content-type;host", b"Host;content-type"),
            IncompleteSignatureException,
            (
                "'SignedHeaders' must be names of headers in lower case, sorted, separated by semicolons, "
                "at most 64."
            ),
        ),
        (
            edited(b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"),
            IncompleteSignatureException,
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now).",
        ),
        (
            edited(b"/aws4_request", b""),
            IncompleteSignatureException,
            (
                "Credential must have exactly 5 slash-delimited elements, "
                "e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20270115/local/kms'"
            ),
        ),
        (
            edited(b"AKIDEXAMPLE/20270115/local/kms/aws4_request", b"AKIDEXAMPLE/20270114/mars/s3/aws5"),
            InvalidSignatureException,
            (
                "Credential should be scoped to a valid region. "
                "Credential should be scoped to correct service: 'kms'. "
                "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. "
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                "'20270114' != '20270115', from '20270115T080000Z'."
            ),
        ),
        (
            edited(b"/local/", b"/us-east-1/"),
            InvalidSignatureException,
            "Credential should be scoped to a valid region. ",
        ),
        (edited(b"Signature=", b"Signature=0"), InvalidSignatureException, MISMATCH),
        (
            signed(with_header(UNSIGNED, b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")),
            InvalidSignatureException,
            "The provided 'x-amz-content-sha256' header does not match what was computed. ",
        ),
        (
            signed(with_header(UNSIGNED, b"x-amz-content-sha256", b"e3" * 32)),
            InvalidSignatureException,
            "The provided 'x-amz-content-sha256' header does not match what was computed. ",
        ),
    ],
)
def test_each_fault_has_awss_words(request_: HttpRequest, error: type[CommonError], message: str) -> None:
    """What can be found wrong without the secret is told in AWS's words, in AWS's order."""
    with pytest.raises(error) as caught:
        claimed(request_)
    assert caught.type is error
    assert caught.value.message.startswith(message)
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    "names",
    [
        b"",
        b"Content-Type;host;x-amz-date;x-amz-target",
        b"host;content-type;x-amz-date;x-amz-target",
        b"content-type;content-type;host;x-amz-date;x-amz-target",
        b"content-type;;host;x-amz-date;x-amz-target",
        b"content-type;host;x-amz-date;x-amz-target;",
        b"content:type;host;x-amz-date;x-amz-target",
        b";".join(sorted([b"host", b"x-amz-date", b"x-amz-target", *(b"y%02d" % n for n in range(62))])),
    ],
)
def test_signed_headers_are_written_in_one_way(names: bytes) -> None:
    """Names that are empty, repeated, out of order or too many are refused before anything is hashed."""
    with pytest.raises(IncompleteSignatureException):
        claimed(edited(b"content-type;host;x-amz-date;x-amz-target", names))


@pytest.mark.parametrize(
    "changed",
    [
        replace(signed(), body=b'{"Limit":1}'),
        replace(signed(), method=b"GET"),
        replace(signed(), target=b"/other"),
        replace(signed(), target=b"/?a=b"),
        with_header(signed(), b"host", b"evil.example"),
        with_header(signed(), b"x-amz-target", b"TrentService.ScheduleKeyDeletion"),
        with_header(signed(), b"content-type", b"application/json"),
        with_header(signed(), b"x-amz-date", b"20270115T080001Z"),
        edited(b"/local/", b"/eu-central-1/"),
        edited(b"Signature=", b"Signature=" + b"0" * 64 + b",X="),
    ],
)
def test_a_changed_request_is_nobodys(changed: HttpRequest) -> None:
    """A request that was changed after it was signed does not verify."""
    with pytest.raises(InvalidSignatureException) as caught:
        verify(claimed(changed), SECRET)
    assert caught.value.message == MISMATCH


def test_another_secret_does_not_verify() -> None:
    """The signature is the secret's, not the key id's."""
    claim = claimed(signed())
    with pytest.raises(InvalidSignatureException):
        verify(claim, SECRET[:-1])
    verify(claim, SECRET)


@given(position=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"))
def test_no_other_signature_verifies(position: int, digit: str) -> None:
    """Of all signatures that differ in a digit, none is taken."""
    claim = claimed(signed())
    other = claim.signature[:position] + digit + claim.signature[position + 1 :]
    if other != claim.signature:
        with pytest.raises(InvalidSignatureException):
            verify(replace(claim, signature=other), SECRET)


def test_a_signed_content_hash_is_checked_and_taken() -> None:
    """X-Amz-Content-Sha256 with the hash of the body changes nothing."""
    digest = b"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
    verify(claimed(signed(with_header(UNSIGNED, b"x-amz-content-sha256", digest))), SECRET)


def test_a_signed_header_that_is_absent_does_not_verify() -> None:
    """A name in SignedHeaders without its header is refused, not taken for an empty value."""
    with pytest.raises(InvalidSignatureException) as caught:
        claimed(with_header(signed(), b"content-type", None))
    assert caught.value.message == MISMATCH
