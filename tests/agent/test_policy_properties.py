"""What holds of every policy, found out with policies made up at random."""

import json
import re
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.authz import remembered
from agent.policy.conditions import Condition
from agent.policy.document import Document, Effect, PolicyKind, dump
from agent.policy.evaluate import Decision, MatchedGrant, Policies, Request, evaluate
from agent.policy.match import pattern
from agent.policy.parse import parse
from agent.policy.principals import Reach
from policies import ACCOUNT, ALICE, APP, BOB, KEY_ARN, OTHER_ROOT, ROLE, ROOT, SESSION, USER, ZOE, Asker

ACTIONS: Final = ["kms:Decrypt", "kms:De*", "kms:*", "*", "kms:Encrypt", "kms:?ncrypt"]
RESOURCES: Final = ["*", KEY_ARN, "arn:aws:kms:*:*:key/*", "arn:aws:kms:*:*:key/${aws:PrincipalTag/k}"]
PRINCIPALS: Final = ["*", ROOT, USER, BOB, ROLE, SESSION, OTHER_ROOT, ZOE.arn]
CONDITIONS: Final[list[tuple[str, str, list[str]]]] = [
    ("StringEquals", "aws:username", ["alice", "bob"]),
    ("StringNotEquals", "aws:username", ["alice"]),
    ("StringLikeIfExists", "kms:ViaService", ["s3.*"]),
    ("ForAnyValue:StringLike", "kms:ResourceAliases", ["alias/a*"]),
    ("ForAnyValue:StringEqualsIfExists", "kms:ResourceAliases", ["alias/a"]),
    ("StringEquals", "aws:ResourceTag/o", ["${aws:username}"]),
    ("Null", "aws:username", ["true"]),
    ("Bool", "aws:SecureTransport", ["true"]),
    ("NumericLessThan", "kms:RotationPeriodInDays", ["100"]),
    ("NotIpAddress", "aws:SourceIp", ["203.0.113.0/24"]),
]
VALUES: Final = {
    "aws:username": [("alice",), ("bob",)],
    "kms:viaservice": [("s3.x",), ("ec2.x",)],
    "kms:resourcealiases": [("alias/a", "alias/b"), ("alias/c",), ()],
    "aws:resourcetag/o": [("alice",), ("${aws:username}",)],
    "aws:principaltag/k": [("*",), ("1234abcd-12ab-34cd-56ef-1234567890ab",)],
    "aws:securetransport": [("true",), ("false",)],
    "kms:rotationperiodindays": [("90",), ("many",)],
    "aws:sourceip": [("203.0.113.1",), ("10.0.0.1",), ("nowhere",)],
}


def some_of(choices: list[str]) -> st.SearchStrategy[list[str]]:
    """Make one or a few of them."""
    return st.lists(st.sampled_from(choices), min_size=1, max_size=3, unique=True)


@st.composite
def statements(draw: st.DrawFn, *, named: bool, effect: str | None = None) -> dict[str, Any]:
    """Make a statement."""
    made: dict[str, Any] = {"Effect": effect or draw(st.sampled_from(["Allow", "Deny"]))}
    if named:
        made[draw(st.sampled_from(["Principal", "NotPrincipal"]))] = {"AWS": draw(some_of(PRINCIPALS))}
    made[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(some_of(ACTIONS))
    made[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(some_of(RESOURCES))
    conditions: dict[str, dict[str, list[str]]] = {}
    for operator, key, values in draw(st.lists(st.sampled_from(CONDITIONS), max_size=2)):
        conditions.setdefault(operator, {})[key] = values
    if conditions:
        made["Condition"] = conditions
    return made


@st.composite
def documents(draw: st.DrawFn, kind: PolicyKind) -> Document:
    """Make a policy."""
    made = draw(st.lists(statements(named=kind is PolicyKind.KEY), min_size=1, max_size=4))
    version = draw(st.sampled_from(["2012-10-17", "2008-10-17"]))
    return parse(json.dumps({"Version": version, "Statement": made}), kind)


KEYS: Final = documents(PolicyKind.KEY)
IDENTITIES: Final = documents(PolicyKind.IDENTITY)
POLICIES: Final = st.builds(
    Policies,
    key=st.none() | KEYS,
    identity=st.lists(IDENTITIES, max_size=2).map(tuple),
    boundary=st.none() | IDENTITIES,
    session=st.lists(IDENTITIES, max_size=1).map(tuple),
    guard=st.lists(IDENTITIES, max_size=1).map(tuple),
    grants=st.lists(st.builds(MatchedGrant, st.just("g"), st.sampled_from(Reach)), max_size=1),
)
CONTEXTS: Final = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
)
REQUESTS: Final = st.builds(
    Request,
    principal=st.sampled_from([ALICE, APP, ZOE, Asker(BOB)]),
    action=st.sampled_from(["kms:Decrypt", "kms:Encrypt", "kms:Sign"]),
    resource=st.just(KEY_ARN),
    resource_account=st.just(ACCOUNT),
    context=CONTEXTS,
)


def changed(policies: Policies, where: str, place: int, document: Document) -> Policies:
    """Put a policy where another one is."""
    if where in {"key", "boundary"}:
        return policies._replace(**{where: document})
    documents = list(getattr(policies, where))
    documents[place] = document
    return policies._replace(**{where: tuple(documents)})


def each(policies: Policies) -> list[tuple[str, int, Document]]:
    """List the policies that there are, and where."""
    single = [(name, 0, getattr(policies, name)) for name in ("key", "boundary")]
    listed = [
        (name, place, document)
        for name in ("identity", "session", "guard")
        for place, document in enumerate(getattr(policies, name))
    ]
    return [found for found in single if found[2] is not None] + listed


def no_more_allowed(before: Decision, after: Decision) -> bool:
    """Tell whether nothing was allowed by a change."""
    return before.allowed or not after.allowed


@given(POLICIES, REQUESTS, st.data())
def test_adding_a_deny_never_allows(policies: Policies, request: Request, data: st.DataObject) -> None:
    """Whatever a Deny says, wherever it is added, nothing becomes allowed."""
    if not each(policies):
        return
    where, place, document = data.draw(st.sampled_from(each(policies)))
    made = data.draw(statements(named=where == "key", effect="Deny"))
    kind = PolicyKind.KEY if where == "key" else PolicyKind.IDENTITY
    (deny,) = parse(json.dumps({"Version": "2012-10-17", "Statement": made}), kind).statements
    more = replace(document, statements=(*document.statements, deny))
    assert no_more_allowed(
        evaluate(request, policies), evaluate(request, changed(policies, where, place, more))
    )


@given(POLICIES, REQUESTS, st.data())
def test_removing_an_allow_never_allows(policies: Policies, request: Request, data: st.DataObject) -> None:
    """Without a statement that allowed, nothing more is allowed."""
    candidates = [
        (where, place, document, index)
        for where, place, document in each(policies)
        for index, statement in enumerate(document.statements)
        if statement.effect is Effect.ALLOW
    ]
    if not candidates:
        return
    where, place, document, index = data.draw(st.sampled_from(candidates))
    fewer = replace(document, statements=document.statements[:index] + document.statements[index + 1 :])
    assert no_more_allowed(
        evaluate(request, policies), evaluate(request, changed(policies, where, place, fewer))
    )


@given(POLICIES, REQUESTS, st.sampled_from(["kms:Color", "s3:prefix", "aws:Later"]))
def test_unknown_condition_keys_never_allow(policies: Policies, request: Request, key: str) -> None:
    """A condition that nobody understands takes from every Allow its effect, and from no Deny."""
    unknown = Condition("StringEquals", key, ("x",))
    policies = policies._replace(grants=())
    hindered = policies
    for where, place, document in each(policies):
        statements = tuple(
            replace(statement, conditions=(*statement.conditions, unknown))
            for statement in document.statements
        )
        hindered = changed(hindered, where, place, replace(document, statements=statements))
    before, after = evaluate(request, policies), evaluate(request, hindered)
    assert not after.allowed
    for verdict, hindered_verdict in zip(before.verdicts, after.verdicts, strict=True):
        if verdict.statement.effect is Effect.DENY:
            assert hindered_verdict.counts == verdict.counts


@given(KEYS, IDENTITIES)
def test_policies_can_be_written_and_read_again(key: Document, identity: Document) -> None:
    """Reading what was written gives the same policy."""
    assert parse(dump(key), PolicyKind.KEY) == key
    assert parse(dump(identity), PolicyKind.IDENTITY) == identity


@given(POLICIES, REQUESTS)
def test_a_deny_that_counts_decides(policies: Policies, request: Request) -> None:
    """A request is denied explicitly if and only if a Deny takes effect, and by that kind of policy."""
    decision = evaluate(request, policies)
    denying = {
        verdict.kind
        for verdict in decision.verdicts
        if verdict.counts and verdict.statement.effect is Effect.DENY
    }
    if denying:
        assert not decision.allowed
        assert decision.ground.kind in denying
    assert (decision.ground.explicit and not decision.allowed) == bool(denying)


@given(st.text("ab*?.\n", max_size=12), st.text("ab.\n", max_size=12))
def test_wildcards_match_what_an_expression_matches(written: str, text: str) -> None:
    """Looking for the pieces between stars from left to right finds what trying everything finds."""
    wildcards = {"*": ".*", "?": "."}
    expression = "".join(wildcards.get(letter) or re.escape(letter) for letter in written)
    expected = re.fullmatch(expression, text, re.DOTALL) is not None
    assert pattern(written, variables=True).matches(text, {}) is expected


def remembers(policies: Policies, request: Request) -> bool:
    """Tell whether policies allow a request for whatever else it says."""
    assert policies.key is not None
    texts = remembered._Texts(
        administrator=False,
        key=dump(policies.key),
        identity=tuple(map(dump, policies.identity)),
        boundary=None if policies.boundary is None else dump(policies.boundary),
        session=tuple(map(dump, policies.session)),
        guard=dump(policies.guard[0]) if policies.guard else None,
    )
    asker = request.principal
    caller = remembered._Caller(asker.arn, asker.account_id, asker.role_arn)
    return remembered._is_allowed(caller, request.action, request.resource, request.resource_account, texts)


@given(POLICIES, REQUESTS)
def test_what_is_remembered_holds_for_every_request(policies: Policies, request: Request) -> None:
    """A decision that was made without looking at a request is the one on any: context and grants."""
    if policies.key is not None and remembers(policies, request):
        assert evaluate(request, policies).allowed


OPEN: Final = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NARROW: Final = [
    *({"Condition": {operator: {key: values}}} for operator, key, values in CONDITIONS),
    {"Resource": "arn:aws:kms:*:*:key/${aws:PrincipalTag/k}"},
]


@pytest.mark.parametrize("where", ["key", "identity", "boundary", "session", "guard"])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("narrow", NARROW, ids=str)
def test_what_depends_on_a_request_is_not_remembered(narrow: dict[str, Any], effect: str, where: str) -> None:
    """With a condition or a variable in any policy that has a say, each request is decided by itself."""
    named = {"Principal": {"AWS": ROOT}}
    policies = {name: [OPEN] for name in ("identity", "boundary", "session", "guard")}
    policies["key"] = [OPEN | named]
    request = Request(ALICE, "kms:Decrypt", KEY_ARN, ACCOUNT, {})

    def read(name: str) -> Document:
        """Read one of the policies."""
        text = json.dumps({"Version": "2012-10-17", "Statement": policies[name]})
        return parse(text, PolicyKind.KEY if name == "key" else PolicyKind.IDENTITY)

    def all_of_them() -> Policies:
        """Read all of the policies."""
        return Policies(
            read("key"), (read("identity"),), read("boundary"), (read("session"),), (read("guard"),)
        )

    assert remembers(all_of_them(), request)
    changed = OPEN | {"Effect": effect} | narrow | (named if where == "key" else {})
    policies[where] = [changed] if effect == "Allow" else [*policies[where], changed]
    assert not remembers(all_of_them(), request)
