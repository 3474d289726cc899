"""Access keys and the credentials of sessions: whether they are good, and whose they are.

Pure. Knows the records and no store; secrets are not seen here.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from agent.api.enums import AccessKeyStatus
from agent.api.errors import ExpiredTokenException, UnrecognizedClientException
from agent.keys.principal import Principal

if TYPE_CHECKING:
    from agent.keys.identity import AccessKey


def token_digest(session_token: str) -> bytes:
    """Return what is kept of a session token, which is long and random, so nothing slower is needed."""
    return hashlib.sha256(session_token.encode()).digest()


def check_session(record: AccessKey, session_token: str | None, now: float) -> None:
    """Refuse a key that may not be used, after the signature has shown that its holder asks.

    Raises:
        UnrecognizedClientException: The key is inactive, or the session token is not this key's.
        ExpiredTokenException: The session has ended.
    """
    found = b"" if session_token is None else token_digest(session_token)
    if record.status is not AccessKeyStatus.ACTIVE or not hmac.compare_digest(found, record.token_digest):
        raise invalid_token()
    if record.expiration is not None and record.expiration <= now:
        raise ExpiredTokenException("The security token included in the request is expired")


def invalid_token() -> UnrecognizedClientException:
    """Return the error for credentials that are unknown, wrong or inactive, which is not told apart."""
    return UnrecognizedClientException("The security token included in the request is invalid.")


def key_principal(record: AccessKey, *, source_ip: str, secure_transport: bool) -> Principal:
    """Say who signs with an access key.

    Args:
        record: The key.
        source_ip: Where the request came from.
        secure_transport: Whether it came by TLS.
    """
    is_root = record.principal_arn == f"arn:aws:iam::{record.account_id}:root"
    return Principal(
        arn=record.principal_arn,
        account_id=record.account_id,
        principal_id=_principal_id(record, is_root=is_root),
        kind="Account" if is_root else "User" if record.role_arn is None else "AssumedRole",
        role_arn=record.role_arn,
        tags=dict(record.session_tags),
        session_policies=() if record.session_policy is None else (record.session_policy,),
        access_key_id=record.access_key_id,
        source_ip=source_ip,
        secure_transport=secure_transport,
        administrator=is_root,
    )


def _principal_id(record: AccessKey, *, is_root: bool) -> str:
    """Return an identifier as IAM has them; here it says no more than the ARN."""
    if is_root:
        return record.account_id
    name = record.principal_arn.rpartition("/")[2]
    if record.role_arn is None:
        return name
    return f"{record.role_arn.rpartition('/')[2]}:{name}"
