"""Who local callers and holders of certificates are: rules, defaults, and the safe side."""

from typing import Any

import msgspec
import pytest

from agent.authn.mapping import (
    CertificateNames,
    UnmappedCallerError,
    certificate_principal,
    local_principal,
)
from agent.authn.peercred import Peer
from agent.authn.systemd import UndeterminedUnitError, unit_of
from agent.keys.principal import Principal
from agent.settings.principals import PrincipalRule

ACCOUNT = "000000000000"
OWNER = 990
IAM = f"arn:aws:iam::{ACCOUNT}:"
STS = f"arn:aws:sts::{ACCOUNT}:assumed-role/"


def peer(**changes: Any) -> Peer:  # noqa: ANN401 - whatever the fields hold
    """Return a caller: alice, in two groups, in a session's scope."""
    known: dict[str, Any] = {
        "pid": 17,
        "uid": 1000,
        "gid": 100,
        "user": "alice",
        "group_names": frozenset({"users", "kms-readers"}),
        "unit": "session-3.scope",
        "unit_known": True,
    }
    return Peer(**known | changes)


def rules(*texts: dict[str, Any]) -> tuple[PrincipalRule, ...]:
    """Make rules as the configuration does."""
    return msgspec.convert(texts, tuple[PrincipalRule, ...])


def local(caller: Peer, *texts: dict[str, Any]) -> Principal:
    """Map a local caller."""
    return local_principal(caller, rules(*texts), ACCOUNT, OWNER)


ROOT = peer(uid=0, gid=0, user="root", group_names=frozenset({"root"}), unit="backup.service")
BACKUP = {"match": {"unit": "backup.service"}, "arn": "arn:aws:iam::{account}:role/unit/{unit}"}


def test_without_rules_the_login_is_the_user() -> None:
    """Root is the account, others are users by their login; the agent's own user administers it."""
    root = local(ROOT)
    assert (root.arn, root.kind, root.administrator) == (IAM + "root", "Account", True)
    alice = local(peer())
    assert (alice.arn, alice.kind, alice.administrator) == (IAM + "user/alice", "User", False)
    assert (alice.principal_id, alice.uid, alice.account_id) == ("uid-1000", 1000, ACCOUNT)
    assert alice.tags == {"uid": "1000", "gid": "100", "unit": "session-3.scope"}
    assert local(peer(uid=OWNER, user="kms")).administrator
    nameless = local(peer(uid=4242, user=None, unit=None, unit_known=False))
    assert (nameless.arn, nameless.tags) == (IAM + "user/uid-4242", {"uid": "4242", "gid": "100"})


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({"uid": 1000}, True),
        ({"uid": 1001}, False),
        ({"user": "alice"}, True),
        ({"user": "al*"}, True),
        ({"user": "al?ce"}, True),
        ({"user": "a.*"}, False),
        ({"user": "ALICE"}, False),
        ({"gid": 100}, True),
        ({"gid": 101}, False),
        ({"group": "kms-*"}, True),
        ({"group": "kms"}, False),
        ({"unit": "session-*.scope"}, True),
        ({"unit": "session-3"}, False),
        ({"user": "alice", "unit": "other.service"}, False),
        ({"user": "bob", "unit": "session-3.scope"}, False),
        ({"user": "alice", "group": "users", "gid": 100, "uid": 1000, "unit": "*"}, True),
        ({"dns": "*"}, False),
    ],
)
def test_a_rule_matches_when_all_of_it_is_true(match: dict[str, Any], *, matches: bool) -> None:
    """Every field that is given has to be true; wildcards are those of IAM."""
    found = local(peer(), {"match": match, "arn": "arn:aws:iam::{account}:user/ruled"})
    assert found.arn == IAM + ("user/ruled" if matches else "user/alice")


def test_the_first_rule_that_matches_decides() -> None:
    """Rules are looked at in order."""
    first = {"match": {"user": "a*"}, "arn": "arn:aws:iam::{account}:user/first"}
    second = {"match": {"uid": 1000}, "arn": "arn:aws:iam::{account}:user/second"}
    assert local(peer(), first, second).arn == IAM + "user/first"
    assert local(peer(), second, first).arn == IAM + "user/second"


def test_a_role_makes_a_session() -> None:
    """A rule with a role gives an assumed role, with the role's tags under those of the kernel."""
    found = local(ROOT, BACKUP | {"tags": {"team": "storage"}, "via_service": "kmsfs"})
    assert found == Principal(
        STS + "backup.service/uid-0",
        ACCOUNT,
        "backup.service:uid-0",
        0,
        "AssumedRole",
        role_arn=IAM + "role/unit/backup.service",
        tags={"team": "storage", "uid": "0", "gid": "0", "unit": "backup.service"},
        via_service="kmsfs",
    )


def test_a_rule_gives_what_it_says_and_no_more() -> None:
    """Neither root nor the agent's own user keeps administrator's rights under a rule that names another."""
    rule = {"match": {"user": "*"}, "arn": "arn:aws:iam::{account}:user/{user}"}
    assert not local(ROOT, rule).administrator
    assert not local(peer(uid=OWNER, user="kms"), rule).administrator
    assert local(peer(), rule | {"arn": "arn:aws:iam::{account}:root"}).administrator


def test_an_account_of_its_own() -> None:
    """A rule can put callers into another account."""
    rule = {"match": {"uid": 1000}, "arn": "arn:aws:iam::{account}:user/{user}", "account": "111122223333"}
    found = local(peer(), rule)
    assert (found.arn, found.account_id) == ("arn:aws:iam::111122223333:user/alice", "111122223333")


def test_a_unit_that_cannot_be_told_is_not_taken_for_none() -> None:
    """Where a rule may be meant and the unit cannot be told, the caller is refused, not given the default."""
    hidden = peer(uid=0, user="root", unit=None, unit_known=False)
    with pytest.raises(UnmappedCallerError, match="systemd unit"):
        local(hidden, BACKUP)
    other = {"match": {"unit": "backup.service", "uid": 5}, "arn": "arn:aws:iam::{account}:user/x"}
    assert local(hidden, other).arn == IAM + "root"
    earlier = {"match": {"uid": 0}, "arn": "arn:aws:iam::{account}:user/earlier"}
    assert local(hidden, earlier, BACKUP).arn == IAM + "user/earlier"


def test_groups_that_cannot_be_told_are_not_taken_for_none() -> None:
    """Where a rule may be meant and there are more groups than can be asked for, the caller is refused."""
    rule = {"match": {"group": "suspended"}, "arn": "arn:aws:iam::{account}:user/suspended"}
    with pytest.raises(UnmappedCallerError, match="groups"):
        local(peer(group_names=None), rule)


def test_a_name_that_is_none_in_iam_is_refused() -> None:
    """What a rule would put into an ARN has to be a name there, else the caller is refused."""
    rule = {"match": {"unit": "*"}, "arn": "arn:aws:iam::{account}:role/{unit}"}
    for unit in ("dev-disk-by\\x2duuid.swap", "a:b.service", "x" * 257):
        with pytest.raises(UnmappedCallerError, match="no name"):
            local(peer(unit=unit), rule)
    assert local(peer(unit="a\\b.service"), rule | {"arn": "arn:aws:iam::{account}:user/unit"}).arn.endswith(
        "unit"
    )


def test_a_certificate_is_whom_a_rule_says() -> None:
    """URI and DNS names have rules of their own; what wildcards stand for can be put into the ARN."""
    texts = (
        {"match": {"user": "*"}, "arn": "arn:aws:iam::{account}:root"},
        {"match": {"uri": "spiffe://example.org/ns/*/sa/*"}, "arn": "arn:aws:iam::{account}:role/{1}/{2}"},
        {"match": {"dns": "*.example.org"}, "arn": "arn:aws:iam::{account}:user/{1}"},
    )

    def certified(uris: tuple[str, ...] = (), dns: tuple[str, ...] = ()) -> Principal:
        return certificate_principal(CertificateNames(uris, dns), rules(*texts), ACCOUNT)

    session = certified(uris=("https://other", "spiffe://example.org/ns/prod/sa/db"))
    assert (session.arn, session.role_arn) == (STS + "db/db", IAM + "role/prod/db")
    assert (session.kind, session.uid, session.administrator) == ("AssumedRole", None, False)
    assert certified(dns=("web.example.org",)).arn == IAM + "user/web"
    for names in ({}, {"dns": ("example.org",)}, {"uris": ("spiffe://example.org/ns/prod",)}):
        with pytest.raises(UnmappedCallerError):
            certified(**names)
    for strange in ("a/b.example.org", "*.example.org", "a:root.example.org"):
        with pytest.raises(UnmappedCallerError, match="no name"):
            certified(dns=(strange,))


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/backup.service\n", "backup.service"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service\n",
            "user@1000.service",
        ),
        ("0::/system.slice/docker-0123abcd.scope/backup.service\n", "docker-0123abcd.scope"),
        ("0::/system.slice/backup.service/init.scope\n", "backup.service"),
        ("0::/init.scope\n", "init.scope"),
        ("0::/\n", None),
        ("0::/docker/0123abcd\n", None),
        ("0::/mine/system.slice/backup.service\n", None),
        ("0::/system.slice\n", None),
        (
            "12:pids:/user.slice\n1:name=systemd:/system.slice/cron.service\n0::/user.slice/x.scope\n",
            "cron.service",
        ),
        ("9:name=systemd:/\n4:memory:/process_api/466a\n0::/\n", None),
        ("0::/system.slice/_cpu.service\n", "cpu.service"),
        ("0::/system.slice/dev-disk\\x2done.swap\n", "dev-disk\\x2done.swap"),
        ("0::/system.slice/a:b.service\n", "a:b.service"),
        ("0::/system.slice/a b.service\n", None),
    ],
)
def test_the_unit_is_what_systemd_put_the_process_into(cgroup: str, unit: str | None) -> None:
    """The first part below slices is the unit; what others made below it, or beside systemd, is not."""
    assert unit_of(cgroup) == unit


@pytest.mark.parametrize(
    "cgroup", ["", "0::/../backup.service\n", "0::/..\n", "3:cpu:/system.slice/a.service\n", "x"]
)
def test_a_cgroup_that_does_not_tell_is_not_taken_for_no_unit(cgroup: str) -> None:
    """Without systemd's hierarchy, or outside of what the agent sees, there is no answer."""
    with pytest.raises(UndeterminedUnitError):
        unit_of(cgroup)
