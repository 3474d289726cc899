"""Verification of AWS Signature Version 4 for the service ``kms``.

Pure: the caller brings request, clock and secret. The order of checks, and so which fault of several is
told, is that of AWS's JSON services. Two halves, ``read_claim`` and ``verify``, because between them somebody
has to look up the secret.

Stricter than AWS in two things. Every ``x-amz-`` header has to be signed, as AWS's guide asks of signers; and
headers that decide what a request means may be given once only.
"""

from __future__ import annotations

import email.utils
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from agent.api.errors import IncompleteSignatureException, InvalidSignatureException
from agent.authn.authorization import (
    assemble,
    check_scope,
    mismatch,
    missing_token,
    read_parameters,
    read_signed_names,
)
from agent.sigv4.canonical import HttpRequest, Scope, payload_hash, signature_by, signing_key, string_to_sign
from agent.sigv4.signing import TIME_FORMAT

if TYPE_CHECKING:
    from agent.sigv4.canonical import Headers

SERVICE: Final = "kms"
SKEW: Final = timedelta(minutes=15)
_BASIC_FORMAT: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PRESIGNED: Final = b"X-Amz-Algorithm"
_CONTENT_HASH: Final = b"x-amz-content-sha256"
_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-type",
        b"date",
        b"host",
        _CONTENT_HASH,
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-target",
    }
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says to have signed a request, and all that is needed to find out whether it is true.

    ``session_token`` is that of temporary credentials.
    """

    access_key_id: str
    scope: Scope
    to_sign: bytes = field(repr=False)
    signature: str = field(repr=False)
    session_token: str | None = field(repr=False)


def read_claim(request: HttpRequest, *, regions: frozenset[str], now: float) -> Claim:
    """Check everything about a request's signature that needs no secret.

    Args:
        request: The request as it was received.
        regions: The Regions that are served.
        now: The time, in seconds since the epoch.

    Raises:
        MissingAuthenticationTokenException: The request is not signed.
        IncompleteSignatureException: The signature is malformed or lacks a part.
        InvalidSignatureException: It is of another time, Region or service, or does not cover enough.
    """
    header = _authorization_header(request)
    _refuse_repeated(request.headers)
    time_header = _first(request.headers, b"x-amz-date") or _first(request.headers, b"date")
    algorithm, parameters = read_parameters(header, has_date=time_header is not None)
    assert time_header is not None, "its absence has been told"
    time_stamp = _read_time(time_header, now)
    signed_names = read_signed_names(parameters["SignedHeaders"])
    _check_signed(request.headers, signed_names)
    authorization = assemble(algorithm, parameters, signed_names)
    check_scope(authorization, regions, SERVICE, time_stamp)
    _check_content_hash(request)
    token = _first(request.headers, b"x-amz-security-token")
    return Claim(
        authorization.access_key_id,
        authorization.scope,
        string_to_sign(request, signed_names, time_stamp, authorization.scope),
        authorization.signature,
        None if token is None else token.decode("latin-1"),
    )


def verify(claim: Claim, secret_access_key: str) -> None:
    """Make sure that a request was signed with this secret.

    Raises:
        InvalidSignatureException: It was signed with another, or changed since.
    """
    verify_by(claim, signing_key(secret_access_key, claim.scope))


def verify_by(claim: Claim, key: bytes) -> None:
    """Make sure that a request was signed with this signing key, which is the claim's scope's.

    Raises:
        InvalidSignatureException: It was signed with another, or changed since.
    """
    expected = signature_by(key, claim.to_sign)
    if not hmac.compare_digest(expected, claim.signature):
        raise mismatch()


def _authorization_header(request: HttpRequest) -> bytes:
    header = _first(request.headers, b"authorization")
    _, _, query = request.target.partition(b"?")
    presigned = any(pair.partition(b"=")[0] == _PRESIGNED for pair in query.split(b"&"))
    if header is None:
        if presigned:
            raise IncompleteSignatureException(
                "Signatures in the query string are not accepted; sign with the Authorization header."
            )
        raise missing_token()
    if presigned:
        raise InvalidSignatureException(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
        )
    return header


def _refuse_repeated(headers: Headers) -> None:
    seen = set()
    for name, _ in headers:
        if name in seen:
            raise InvalidSignatureException(f"'{_shown(name)}' must not be given more than once.")
        if name in _SINGLE:
            seen.add(name)


def _read_time(value: bytes, now: float) -> str:
    """Return the time of a request in ISO 8601 basic format, once it is known to be about now."""
    signed_at = _parse_time(value.decode("latin-1"))
    time_stamp = signed_at.strftime(TIME_FORMAT)
    at = datetime.fromtimestamp(now, UTC).replace(microsecond=0)
    earliest, latest = at - SKEW, at + SKEW
    minutes = SKEW // timedelta(minutes=1)
    if signed_at < earliest:
        raise InvalidSignatureException(
            f"Signature expired: {time_stamp} is now earlier than {earliest:{TIME_FORMAT}} "
            f"({at:{TIME_FORMAT}} - {minutes} min.)"
        )
    if signed_at > latest:
        raise InvalidSignatureException(
            f"Signature not yet current: {time_stamp} is still later than {latest:{TIME_FORMAT}} "
            f"({at:{TIME_FORMAT}} + {minutes} min.)"
        )
    return time_stamp


def _parse_time(text: str) -> datetime:
    """Read ISO 8601 basic format, or what RFC 9110 allows in a Date header."""
    try:
        if _BASIC_FORMAT.fullmatch(text):
            return datetime.fromisoformat(text)
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        raise IncompleteSignatureException(
            f"Date must be in ISO-8601 'basic format'. Got '{text[:64]}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


def _check_signed(headers: Headers, signed_names: tuple[bytes, ...]) -> None:
    """Refuse a signature that leaves out a header which decides what the request means.

    Content-Type is not among them: AWS's SDK for PHP never signs it, and here it can only turn a request
    into a refused one.
    """
    if b"host" not in signed_names:
        raise _must_be_signed("'Host' or ':authority'")
    present = {name for name, _ in headers}
    if b"x-amz-date" not in present and b"date" not in signed_names:
        raise _must_be_signed("'Date'")
    for name in sorted(present):
        if name.startswith(b"x-amz-") and name not in signed_names:
            raise _must_be_signed(f"'{_shown(name)}'")
    for name in signed_names:
        if name not in present:
            raise mismatch()


def _check_content_hash(request: HttpRequest) -> None:
    claimed = _first(request.headers, _CONTENT_HASH)
    if claimed is not None and not hmac.compare_digest(claimed, payload_hash(request.body).encode()):
        raise InvalidSignatureException(
            "The provided 'x-amz-content-sha256' header does not match what was computed. "
            "Payloads have to be signed: UNSIGNED-PAYLOAD and streaming signatures are not accepted."
        )


def _must_be_signed(what: str) -> InvalidSignatureException:
    return InvalidSignatureException(f"{what} must be a 'SignedHeader' in the AWS Authorization.")


def _first(headers: Headers, name: bytes) -> bytes | None:
    return next((value for candidate, value in headers if candidate == name), None)


def _shown(name: bytes) -> str:
    """Return a header's name as people write it."""
    return name[:64].decode("latin-1").title()
