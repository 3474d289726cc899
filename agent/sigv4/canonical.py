"""The steps of Signature Version 4 that both sides share: canonical request, string to sign, signature.

Source: IAM User Guide, "Create a signed AWS API request" (AWS Signature Version 4), for services other than
S3: paths are normalized and encoded once more. Everything is bytes, as it is on the wire.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, values as received, in the order received."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What of a request can be signed. ``target`` is path and query, ``headers`` have lower-case names."""

    method: bytes
    target: bytes
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential scope: for which day (YYYYMMDD), Region and service a signing key is made."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def string_to_sign(
    request: HttpRequest, signed_names: Sequence[bytes], time_stamp: str, scope: Scope
) -> bytes:
    """Return what the signature of a request is made of.

    Args:
        request: The request, with its payload: the hash of the body is always computed here.
        signed_names: The headers to sign, in lower case.
        time_stamp: The request's time, YYYYMMDDTHHMMSSZ.
        scope: The credential scope.
    """
    digest = hashlib.sha256(canonical_request(request, signed_names)).hexdigest()
    return f"{ALGORITHM}\n{time_stamp}\n{scope}\n{digest}".encode()


def canonical_request(request: HttpRequest, signed_names: Sequence[bytes]) -> bytes:
    """Return the canonical form of a request."""
    path, _, query = request.target.partition(b"?")
    names = sorted(set(signed_names))
    return b"\n".join(
        (
            request.method,
            canonical_path(path),
            canonical_query(query),
            *(name + b":" + _canonical_value(request.headers, name) for name in names),
            b"",
            b";".join(names),
            payload_hash(request.body).encode(),
        )
    )


def payload_hash(body: bytes) -> str:
    """Return the hash of a body, in lower-case hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def canonical_path(path: bytes) -> bytes:
    """Return a path without empty and dot segments (RFC 3986, 5.2.4), percent-encoded once more."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    normal = b"/" + b"/".join(kept)
    if kept and path.endswith((b"/", b"/.", b"/..")):
        normal += b"/"
    return quote_from_bytes(normal, safe="/-_.~").encode()


def canonical_query(query: bytes) -> bytes:
    """Return a query's parameters, encoded in one way and sorted by name and value."""
    pairs = [_encoded_pair(pair) for pair in query.split(b"&") if pair]
    return b"&".join(name + b"=" + value for name, value in sorted(pairs))


def signature(secret: str, scope: Scope, to_sign: bytes) -> str:
    """Return the signature in lower-case hexadecimal digits.

    Args:
        secret: The secret access key.
        scope: The scope that its signing key is derived for.
        to_sign: See ``string_to_sign``.
    """
    return signature_by(signing_key(secret, scope), to_sign)


def signing_key(secret: str, scope: Scope) -> bytes:
    """Return what a secret access key signs with on one day, in one Region, for one service."""
    key = b"AWS4" + secret.encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature_by(key: bytes, to_sign: bytes) -> str:
    """Return the signature by a signing key, in lower-case hexadecimal digits."""
    return hmac.digest(key, to_sign, "sha256").hex()


def _encoded_pair(pair: bytes) -> tuple[bytes, bytes]:
    name, _, value = pair.partition(b"=")
    return _encoded_once(name), _encoded_once(value)


def _encoded_once(part: bytes) -> bytes:
    return quote_from_bytes(unquote_to_bytes(part), safe="-_.~").encode()


def _canonical_value(headers: Headers, name: bytes) -> bytes:
    """Return all values of a header, each with its white space reduced to single blanks."""
    return b",".join(b" ".join(value.split()) for candidate, value in headers if candidate == name)
