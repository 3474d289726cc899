"""Invariant: reading a policy returns a document that can be written and read again, or raises PolicyError.

Whatever the bytes: no other exception, no hang. What is read can be evaluated, whatever it says.
"""

import json
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from agent.policy.document import PolicyKind, dump
from agent.policy.errors import PolicyError
from agent.policy.evaluate import Policies, Request, evaluate
from agent.policy.parse import parse
from fuzzing import examples
from policies import ACCOUNT, ALICE, KEY_ARN, ROOT, naming, text

WORDS: Final = st.sampled_from(
    [
        *("Version", "Id", "Statement", "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
        *("Resource", "NotResource", "Condition", "AWS", "Service", "Allow", "Deny", "2012-10-17", "*"),
        *("kms:*", "kms:Decrypt", ROOT, "111122223333", KEY_ARN, "StringEquals", "ForAllValues:StringLike"),
        *("Null", "Bool", "IpAddress", "DateLessThan", "NumericEqualsIfExists", "ArnLike", "BinaryEquals"),
        *(
            "aws:username",
            "aws:TagKeys",
            "kms:EncryptionContext:a",
            "${aws:username}",
            "${",
            "true",
            "0.0.0.0/0",
        ),
    ]
)
LEAVES: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS
VALUES: Final = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=25,
)
TEXTS: Final = st.text(max_size=200) | VALUES.map(json.dumps)
REQUEST: Final = Request(ALICE, "kms:Decrypt", KEY_ARN, ACCOUNT, {"aws:username": ("alice",)})


def read(policy: str, kind: PolicyKind) -> None:
    """Read a policy, if it is one, and use it."""
    try:
        document = parse(policy, kind)
    except PolicyError:
        return
    assert parse(dump(document), kind) == document
    evaluate(REQUEST, Policies(document if kind is PolicyKind.KEY else None, (document,)))


@given(TEXTS, st.sampled_from(PolicyKind))
@example("[" * 30_000, PolicyKind.KEY)
@example('{"a":' * 6_000, PolicyKind.KEY)
@example("9" * 30_000, PolicyKind.KEY)
@example('{"Statement":[{"Sid":"\\udfff"}]}', PolicyKind.KEY)
@examples(600)
def test_any_text(policy: str, kind: PolicyKind) -> None:
    """Anything at all."""
    read(policy, kind)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Sid": VALUES,
            "Effect": VALUES,
            "Principal": VALUES,
            "Action": VALUES,
            "Resource": VALUES,
            "Condition": st.dictionaries(WORDS, st.dictionaries(WORDS, VALUES, max_size=2), max_size=3),
        },
    )
)
@examples(600)
def test_any_element(elements: dict[str, Any]) -> None:
    """A good policy with some of its elements replaced by anything."""
    read(json.dumps({"Version": "2012-10-17", "Statement": [{**naming(ROOT), **elements}]}), PolicyKind.KEY)


@given(st.integers(min_value=0), st.text(max_size=3), st.integers(0, 3))
@examples(400)
def test_any_change(position: int, inserted: str, removed: int) -> None:
    """A good policy with some of its characters changed."""
    condition = {"StringLike": {"kms:EncryptionContext:a": ["${aws:username}*", "b?"]}}
    policy = text(naming(ROOT, Sid="s", Condition=condition))
    position %= len(policy)
    read(policy[:position] + inserted + policy[position + removed :], PolicyKind.KEY)
