"""Fuzz target: any headers give a claim that only its secret proves, or one of AWS's three errors for them.

The targets can be given to a coverage-guided fuzzer as they are. Here Hypothesis drives them, with whole,
cut, doubled and damaged Authorization headers in between.
"""

from hypothesis import given
from hypothesis import strategies as st

from agent.api.errors import (
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
)
from agent.authn.sigv4 import read_claim, verify
from agent.sigv4.canonical import HttpRequest
from agent.sigv4.signing import Credentials, sign
from fuzzing import examples

NOW = 1_800_000_000.0
REGIONS = frozenset({"local"})
REFUSALS = (IncompleteSignatureException, InvalidSignatureException, MissingAuthenticationTokenException)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # noqa: S105 - of the published test suite
PLAIN = HttpRequest(
    b"POST", b"/", ((b"host", b"127.0.0.1"), (b"x-amz-target", b"TrentService.ListKeys")), b"{}"
)
ADDED = sign(PLAIN, Credentials("AKIDEXAMPLE", SECRET), region="local", service="kms", epoch_seconds=NOW)
GOOD = dict(ADDED)[b"authorization"]
NAMES = (b"authorization", b"date", b"host", b"x-amz-content-sha256", b"x-amz-date", b"x-amz-security-token")
MAX_MESSAGE = 1024
PIECES = (
    b"AWS4-HMAC-SHA256",
    b" ",
    b",",
    b"=",
    b";",
    b"/",
    b"Credential=AKIDEXAMPLE/20270115/local/kms/aws4_request",
    b"SignedHeaders=host;x-amz-date;x-amz-target",
    b"Signature=" + b"0" * 64,
    b"SignedHeaders=" + b"a;" * 65,
    b"\xff",
)


def fuzz_authorization(header: bytes) -> None:
    """Any bytes: AWS's error, or a claim that verifies only if the header is the one that was signed."""
    request = HttpRequest(
        PLAIN.method, PLAIN.target, (*PLAIN.headers, ADDED[0], (b"authorization", header)), PLAIN.body
    )
    try:
        claim = read_claim(request, regions=REGIONS, now=NOW)
        verify(claim, SECRET)
    except REFUSALS as error:
        if len(error.message) > MAX_MESSAGE:
            raise AssertionError("what a client sends must not fill the audit log") from error
        return
    assert claim.access_key_id in header.decode("ascii")
    assert dict(ADDED)[b"authorization"].rpartition(b"=")[2] in header


def fuzz_headers(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Any headers: AWS's error, or a claim that the secret does not prove."""
    request = HttpRequest(b"POST", b"/", headers, b"{}")
    try:
        verify(read_claim(request, regions=REGIONS, now=NOW), SECRET)
    except REFUSALS:
        return
    raise AssertionError("nobody signed this")


@examples(500)
@given(
    st.one_of(
        st.binary(max_size=5000),
        st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
        st.integers(0, len(GOOD)).map(lambda length: GOOD[:length]),
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=2)).map(
            lambda damage: GOOD[: damage[0]] + damage[1] + GOOD[damage[0] + 1 :]
        ),
        st.just(GOOD),
    )
)
def test_authorization_headers(header: bytes) -> None:
    """The target holds for arbitrary, assembled, cut and damaged headers."""
    fuzz_authorization(header)


@examples(500)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.one_of(
                st.binary(max_size=60),
                st.sampled_from(
                    (GOOD, b"20270115T080000Z", b"Fri, 15 Jan 2027 08:00:00 -0000", b"20270231T080000Z")
                ),
                st.text("0123456789TZ:, +-JanFri", max_size=40).map(str.encode),
            ),
        ),
        max_size=8,
    ).map(tuple)
)
def test_sets_of_headers(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """The target holds for absent, repeated and senseless headers, dates above all."""
    fuzz_headers(headers)
