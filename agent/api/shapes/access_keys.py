"""Owns the shapes of the operations on access keys and sessions, which are the agent's own.

AWS has these in IAM and STS; the members bear their names there.
"""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import AccessKeyStatus
from agent.api.shapes.base import Limit, Marker, Shape, pattern
from agent.api.shapes.keys import Tag

PrincipalArn = Annotated[
    str,
    Meta(min_length=20, max_length=2048),
    pattern(r"arn:aws:iam::[0-9]{12}:(?:root|(?:user|role)/(?:[\w+=,.@-]+/)*[\w+=,.@-]+)"),
]
AccessKeyId = Annotated[str, Meta(min_length=16, max_length=128), pattern(r"[\w]+")]
RoleSessionName = Annotated[str, Meta(min_length=2, max_length=64), pattern(r"[\w+=,.@-]*")]
DurationSeconds = Annotated[int, Meta(ge=900, le=43200)]
SessionPolicy = Annotated[
    str, Meta(min_length=1, max_length=2048), pattern(r"[\u0009\u000A\u000D\u0020-\u00FF]+")
]


class CreateAccessKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of CreateAccessKey: for a user, or the account's root."""

    principal_arn: PrincipalArn


class CreateAccessKeyResponse(Shape, frozen=True, kw_only=True):
    """Response of CreateAccessKey, the only one that ever shows the secret."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"secret_access_key"})

    access_key_id: AccessKeyId
    secret_access_key: str
    principal_arn: str
    status: AccessKeyStatus
    create_date: float


class ListAccessKeysRequest(Shape, frozen=True, kw_only=True):
    """Request of ListAccessKeys; with a principal, only its keys."""

    principal_arn: PrincipalArn | None = None
    limit: Limit | None = None
    marker: Marker | None = None


class AccessKeyMetadata(Shape, frozen=True, kw_only=True):
    """One access key in ListAccessKeys; `expiration` is that of a session's."""

    access_key_id: AccessKeyId
    principal_arn: str
    status: AccessKeyStatus
    create_date: float
    expiration: float | None = None


class ListAccessKeysResponse(Shape, frozen=True, kw_only=True):
    """Response of ListAccessKeys; `next_marker` only if truncated."""

    access_keys: tuple[AccessKeyMetadata, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None


class UpdateAccessKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of UpdateAccessKey."""

    access_key_id: AccessKeyId
    status: AccessKeyStatus


class DeleteAccessKeyRequest(Shape, frozen=True, kw_only=True):
    """Request of DeleteAccessKey."""

    access_key_id: AccessKeyId


class CreateSessionRequest(Shape, frozen=True, kw_only=True):
    """Request of CreateSession: of a role, which needs a name, or of a user or the root."""

    principal_arn: PrincipalArn
    role_session_name: RoleSessionName | None = None
    duration_seconds: DurationSeconds | None = None
    tags: tuple[Tag, ...] | None = None
    session_policy: SessionPolicy | None = None


class CreateSessionResponse(Shape, frozen=True, kw_only=True):
    """Response of CreateSession, the only one that ever shows secret and token."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"secret_access_key", "session_token"})

    access_key_id: AccessKeyId
    secret_access_key: str
    session_token: str
    expiration: float
    principal_arn: str
