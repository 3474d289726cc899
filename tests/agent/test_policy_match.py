"""Wildcards, ARNs, actions, and how closely a statement names a caller."""

from typing import Final

import pytest

from agent.policy.actions import read_action
from agent.policy.evaluate import Policies, Request, evaluate
from agent.policy.match import arn_pattern, pattern
from agent.policy.principals import Principals, Reach, reach
from agent.policy.reasons import denial
from policies import (
    ACCOUNT,
    ACCOUNT_ROOT,
    ALICE,
    APP,
    BOB,
    KEY_ARN,
    OTHER_ROOT,
    OTHER_SESSION,
    ROLE,
    ROOT,
    SESSION,
    USER,
    ZOE,
    Asker,
    identity_policy,
    key_policy,
    naming,
    statement,
)

GLOBS: Final = [
    ("", "", True),
    ("", "a", False),
    ("*", "", True),
    ("*", "a\nb", True),
    ("**", "a", True),
    ("a*", "a", True),
    ("a*", "ba", False),
    ("*a", "bba", True),
    ("*a", "ab", False),
    ("a*a", "a", False),
    ("a*a", "aa", True),
    ("a*b*c", "a--b--c", True),
    ("a*b*c", "a--c--b", False),
    ("*ab*ab*", "abab", True),
    ("*ab*ab*", "aba", False),
    ("?", "a", True),
    ("?", "", False),
    ("?", "\n", True),
    ("??", "a", False),
    ("a?c*", "abcd", True),
    ("*?", "", False),
    ("*?", "x", True),
    ("?*?", "x", False),
    ("?*?", "xy", True),
    ("*b?d*", "abcbxd", True),
    ("*.d", "a.d", True),
    ("*.d", "axd", False),
    ("[ab]", "a", False),
    ("a+", "aa", False),
]
ARNS: Final = [
    ("*", "*", True),
    ("*", KEY_ARN, True),
    (KEY_ARN, KEY_ARN, True),
    ("arn:aws:kms:*:*:key/*", KEY_ARN, True),
    ("arn:aws:kms:us-*-1:111122223333:key/1234*", KEY_ARN, True),
    ("arn:aws:kms:us-east-2:*:key/*", KEY_ARN, False),
    ("arn:aws:kms:*:444455556666:key/*", KEY_ARN, False),
    ("arn:aws:kms:*:*:alias/*", KEY_ARN, False),
    ("arn:aws:kms::*:key/*", KEY_ARN, False),
    ("arn:aws:kms:*:*:*", KEY_ARN, True),
    ("arn:aws:s3:*:*:*", KEY_ARN, False),
    ("arn:aws:kms:*:*:a*e/*", "arn:aws:kms:r:1:a:b:e/x", True),
    ("arn:aws:kms:*:*:key/*", "*", False),
]
ACTIONS: Final = [
    ("*", "kms:Decrypt", True),
    ("kms:*", "kms:Decrypt", True),
    ("KMS:decrypt", "kms:Decrypt", True),
    ("kms:De*", "kms:Decrypt", True),
    ("kms:GenerateDataKey", "kms:GenerateDataKeyPair", False),
    ("kms:GenerateDataKey*", "kms:GenerateDataKeyWithoutPlaintext", True),
    ("kms:?ncrypt", "kms:Encrypt", True),
    ("s3:*", "kms:Decrypt", False),
]
NAMED: Final = [
    ((USER,), ALICE, Reach.CALLER),
    ((BOB,), ALICE, Reach.NOBODY),
    ((ROOT,), ALICE, Reach.ACCOUNT),
    (("*",), ALICE, Reach.CALLER),
    ((ROOT, USER), ALICE, Reach.CALLER),
    ((USER.upper(),), ALICE, Reach.NOBODY),
    ((OTHER_ROOT,), ALICE, Reach.NOBODY),
    ((OTHER_ROOT,), ZOE, Reach.ACCOUNT),
    ((ROLE,), ALICE, Reach.NOBODY),
    ((ROOT,), ACCOUNT_ROOT, Reach.ACCOUNT),
    ((ROLE,), APP, Reach.ROLE),
    ((SESSION,), APP, Reach.CALLER),
    ((OTHER_SESSION,), APP, Reach.NOBODY),
    (("*",), APP, Reach.ROLE),
    ((ROOT, ROLE), APP, Reach.ROLE),
    ((ROOT,), APP, Reach.ACCOUNT),
]


@pytest.mark.parametrize(("written", "text", "fits"), GLOBS)
def test_wildcards(written: str, text: str, *, fits: bool) -> None:
    """A star is any text, a question mark one character, everything else itself."""
    assert pattern(written, variables=True).matches(text, {}) is fits


@pytest.mark.parametrize(("written", "text", "fits"), ARNS)
def test_arns(written: str, text: str, *, fits: bool) -> None:
    """ARNs are matched part by part; a wildcard does not reach over a colon before the resource."""
    assert arn_pattern(written, variables=True).matches(text, {}) is fits


@pytest.mark.parametrize(("written", "action", "fits"), ACTIONS)
def test_actions(written: str, action: str, *, fits: bool) -> None:
    """Actions are compared without regard to case, wildcards included."""
    assert read_action(written).matches(action, {}) is fits


@pytest.mark.parametrize(("named", "asker", "expected"), NAMED)
def test_principals(named: tuple[str, ...], asker: Asker, expected: Reach) -> None:
    """A statement names a caller itself, its role, its account, or not at all."""
    assert reach(Principals(named), asker) is expected


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("*a" * 8000 + "b", "a" * 8000),
        ("*" * 30000, "a" * 8000),
        ("*a?" * 5000 + "b", "a" * 8000),
        ("*" + "?" * 3000 + "b*", "a" * 8000),
        ("*" + "a?" * 2000 + "b*", "a" * 8000),
    ],
)
def test_no_pattern_takes_long(written: str, text: str) -> None:
    """A hostile pattern against a hostile text ends; were it to backtrack, it would not."""
    assert pattern(written, variables=True).matches(text, {}) is not None


DENIALS: Final = [
    (
        [naming(BOB)],
        [],
        (
            f"User: {USER} is not authorized to perform: kms:Decrypt on resource: {KEY_ARN} "
            "because no resource-based policy allows the kms:Decrypt action"
        ),
    ),
    (
        [naming(ROOT)],
        [],
        (
            f"User: {USER} is not authorized to perform: kms:Decrypt on resource: {KEY_ARN} "
            "because no identity-based policy allows the kms:Decrypt action"
        ),
    ),
    (
        [naming(USER, "Deny")],
        [],
        (
            f"User: {USER} is not authorized to perform: kms:Decrypt on resource: {KEY_ARN} "
            "with an explicit deny in a resource-based policy"
        ),
    ),
    (
        [naming(ROOT)],
        [statement("Deny")],
        (
            f"User: {USER} is not authorized to perform: kms:Decrypt on resource: {KEY_ARN} "
            "with an explicit deny in an identity-based policy"
        ),
    ),
]


@pytest.mark.parametrize(("key", "identity", "message"), DENIALS)
def test_refusals_are_told_as_aws_tells_them(
    key: list[dict[str, object]], identity: list[dict[str, object]], message: str
) -> None:
    """The message names the caller, the action, the key, and the kind of policy that decided."""
    request = Request(ALICE, "kms:Decrypt", KEY_ARN, ACCOUNT, {})
    policies = Policies(key_policy(*key), (identity_policy(*identity),) if identity else ())
    assert denial(request, evaluate(request, policies)) == message


LIMIT_DENIALS: Final = [
    (
        {"boundary": [statement(Action="kms:Sign")]},
        "because no permissions boundary allows the kms:Decrypt action",
    ),
    ({"boundary": [statement("Deny")]}, "with an explicit deny in a permissions boundary"),
    ({"session": [statement(Action="kms:Sign")]}, "because no session policy allows the kms:Decrypt action"),
    ({"session": [statement("Deny")]}, "with an explicit deny in a session policy"),
    (
        {"guard": [statement(Action="kms:Sign")]},
        "because no service control policy allows the kms:Decrypt action",
    ),
    ({"guard": [statement("Deny")]}, "with an explicit deny in a service control policy"),
]


@pytest.mark.parametrize(("limits", "ending"), LIMIT_DENIALS)
def test_limits_are_told_by_name(limits: dict[str, list[dict[str, object]]], ending: str) -> None:
    """Boundaries, session policies and guards have their own words."""
    request = Request(APP, "kms:Decrypt", KEY_ARN, ACCOUNT, {})
    read = {kind: identity_policy(*statements) for kind, statements in limits.items()}
    policies = Policies(
        key_policy(naming(ROLE)),
        boundary=read.get("boundary"),
        session=tuple(read[kind] for kind in ("session",) if kind in read),
        guard=tuple(read[kind] for kind in ("guard",) if kind in read),
    )
    assert denial(request, evaluate(request, policies)) == (
        f"User: {SESSION} is not authorized to perform: kms:Decrypt on resource: {KEY_ARN} {ending}"
    )


@pytest.mark.parametrize("key", [[naming(USER)], [naming(ZOE.arn), naming(OTHER_ROOT, "Deny")]])
def test_other_accounts_are_not_told_whether_a_key_exists(key: list[dict[str, object]]) -> None:
    """A caller from another account learns neither the key's existence nor what its policy says."""
    request = Request(ZOE, "kms:Decrypt", KEY_ARN, ACCOUNT, {})
    policies = Policies(key_policy(*key), (identity_policy(statement()),))
    assert denial(request, evaluate(request, policies)) == (
        f"User: {ZOE.arn} is not authorized to perform: kms:Decrypt on this resource because the resource "
        "does not exist in this Region, no resource-based policies allow access, or a resource-based policy "
        "explicitly denies access"
    )
