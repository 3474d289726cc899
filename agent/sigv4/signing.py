"""Signing a request with an access key, as an AWS SDK does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from agent.sigv4.canonical import ALGORITHM, HttpRequest, Scope, signature, string_to_sign

TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; temporary ones have a session token too."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def sign(
    request: HttpRequest, credentials: Credentials, *, region: str, service: str, epoch_seconds: float
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that sign a request: to be sent with it, and after nothing of it changed.

    Every header that the request has is signed.

    Args:
        request: The request with its Host header, without those that this function returns.
        credentials: Who signs.
        region: The Region that is meant.
        service: The service's name in credential scopes, ``kms`` for AWS KMS.
        epoch_seconds: The time of signing.
    """
    time_stamp = datetime.fromtimestamp(epoch_seconds, UTC).strftime(TIME_FORMAT)
    added = [(b"x-amz-date", time_stamp.encode())]
    if credentials.session_token is not None:
        added.append((b"x-amz-security-token", credentials.session_token.encode()))
    complete = HttpRequest(request.method, request.target, (*request.headers, *added), request.body)
    names = sorted({name for name, _ in complete.headers})
    scope = Scope(time_stamp[:8], region, service)
    signed = signature(
        credentials.secret_access_key, scope, string_to_sign(complete, names, time_stamp, scope)
    )
    signed_names = b";".join(names).decode()
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={signed_names}, Signature={signed}"
    )
    return (*added, (b"authorization", authorization.encode()))
