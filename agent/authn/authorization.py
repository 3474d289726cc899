"""The Authorization header of Signature Version 4: its strict grammar, and AWS's words for each fault in it.

Pure. Knows nothing of keys, time or the rest of the request.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from agent.api.errors import (
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
)
from agent.sigv4.canonical import ALGORITHM, TERMINATOR, Scope

_MAX_HEADER_BYTES: Final = 4096
_MAX_SIGNED_HEADERS: Final = 64
_PARAMETERS: Final = ("Credential", "Signature", "SignedHeaders")
_SEPARATORS: Final = re.compile(r"[, ]+")
_CREDENTIAL_PARTS: Final = 5
_ACCESS_KEY_ID: Final = re.compile(r"[A-Za-z0-9_]{1,128}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
# RFC 9110, 5.6.2: token; in lower case, because that is how names are signed.
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")


@dataclass(frozen=True, slots=True)
class Authorization:
    """A well-formed Authorization header; nothing in it has been verified.

    ``terminator`` is the last part of the credential, which has to be ``aws4_request``.
    """

    access_key_id: str
    scope: Scope
    terminator: str
    signed_names: tuple[bytes, ...]
    signature: str = field(repr=False)


def read_parameters(header: bytes, *, has_date: bool) -> tuple[str, dict[str, str]]:
    """Split a header into the algorithm and its parameters, all of which are there.

    Args:
        header: The header's value.
        has_date: Whether the request has a date, whose absence is told together with that of parameters.

    Raises:
        MissingAuthenticationTokenException: The header is of another scheme.
        IncompleteSignatureException: It is no list of key=value pairs, or lacks a parameter.
    """
    if len(header) > _MAX_HEADER_BYTES:
        raise IncompleteSignatureException(
            f"Authorization header must not be longer than {_MAX_HEADER_BYTES} bytes."
        )
    try:
        algorithm, *pairs = filter(None, _SEPARATORS.split(header.decode("ascii")))
    except ValueError:  # not ASCII, or nothing there
        raise missing_token() from None
    if not algorithm.startswith("AWS4-"):
        raise missing_token()
    found: dict[str, str] = {}
    for pair in pairs:
        name, equal_sign, value = pair.partition("=")
        if not equal_sign:
            raise IncompleteSignatureException(
                "Invalid key=value pair (missing equal-sign) in Authorization header "
                f"(hashed with SHA-256 and encoded with Base64): '{_hashed(header)}'."
            )
        if name in found:
            raise IncompleteSignatureException(f"Authorization header has '{name[:64]}' more than once.")
        found[name] = value
    lacking = [f"'{name}' parameter" for name in _PARAMETERS if not found.get(name)]
    if not has_date:
        lacking.append("existence of either a 'X-Amz-Date' or a 'Date' header")
    if lacking:
        reasons = " ".join(f"Authorization header requires {what}." for what in lacking)
        raise IncompleteSignatureException(
            f"{reasons} (Hashed with SHA-256 and encoded with Base64) Authorization={_hashed(header)}"
        )
    return algorithm, found


def read_signed_names(text: str) -> tuple[bytes, ...]:
    """Return the names in SignedHeaders.

    Raises:
        IncompleteSignatureException: They are too many, not sorted, or no names of headers in lower case.
    """
    names = text.split(";")
    if (
        len(names) > _MAX_SIGNED_HEADERS
        or names != sorted(set(names))
        or not all(map(_HEADER_NAME.fullmatch, names))
    ):
        raise IncompleteSignatureException(
            "'SignedHeaders' must be names of headers in lower case, sorted, separated by semicolons, "
            f"at most {_MAX_SIGNED_HEADERS}."
        )
    return tuple(name.encode() for name in names)


def assemble(algorithm: str, parameters: dict[str, str], signed_names: tuple[bytes, ...]) -> Authorization:
    """Check what remains of a header, and return it.

    Raises:
        IncompleteSignatureException: Another algorithm, or the credential has not five parts.
        InvalidSignatureException: The signature cannot be one.
    """
    if algorithm != ALGORITHM:
        raise IncompleteSignatureException(
            f"Unsupported AWS 'algorithm': '{algorithm[:64]}' (only {ALGORITHM} for now)."
        )
    parts = parameters["Credential"].split("/")
    if len(parts) != _CREDENTIAL_PARTS:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{parameters['Credential'][:256]}'"
        )
    access_key_id, date, region, service, terminator = parts
    if not _ACCESS_KEY_ID.fullmatch(access_key_id):
        raise IncompleteSignatureException("Credential must begin with an access key id.")
    if not _SIGNATURE.fullmatch(parameters["Signature"]):
        raise mismatch()
    scope = Scope(date, region, service)
    return Authorization(access_key_id, scope, terminator, signed_names, parameters["Signature"])


def check_scope(authorization: Authorization, regions: frozenset[str], service: str, time_stamp: str) -> None:
    """Refuse a credential that is scoped to something else than this service and the day of the request.

    Raises:
        InvalidSignatureException: Every fault is told.
    """
    scope = authorization.scope
    faults = []
    if scope.region not in regions:
        faults.append("Credential should be scoped to a valid region. ")
    if scope.service != service:
        faults.append(f"Credential should be scoped to correct service: '{service}'. ")
    if authorization.terminator != TERMINATOR:
        shown = authorization.terminator[:64]
        faults.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{shown}'. ")
    if scope.date != time_stamp[:8]:
        faults.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.date[:64]}' != '{time_stamp[:8]}', from '{time_stamp}'."
        )
    if faults:
        raise InvalidSignatureException("".join(faults))


def missing_token() -> MissingAuthenticationTokenException:
    """Return the error for a request that is not signed."""
    return MissingAuthenticationTokenException("Request is missing Authentication Token")


def mismatch() -> InvalidSignatureException:
    """Return the error for a signature that is not the request's."""
    return InvalidSignatureException(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. "
        "Consult the service documentation for details."
    )


def _hashed(header: bytes) -> str:
    return base64.b64encode(hashlib.sha256(header).digest()).decode()
