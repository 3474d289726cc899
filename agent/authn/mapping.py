"""From a local caller, or a client certificate, to a principal: the rules of the setting ``principals``.

Pure. The first rule that matches decides. Where it cannot be told whether a rule matches, or what it says
makes no name, the caller is refused: the rules after it may give more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent.keys.principal import Principal
from agent.settings.principals import fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.authn.peercred import Peer
    from agent.settings.principals import Match, PrincipalRule

# IAM: what names of users and roles may consist of.
_SAFE: Final = re.compile(r"[\w+=,.@-]{1,256}", re.ASCII)
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


class UnmappedCallerError(Exception):
    """Nobody can say who the caller is; the message tells why, for the log."""


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """The subject alternative names of a verified client certificate."""

    uris: tuple[str, ...]
    dns: tuple[str, ...]


def local_principal(peer: Peer, rules: Sequence[PrincipalRule], account_id: str, owner_uid: int) -> Principal:
    """Say who a local caller is in AWS's terms.

    Where no rule matches: uid 0 is the account's root, anybody else the user of that login name, ``uid-N``
    where the system knows no name; and the user that the agent runs as administers it.

    Raises:
        UnmappedCallerError: A rule may be meant, and what it needs to know cannot be found out.
    """
    tags = {"uid": str(peer.uid), "gid": str(peer.gid)} | ({} if peer.unit is None else {"unit": peer.unit})
    login = peer.user or f"uid-{peer.uid}"
    for rule in rules:
        if not _matches_locally(rule.match, peer):
            continue
        values = {
            "uid": str(peer.uid),
            "gid": str(peer.gid),
            "user": login,
            "group": _matched_group(rule.match, peer),
            "unit": peer.unit or "",
        }
        return _ruled(rule, values, account_id, f"uid-{peer.uid}", peer.uid, tags)
    if peer.uid == 0:
        arn = f"arn:aws:iam::{account_id}:root"
        return Principal(arn, account_id, account_id, 0, "Account", tags=tags, administrator=True)
    arn = f"arn:aws:iam::{account_id}:user/{login}"
    administrator = peer.uid == owner_uid
    return Principal(arn, account_id, f"uid-{peer.uid}", peer.uid, tags=tags, administrator=administrator)


def certificate_principal(
    names: CertificateNames, rules: Sequence[PrincipalRule], account_id: str
) -> Principal:
    """Say who the holder of a verified client certificate is.

    Raises:
        UnmappedCallerError: No rule is about them.
    """
    for rule in rules:
        for candidates, pattern in ((names.uris, rule.match.uri), (names.dns, rule.match.dns)):
            for name in candidates if pattern is not None else ():
                found = _pattern(pattern or "").fullmatch(name)
                if found is not None:
                    values = {str(number): text for number, text in enumerate(found.groups(), 1)}
                    session = name.rpartition("/")[2]
                    session = session if _SESSION_NAME.fullmatch(session) else "certificate"
                    return _ruled(rule, values, account_id, session, None, {})
    raise UnmappedCallerError("no rule of the configuration is about this client certificate")


def _matches_locally(match: Match, peer: Peer) -> bool:
    if match.uri is not None or match.dns is not None:
        return False
    certain = (
        (match.uid is None or match.uid == peer.uid)
        and (match.gid is None or match.gid == peer.gid)
        and (match.user is None or (peer.user is not None and _like(match.user, peer.user)))
        and (match.group is None or peer.group_names is None or bool(_matched_group(match, peer)))
        and (
            match.unit is None
            or not peer.unit_known
            or (peer.unit is not None and _like(match.unit, peer.unit))
        )
    )
    if certain and match.unit is not None and not peer.unit_known:
        raise UnmappedCallerError("a rule needs the systemd unit, which cannot be told")
    if certain and match.group is not None and peer.group_names is None:
        raise UnmappedCallerError("a rule needs all groups, which are too many to be told")
    return certain


def _matched_group(match: Match, peer: Peer) -> str:
    if match.group is None or peer.group_names is None:
        return ""
    return min((name for name in peer.group_names if _like(match.group, name)), default="")


def _ruled(
    rule: PrincipalRule,
    values: Mapping[str, str],
    account_id: str,
    session: str,
    uid: int | None,
    tags: Mapping[str, str],
) -> Principal:
    """Return the principal that a rule names: exactly that, with no more rights for running the agent."""
    account = rule.account or account_id
    if not all(_SAFE.fullmatch(value) for name, value in values.items() if f"{{{name}}}" in rule.arn):
        raise UnmappedCallerError("a rule matches, but what it would be named by makes no name in an ARN")
    arn = fill(rule.arn, {**values, "account": account})
    owner = arn.split(":", 5)[4]
    resource = arn.split(":", 5)[5]
    tags = {**rule.tags, **tags}
    if resource == "root":
        return Principal(
            arn, owner, owner, uid, "Account", tags=tags, via_service=rule.via_service, administrator=True
        )
    if resource.startswith("user/"):
        return Principal(arn, owner, session, uid, tags=tags, via_service=rule.via_service)
    role_name = resource.rpartition("/")[2]
    return Principal(
        f"arn:aws:sts::{owner}:assumed-role/{role_name}/{session}",
        owner,
        f"{role_name}:{session}",
        uid,
        "AssumedRole",
        role_arn=arn,
        tags=tags,
        via_service=rule.via_service,
    )


def _like(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


def _pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern with ``*`` and ``?`` as an expression that captures what each ``*`` stands for."""
    wildcards = {"*": "(.*)", "?": "."}
    return re.compile("".join(wildcards.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)
