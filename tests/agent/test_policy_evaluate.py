"""Who may what with a key of the account: each case names the rule of AWS that it shows."""

from typing import Any, Final, NamedTuple

import pytest

from agent.policy.document import PolicyKind
from agent.policy.evaluate import Ground, MatchedGrant
from agent.policy.principals import Reach
from policies import (
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
    decide,
    naming,
    statement,
)

KEY, IDENTITY, BOUNDARY, GUARD = (
    PolicyKind.KEY,
    PolicyKind.IDENTITY,
    PolicyKind.BOUNDARY,
    PolicyKind.GUARD,
)
IN_SESSION: Final = PolicyKind.SESSION
BY_GRANT: Final = None
ALL: Final = [statement()]
DENY: Final = [statement("Deny")]
ALLOW_AND_DENY: Final = [statement(), statement("Deny", Action="kms:Decrypt")]
LIST_ONLY: Final = [statement(Action="kms:ListKeys")]
ACCOUNT_MAY: Final = [naming(ROOT)]


class Case(NamedTuple):
    """A rule, what there is, and what comes of it."""

    rule: str
    asker: Asker
    kind: PolicyKind | None
    explicit: bool
    allowed: bool
    policies: dict[str, Any]


def allowed(rule: str, asker: Asker, kind: PolicyKind | None, **policies: Any) -> Case:  # noqa: ANN401 -- see `decide`
    """Return a case that a policy of one kind allows, or a grant."""
    return Case(rule, asker, kind, explicit=True, allowed=True, policies=policies)


def lacking(rule: str, asker: Asker, kind: PolicyKind, **policies: Any) -> Case:  # noqa: ANN401 -- see `decide`
    """Return a case that fails because no policy of one kind allows it."""
    return Case(rule, asker, kind, explicit=False, allowed=False, policies=policies)


def denied(rule: str, asker: Asker, kind: PolicyKind, **policies: Any) -> Case:  # noqa: ANN401 -- see `decide`
    """Return a case that a policy of one kind denies."""
    return Case(rule, asker, kind, explicit=True, allowed=False, policies=policies)


def grant(reach: Reach) -> list[MatchedGrant]:
    """Return a matching grant to somebody who is the caller as closely as said."""
    return [MatchedGrant("g", reach)]


USERS: Final = [
    lacking("no policy at all", ALICE, KEY),
    lacking("an identity policy alone is not enough, unlike elsewhere in AWS", ALICE, KEY, identity=ALL),
    lacking("the account alone is not enough either", ALICE, IDENTITY, key=ACCOUNT_MAY),
    allowed("the account and an identity policy", ALICE, IDENTITY, key=ACCOUNT_MAY, identity=ALL),
    allowed("the account by its number", ALICE, IDENTITY, key=[naming("111122223333")], identity=ALL),
    allowed("the key policy names the user", ALICE, KEY, key=[naming(USER)]),
    allowed("one of several principals", ALICE, KEY, key=[naming([BOB, USER])]),
    lacking("the key policy names somebody else", ALICE, KEY, key=[naming(BOB)], identity=ALL),
    allowed("the key policy names everyone", ALICE, KEY, key=[naming("*")]),
    lacking("another action", ALICE, KEY, key=[naming(USER, Action="kms:Encrypt")]),
    lacking("another action in the identity policy", ALICE, IDENTITY, key=ACCOUNT_MAY, identity=LIST_ONLY),
    allowed("NotAction allows the others", ALICE, KEY, key=[naming(USER, NotAction="kms:PutKeyPolicy")]),
    lacking("NotAction leaves out", ALICE, KEY, key=[naming(USER, NotAction=["kms:De*", "kms:Sign"])]),
    allowed("a resource of its own", ALICE, KEY, key=[naming(USER, Resource=KEY_ARN)]),
    lacking("another resource", ALICE, KEY, key=[naming(USER, Resource=KEY_ARN + "0")]),
    allowed("NotResource allows the others", ALICE, KEY, key=[naming(USER, NotResource=KEY_ARN + "0")]),
    lacking("NotResource leaves out", ALICE, KEY, key=[naming(USER, NotResource="arn:aws:kms:*:*:key/*")]),
    lacking("an alias is not the key", ALICE, KEY, key=[naming(USER, Resource="arn:aws:kms:*:*:alias/*")]),
    denied("a Deny in the key policy", ALICE, KEY, key=[naming(USER), naming(USER, "Deny")]),
    denied("order does not matter", ALICE, KEY, key=[naming(USER, "Deny"), naming(USER)]),
    denied("a Deny of the account denies its users", ALICE, KEY, key=[naming(USER), naming(ROOT, "Deny")]),
    denied("a Deny of everyone", ALICE, KEY, key=[naming(USER), naming("*", "Deny")]),
    allowed("a Deny of somebody else", ALICE, KEY, key=[naming(USER), naming(BOB, "Deny")]),
    denied(
        "a Deny in an identity policy beats the key policy",
        ALICE,
        IDENTITY,
        key=[naming(USER)],
        identity=DENY,
    ),
    denied("a Deny beats an Allow beside it", ALICE, IDENTITY, key=ACCOUNT_MAY, identity=ALLOW_AND_DENY),
    allowed("NotPrincipal allows the others", ALICE, KEY, key=[statement(NotPrincipal={"AWS": BOB})]),
    lacking("NotPrincipal leaves out", ALICE, KEY, key=[statement(NotPrincipal={"AWS": [USER, ROOT]})]),
    lacking("NotPrincipal leaves out in part", ALICE, KEY, key=[statement(NotPrincipal={"AWS": USER})]),
    denied(
        "a Deny with NotPrincipal spares only who is listed with the account",
        ALICE,
        KEY,
        key=[naming(USER), statement("Deny", NotPrincipal={"AWS": USER})],
    ),
    allowed(
        "who is listed with the account is spared",
        ALICE,
        KEY,
        key=[naming(USER), statement("Deny", NotPrincipal={"AWS": [USER, ROOT]})],
    ),
    denied(
        "the account alone spares nobody in it",
        ALICE,
        KEY,
        key=[naming(USER), statement("Deny", NotPrincipal={"AWS": ROOT})],
    ),
    lacking("services are not users", ALICE, KEY, key=[statement(Principal={"Service": "s3.amazonaws.com"})]),
    lacking("nor are identity providers", ALICE, KEY, key=[statement(Principal={"Federated": "id.example"})]),
    lacking("nor canonical users", ALICE, KEY, key=[statement(Principal={"CanonicalUser": "0" * 64})]),
    lacking("the root user has no right of its own", ACCOUNT_ROOT, KEY, identity=ALL),
    allowed("the root user with the account", ACCOUNT_ROOT, IDENTITY, key=ACCOUNT_MAY, identity=ALL),
    denied(
        "the root user can be denied",
        ACCOUNT_ROOT,
        KEY,
        key=[naming(ROOT), naming(ROOT, "Deny")],
        identity=ALL,
    ),
]
ROLES: Final = [
    allowed("the key policy names the role", APP, KEY, key=[naming(ROLE)]),
    allowed("the key policy names the session", APP, KEY, key=[naming(SESSION)]),
    lacking("the key policy names another session", APP, KEY, key=[naming(OTHER_SESSION)]),
    denied("a Deny of the role denies its sessions", APP, KEY, key=[naming(SESSION), naming(ROLE, "Deny")]),
    denied("a Deny of the session", APP, KEY, key=[naming(ROLE), naming(SESSION, "Deny")]),
    allowed("a Deny of another session", APP, KEY, key=[naming(ROLE), naming(OTHER_SESSION, "Deny")]),
    allowed(
        "a session spared by NotPrincipal is listed with its role and account",
        APP,
        KEY,
        key=[naming(ROLE), statement("Deny", NotPrincipal={"AWS": [SESSION, ROLE, ROOT]})],
    ),
    denied(
        "a role alone is not spared",
        APP,
        KEY,
        key=[naming(ROLE), statement("Deny", NotPrincipal={"AWS": [ROLE, ROOT]})],
    ),
    allowed("the account and the role's policies", APP, IDENTITY, key=ACCOUNT_MAY, identity=ALL),
]
LIMITS: Final = [
    allowed("a boundary that allows", ALICE, IDENTITY, key=ACCOUNT_MAY, identity=ALL, boundary=ALL),
    lacking("a boundary gives nothing", ALICE, IDENTITY, key=ACCOUNT_MAY, boundary=ALL),
    lacking(
        "a boundary limits identity policies",
        ALICE,
        BOUNDARY,
        key=ACCOUNT_MAY,
        identity=ALL,
        boundary=LIST_ONLY,
    ),
    allowed(
        "a boundary does not limit what names the user", ALICE, KEY, key=[naming(USER)], boundary=LIST_ONLY
    ),
    denied("a boundary's Deny does", ALICE, BOUNDARY, key=[naming(USER)], boundary=DENY),
    lacking("a boundary limits what names the role", APP, BOUNDARY, key=[naming(ROLE)], boundary=LIST_ONLY),
    lacking("and what names everyone, for a role", APP, BOUNDARY, key=[naming("*")], boundary=LIST_ONLY),
    allowed("but not what names the session", APP, KEY, key=[naming(SESSION)], boundary=LIST_ONLY),
    allowed("a session policy that allows", APP, IDENTITY, key=ACCOUNT_MAY, identity=ALL, session=ALL),
    lacking("a session policy gives nothing", APP, IDENTITY, key=ACCOUNT_MAY, session=ALL),
    lacking("it limits identity policies", APP, IN_SESSION, key=ACCOUNT_MAY, identity=ALL, session=LIST_ONLY),
    lacking("it limits what names the role", APP, IN_SESSION, key=[naming(ROLE)], session=LIST_ONLY),
    allowed("it does not limit what names the session", APP, KEY, key=[naming(SESSION)], session=LIST_ONLY),
    denied("its Deny does", APP, IN_SESSION, key=[naming(SESSION)], session=DENY),
    lacking("it limits a user, named or not", ALICE, IN_SESSION, key=[naming(USER)], session=LIST_ONLY),
    lacking("a guard limits everything", APP, GUARD, key=[naming(SESSION)], guard=LIST_ONLY),
    lacking("the root user too", ACCOUNT_ROOT, GUARD, key=ACCOUNT_MAY, identity=ALL, guard=LIST_ONLY),
    denied("a guard's Deny is told first", ALICE, GUARD, key=[naming(USER, "Deny")], guard=DENY),
    allowed("a guard that allows", ALICE, KEY, key=[naming(USER)], guard=ALL),
    denied(
        "the key's Deny is told before the identity's", ALICE, KEY, key=[naming(USER, "Deny")], identity=DENY
    ),
]
GRANTS: Final = [
    allowed("a grant needs no policy", ALICE, BY_GRANT, grants=grant(Reach.CALLER)),
    allowed("a grant to the role", APP, BY_GRANT, grants=grant(Reach.ROLE)),
    denied(
        "a Deny in the key policy beats a grant",
        ALICE,
        KEY,
        key=[naming(USER, "Deny")],
        grants=grant(Reach.CALLER),
    ),
    denied("and one in an identity policy", ALICE, IDENTITY, identity=DENY, grants=grant(Reach.CALLER)),
    lacking(
        "a boundary limits a grant to a role", APP, BOUNDARY, boundary=LIST_ONLY, grants=grant(Reach.ROLE)
    ),
    lacking("so does a session policy", APP, IN_SESSION, session=LIST_ONLY, grants=grant(Reach.ROLE)),
    allowed(
        "a grant to the session is not limited", APP, BY_GRANT, session=LIST_ONLY, grants=grant(Reach.CALLER)
    ),
    denied("but a session policy's Deny counts", APP, IN_SESSION, session=DENY, grants=grant(Reach.CALLER)),
    lacking("a guard limits grants", ALICE, GUARD, guard=LIST_ONLY, grants=grant(Reach.CALLER)),
    allowed(
        "the key policy is told before a grant", ALICE, KEY, key=[naming(USER)], grants=grant(Reach.CALLER)
    ),
    allowed("a grant where the identity lacks", ALICE, BY_GRANT, key=ACCOUNT_MAY, grants=grant(Reach.CALLER)),
    lacking("a grant to an account passes on to its policies", ALICE, IDENTITY, grants=grant(Reach.ACCOUNT)),
    allowed("with an identity policy it does", ALICE, BY_GRANT, identity=ALL, grants=grant(Reach.ACCOUNT)),
]
ACROSS: Final = [
    lacking("nothing on the key's side", ZOE, KEY, identity=ALL),
    lacking("somebody else on the key's side", ZOE, KEY, key=[naming(USER)], identity=ALL),
    lacking("the key's account is not the caller's", ZOE, KEY, key=ACCOUNT_MAY, identity=ALL),
    lacking("nothing on the caller's side", ZOE, IDENTITY, key=[naming(OTHER_ROOT)]),
    lacking("the caller's name alone is not enough", ZOE, IDENTITY, key=[naming(ZOE.arn)]),
    lacking("nor everyone", ZOE, IDENTITY, key=[naming("*")]),
    allowed("both sides, by account", ZOE, IDENTITY, key=[naming(OTHER_ROOT)], identity=ALL),
    allowed("both sides, by the account's number", ZOE, IDENTITY, key=[naming("444455556666")], identity=ALL),
    allowed("both sides, by name", ZOE, KEY, key=[naming(ZOE.arn)], identity=ALL),
    denied("a Deny on the key's side", ZOE, KEY, key=[naming(OTHER_ROOT, "Deny")], identity=ALL),
    denied("a Deny on the caller's side", ZOE, IDENTITY, key=[naming(ZOE.arn)], identity=DENY),
    lacking(
        "a boundary limits all of it", ZOE, BOUNDARY, key=[naming(ZOE.arn)], identity=ALL, boundary=LIST_ONLY
    ),
    lacking(
        "so does a session policy", ZOE, IN_SESSION, key=[naming(ZOE.arn)], identity=ALL, session=LIST_ONLY
    ),
    lacking("a grant needs the caller's side too", ZOE, IDENTITY, grants=grant(Reach.CALLER)),
    allowed("a grant and the caller's side", ZOE, BY_GRANT, identity=ALL, grants=grant(Reach.CALLER)),
]
NO_KEY: Final = [
    lacking("identity policies alone decide", ALICE, IDENTITY, key=None, action="kms:ListKeys", resource="*"),
    allowed("and suffice", ALICE, IDENTITY, key=None, identity=ALL, action="kms:ListKeys", resource="*"),
    lacking(
        "the resource is *", ALICE, IDENTITY, key=None, identity=[statement(Resource=KEY_ARN)], resource="*"
    ),
    allowed(
        "or not another", ALICE, IDENTITY, key=None, identity=[statement(NotResource=KEY_ARN)], resource="*"
    ),
    lacking(
        "a boundary limits them",
        ALICE,
        BOUNDARY,
        key=None,
        identity=ALL,
        boundary=LIST_ONLY,
        action="kms:CreateKey",
        resource="*",
    ),
    denied("a Deny", ALICE, IDENTITY, key=None, identity=ALLOW_AND_DENY, resource="*"),
    allowed(
        "the agent's own actions",
        ALICE,
        IDENTITY,
        key=None,
        identity=[statement(Action="*")],
        action="kms-agent:X",
        resource="*",
    ),
    lacking(
        "are not those of KMS", ALICE, IDENTITY, key=None, identity=ALL, action="kms-agent:X", resource="*"
    ),
]
CASES: Final = [*USERS, *ROLES, *LIMITS, *GRANTS, *ACROSS, *NO_KEY]


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_decisions(case: Case) -> None:
    """A request is allowed, denied, or lacks an Allow, by the kind of policy that its case says."""
    decision = decide(case.asker, **case.policies)
    assert decision.allowed is case.allowed
    assert decision.ground == Ground(
        case.kind, case.explicit, "g" if case.allowed and case.kind is BY_GRANT else None
    )


CONDITION: Final = {"StringEquals": {"kms:ViaService": "kmsfs.local.local"}}
UNDECIDED: Final = {"StringEquals": {"aws:ResourceTag/o": "${aws:PrincipalTag/o}"}}


@pytest.mark.parametrize(
    ("condition", "context", "allows", "denies"),
    [
        (CONDITION, {"kms:viaservice": ("kmsfs.local.local",)}, True, True),
        (CONDITION, {"kms:viaservice": ("other.local.local",)}, False, False),
        (CONDITION, {}, False, False),
        (UNDECIDED, {"aws:resourcetag/o": ("x",)}, False, True),
        (
            {**CONDITION, "Bool": {"aws:SecureTransport": "true"}},
            {"kms:viaservice": ("kmsfs.local.local",)},
            False,
            False,
        ),
    ],
)
def test_conditions_decide_whether_a_statement_applies(
    condition: dict[str, object], context: dict[str, tuple[str, ...]], *, allows: bool, denies: bool
) -> None:
    """All conditions must hold; what cannot be decided does not allow, but denies."""
    allow = decide(ALICE, [naming(USER, Condition=condition)], context=context)
    assert allow.allowed is allows
    deny = decide(ALICE, [naming(USER), naming(USER, "Deny", Condition=condition)], context=context)
    assert deny.allowed is not denies


def test_every_statement_has_its_verdict() -> None:
    """A decision tells of each statement whether it applies and what does not fit."""
    decision = decide(
        ALICE,
        [
            naming(USER),
            naming(BOB),
            naming(USER, Action="kms:Encrypt"),
            naming(USER, Resource=KEY_ARN + "0"),
            naming(USER, Condition=CONDITION),
            naming(USER, Condition=UNDECIDED),
        ],
        context={"aws:resourcetag/o": ("x",)},
    )
    told = [(verdict.place, verdict.applies, verdict.mismatch) for verdict in decision.verdicts[1:]]
    assert told == [
        (1, True, ""),
        (2, False, "Principal"),
        (3, False, "Action"),
        (4, False, "Resource"),
        (5, False, "Condition"),
        (6, None, "Condition"),
    ]
