"""Owns the Principal element: who can be named in a key policy, and whom a statement reaches.

Source: IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal". Knows nothing of what such a
statement permits.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from agent.policy.errors import PolicyError, quote

ANYONE: Final = "*"
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_IAM: Final = re.compile(r"arn:aws:iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/-]{1,576})", re.ASCII)
_STS: Final = re.compile(
    r"arn:aws:sts::[0-9]{12}:(?:assumed-role/[\w+=,.@-]{1,64}/[\w+=,.@-]{2,64}"
    r"|federated-user/[\w+=,.@-]{2,64})",
    re.ASCII,
)
_SERVICE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,120}\.(?:amazonaws\.com(?:\.cn)?|local)", re.ASCII)
_FEDERATED: Final = re.compile(
    r"arn:aws:iam::[0-9]{12}:(?:saml|oidc)-provider/[\w+=,.@:/-]{1,255}|[a-z0-9.-]{1,255}", re.ASCII
)
_CANONICAL_USER: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_INVALID: Final = "Policy contains a statement with one or more invalid principals"


class Caller(Protocol):
    """Who makes a request."""

    @property
    def arn(self) -> str:
        """The ARN of an account's root, a user, or a session of a role."""

    @property
    def account_id(self) -> str:
        """The account that the caller belongs to."""

    @property
    def role_arn(self) -> str | None:
        """The ARN of the role, if the caller is a session of one."""


class Reach(IntEnum):
    """How closely a statement names the caller; a closer one is limited by less."""

    NOBODY = 0
    ACCOUNT = 1
    """The caller's account: what it allows, the account's identity policies may pass on."""
    ROLE = 2
    """The role that the caller is a session of, or everyone."""
    CALLER = 3
    """The user or the session itself."""


@dataclass(frozen=True, slots=True)
class Principals:
    """Principal, or NotPrincipal if `negated`, with accounts in the form of their root's ARN.

    Attributes:
        aws: accounts, users, roles, sessions, or `*`.
        service: names such as `s3.amazonaws.com`; no caller of the agent is one.
        federated: identity providers; no caller of the agent is one.
        canonical_user: no caller of the agent is one.
    """

    aws: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    federated: tuple[str, ...] = ()
    canonical_user: tuple[str, ...] = ()
    negated: bool = False


def reach(principals: Principals, caller: Caller) -> Reach | None:
    """Tell how closely the caller is named; None where NotPrincipal leaves it open."""
    if principals.negated:
        return _reach_of_others(principals, caller)
    root = account_root(caller.account_id)
    closest = Reach.NOBODY
    for named in principals.aws:
        if named == root:
            found = Reach.ACCOUNT
        elif named == caller.arn:
            found = Reach.CALLER
        elif named == ANYONE:
            found = _reach_of_anyone(caller)
        elif named == caller.role_arn:
            found = Reach.ROLE
        else:
            continue
        closest = max(closest, found)
    return closest


def account_root(account_id: str) -> str:
    """Return the ARN that stands for an account."""
    return f"arn:aws:iam::{account_id}:root"


def read_aws(text: str) -> str:
    """Return an element of `Principal.AWS`, accounts in the form of their root's ARN.

    Raises:
        PolicyError: it names nobody who can be a principal.
    """
    if _ACCOUNT.fullmatch(text):
        return account_root(text)
    if text == ANYONE or _IAM.fullmatch(text) or _STS.fullmatch(text):
        return text
    advice = (
        "wildcards are not allowed in it, use aws:PrincipalArn in a condition"
        if "*" in text
        else ("write * or the ARN of an account's root, a user, a role or a role's session")
    )
    raise PolicyError(f"{_INVALID}: {quote(text)} is no principal; {advice}")


def read_service(text: str) -> str:
    """Return an element of `Principal.Service`."""
    return _require(_SERVICE, text, "service; write NAME.amazonaws.com")


def read_federated(text: str) -> str:
    """Return an element of `Principal.Federated`."""
    return _require(_FEDERATED, text, "identity provider")


def read_canonical_user(text: str) -> str:
    """Return an element of `Principal.CanonicalUser`."""
    return _require(_CANONICAL_USER, text, "canonical user ID")


def _require(form: re.Pattern[str], text: str, what: str) -> str:
    if form.fullmatch(text) is None:
        raise PolicyError(f"{_INVALID}: {quote(text)} is no {what}")
    return text


def _reach_of_anyone(caller: Caller) -> Reach:
    return Reach.CALLER if caller.role_arn is None else Reach.ROLE


def _reach_of_others(principals: Principals, caller: Caller) -> Reach | None:
    """Tell whether a caller is left out of NotPrincipal.

    To except somebody for sure, AWS asks for the account, the role and the session or user to be listed. Who
    is listed in part is neither excepted from a Deny nor meant by an Allow.
    """
    names = {account_root(caller.account_id), caller.arn} | ({caller.role_arn} if caller.role_arn else set())
    listed = names & set(principals.aws)
    if ANYONE in principals.aws or listed == names:
        return Reach.NOBODY
    return None if listed else _reach_of_anyone(caller)
