"""Owns the value that says who is calling. Knows nothing of how that was found out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agent.crypto.attestation import Attestation

PrincipalKind: TypeAlias = Literal["Account", "User", "AssumedRole"]
"""In the words of the condition key `aws:PrincipalType`."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, in the words of IAM, and how the call came.

    Attributes:
        arn: `arn:aws:iam::ACCOUNT:root`, `arn:aws:iam::ACCOUNT:user/NAME`, or of a session
            `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
        account_id: the twelve digits of the account.
        principal_id: stable identifier of the caller, as CloudTrail's `userIdentity.principalId`.
        uid: the caller's user id on this machine, where the kernel told it.
        kind: what the ARN is of.
        role_arn: the role that a session is of.
        tags: the principal's tags, a session's over its user's or role's.
        session_policies: JSON texts that cap the session.
        via_service: the service that asks on somebody's behalf, as in `kms:ViaService`.
        source_arn: the resource on whose behalf that service says it asks, as in `aws:SourceArn`.
        access_key_id: what the request was signed with.
        source_ip: where the request came from; None on the Unix socket.
        secure_transport: whether nobody could listen: TLS or the Unix socket.
        administrator: the account's root, or on its own Unix socket the user that the agent runs as. Has
            the identity policy that allows everything; still needs the key policy.
        attestation: what the request proves of where its answer goes.
    """

    arn: str
    account_id: str
    principal_id: str
    uid: int | None = None
    kind: PrincipalKind = "User"
    role_arn: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    session_policies: tuple[str, ...] = ()
    via_service: str | None = None
    source_arn: str | None = None
    access_key_id: str | None = None
    source_ip: str | None = None
    secure_transport: bool = True
    administrator: bool = False
    attestation: Attestation | None = None

    @property
    def is_account_root(self) -> bool:
        """Whether this is the account itself rather than one of its users."""
        return self.kind == "Account"
