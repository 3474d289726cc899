"""Owns the values that say what a principal is given: access keys, policies, tags. No rules, no I/O."""

from dataclasses import dataclass, field

from agent.api.enums import AccessKeyStatus


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What requests of one principal are signed with; permanent, or the credentials of one session.

    Attributes:
        access_key_id: `AKIA…`, or `ASIA…` for a session's.
        principal_arn: the user, or the session `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
        role_arn: the role that a session is of; None for permanent keys and sessions of a user.
        creation_date: seconds since the epoch, as all dates here.
        expiration: None for permanent keys.
        wrapped_secret: the secret access key as `agent.seal.barrier` wrapped it.
        token_digest: SHA-256 of a session's token; b"" for permanent keys.
        session_tags: sorted by key.
        session_policy: JSON text that caps the session; None if nothing does.
    """

    access_key_id: str
    principal_arn: str
    account_id: str
    status: AccessKeyStatus
    creation_date: float
    wrapped_secret: bytes = field(repr=False)
    role_arn: str | None = None
    expiration: float | None = None
    token_digest: bytes = field(default=b"", repr=False)
    session_tags: tuple[tuple[str, str], ...] = ()
    session_policy: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """A policy of one user or role, as JSON text."""

    principal_arn: str
    name: str
    document: str


@dataclass(frozen=True, slots=True)
class PrincipalProfile:
    """What else is known of a user or role.

    Attributes:
        tags: sorted by key.
        boundary: JSON text of the permissions boundary; None if there is none.
    """

    principal_arn: str
    tags: tuple[tuple[str, str], ...] = ()
    boundary: str | None = None
