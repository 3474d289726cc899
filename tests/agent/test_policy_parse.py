"""Which policies are accepted, and how others are refused."""

import json
from typing import Any, Final

import pytest

from agent.policy.actions import ACTIONS
from agent.policy.document import PolicyKind, dump
from agent.policy.errors import PolicyError
from agent.policy.parse import MAX_BYTES, parse
from policies import KEY_ARN, ROLE, ROOT, SESSION, USER, naming, statement, text

KEY, IDENTITY = PolicyKind.KEY, PolicyKind.IDENTITY

ACCEPTED: Final[list[tuple[PolicyKind, Any]]] = [
    (KEY, {"Statement": naming(ROOT)}),
    (KEY, {"Version": "2008-10-17", "Statement": [naming(ROOT)]}),
    (KEY, {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [naming("111122223333", Sid="a b")]}),
    (KEY, {"Statement": [naming([ROOT, USER, ROLE, SESSION])]}),
    (KEY, {"Statement": [statement(Principal="*")]}),
    (KEY, {"Statement": [statement(Principal={"AWS": USER, "Service": ["s3.amazonaws.com"]})]}),
    (KEY, {"Statement": [statement("Deny", NotPrincipal={"AWS": [USER, ROOT]})]}),
    (KEY, {"Statement": [naming(ROOT, Action=["kms:De*", "KMS:encrypt", "kms:ReEncrypt*"])]}),
    (KEY, {"Statement": [naming(ROOT, Action="s3:GetObject")]}),
    (KEY, {"Statement": [naming(ROOT, Resource=["*", "arn:aws:kms:*:*:key/*"])]}),
    (KEY, {"Statement": [naming(ROOT, Condition={})]}),
    (KEY, {"Statement": [naming(ROOT, Condition={"Bool": {"kms:GrantIsForAWSResource": True}})]}),
    (
        KEY,
        {
            "Statement": [
                naming(ROOT, Condition={"NumericLessThan": {"kms:RotationPeriodInDays": [180, 1.5]}})
            ]
        },
    ),
    (
        KEY,
        {"Statement": [naming(ROOT, "Deny", Condition={"ForAllValues:StringEquals": {"aws:username": "a"}})]},
    ),
    (KEY, {"Statement": [naming(ROOT, Condition={"ForAllValues:StringEquals": {"aws:TagKeys": "a"}})]}),
    (IDENTITY, {"Statement": [statement(NotAction="kms:*", NotResource=KEY_ARN)]}),
    (IDENTITY, {"Statement": [statement(Action="*")]}),
]

REFUSED: Final[list[tuple[PolicyKind, str, str]]] = [
    (KEY, "not json", "not valid JSON: .* at line 1, column 1"),
    (KEY, "", "not valid JSON"),
    (KEY, "[]", "The policy: write an object"),
    (KEY, "{}", "Statement: there is no statement"),
    (KEY, '{"Statement":[]}', "there is no statement"),
    (KEY, '{"Statement":["x"]}', "Statement 1: write an object"),
    (KEY, '{"Statement":[{"Effect":NaN}]}', "it has no NaN"),
    (KEY, "[" * 20_000, "nested too deeply"),
    (KEY, '{"Version":"2012-10-17","Version":"2012-10-17"}', 'member "Version" is there twice'),
    (KEY, '{"Statement":[{"Effect":"Deny","Effect":"Allow"}]}', 'member "Effect" is there twice'),
    (KEY, '{"Statement":[{}],"Extra":1}', 'unknown element "Extra"'),
    (KEY, json.dumps({"Version": "2024-01-01", "Statement": [naming(ROOT)]}), "Version: there is no version"),
    (KEY, json.dumps({"Version": 5, "Statement": [naming(ROOT)]}), "Version: write a string"),
    (KEY, json.dumps({"Id": ["x"], "Statement": [naming(ROOT)]}), "Id: write a string"),
    (KEY, text(naming(ROOT), {**naming(ROOT), "Efect": "Allow"}), 'Statement 2: unknown element "Efect"'),
    (KEY, text({**naming(ROOT), "Effect": "allow"}), "Statement 1, Effect: write Allow or Deny"),
    (KEY, text({"Principal": "*", "Action": "*", "Resource": "*"}), "Effect: write Allow or Deny"),
    (KEY, text(naming(ROOT, Sid="a\nb")), "Sid: .* has characters"),
    (KEY, text(naming(ROOT, Sid="x"), naming(ROOT, Sid="x")), "two statements have the same Sid"),
    (KEY, text(*[naming(ROOT)] * 257), "more than 256 statements"),
    (KEY, text(naming(ROOT, Sid="?" * 257)), "more than 256 question marks"),
    (KEY, text(statement()), "write either Principal or NotPrincipal"),
    (KEY, text(naming(ROOT, NotPrincipal="*")), "write either Principal or NotPrincipal"),
    (KEY, text({**naming(ROOT), "NotAction": "kms:*"}), "write either Action or NotAction"),
    (KEY, text({"Effect": "Allow", "Principal": "*", "Resource": "*"}), "write either Action or NotAction"),
    (KEY, text({"Effect": "Allow", "Principal": "*", "Action": "*"}), "write either Resource or NotResource"),
    (IDENTITY, text(naming(ROOT)), "Principal: it has no place in an identity-based policy"),
    (PolicyKind.BOUNDARY, text(naming(ROOT)), "no place in a permissions boundary"),
    (KEY, text(statement(Principal={})), "Principal: it names nobody"),
    (KEY, text(statement(Principal=[ROOT])), "Principal: write an object"),
    (KEY, text(statement(Principal="all")), "Principal: write an object"),
    (KEY, text(statement(Principal={"Aws": ROOT})), 'unknown element "Aws"'),
    (KEY, text(naming([])), r"Principal\.AWS: the list is empty"),
    (KEY, text(naming(5)), r"Principal\.AWS: write a string"),
    (KEY, text(naming("alice")), "invalid principals: .* is no principal"),
    (KEY, text(naming("11112222333")), "is no principal"),
    (KEY, text(naming("arn:aws:iam::111122223333:user/*")), "wildcards are not allowed in it"),
    (KEY, text(naming("arn:aws:iam::111122223333:group/g")), "is no principal"),
    (KEY, text(naming("arn:aws:sts::111122223333:assumed-role/app")), "is no principal"),
    (KEY, text(naming("AIDAEXAMPLE")), "is no principal"),
    (KEY, text(statement(Principal={"Service": "s3"})), "is no service"),
    (KEY, text(statement(Principal={"Federated": "a b"})), "is no identity provider"),
    (KEY, text(statement(Principal={"CanonicalUser": "x"})), "is no canonical user"),
    (KEY, text(naming(ROOT, Action="Decrypt")), "is not an action"),
    (KEY, text(naming(ROOT, Action="kms:Decryptt")), "not an action of this service"),
    (KEY, text(naming(ROOT, Action="kms:Foo*")), "not an action of this service"),
    (KEY, text(naming(ROOT, Action="k*:Decrypt")), "is not an action"),
    (KEY, text(naming(ROOT, Action=["kms:*", 7])), "Action: write a string"),
    (KEY, text(naming(ROOT, Action=[])), "the list is empty"),
    (KEY, text(naming(ROOT, Resource="key/x")), "Resource: .* is not an ARN"),
    (KEY, text(naming(ROOT, Resource="arn:aws:kms:*")), "is not an ARN"),
    (KEY, text(naming(ROOT, Resource="arn:aws:kms:*:*:key/${aws:color}")), "unknown condition key"),
    (KEY, text(naming(ROOT, Condition=[])), "Condition: write an object"),
    (KEY, text(naming(ROOT, Condition={"Bool": "x"})), "write an object"),
    (KEY, text(naming(ROOT, Condition={"Bool": {"aws:SecureTransport": []}})), "the list is empty"),
    (KEY, text(naming(ROOT, Condition={"Bool": {"aws:SecureTransport": {}}})), "write a string"),
    (KEY, text(naming(ROOT, Condition={"Bool": {"aws:SecureTransport": None}})), "write a string"),
    (
        KEY,
        text(naming(ROOT, Condition={"Boolean": {"aws:SecureTransport": "true"}})),
        "unknown condition operator",
    ),
    (KEY, text(naming(ROOT, Condition={"Bool": {"aws:Secure": "true"}})), "Condition: unknown condition key"),
    (
        KEY,
        text(naming(ROOT, Condition={"ForAllValues:StringEquals": {"aws:username": "a"}})),
        "OverlyPermissiveCondition: .* leave ForAllValues out",
    ),
    (KEY, '{"Statement":[{"Sid":"\\ud800"}]}', "not valid Unicode"),
]


@pytest.mark.parametrize(("kind", "document"), ACCEPTED)
def test_policies_are_read_and_written_alike(kind: PolicyKind, document: dict[str, Any]) -> None:
    """What is accepted means the same after it was written out and read again."""
    read = parse(json.dumps(document), kind)
    assert parse(dump(read), kind) == read


@pytest.mark.parametrize(("kind", "policy", "message"), REFUSED)
def test_policies_that_are_not_understood_are_refused(kind: PolicyKind, policy: str, message: str) -> None:
    """The refusal says what is wrong and where."""
    with pytest.raises(PolicyError, match=message):
        parse(policy, kind)


@pytest.mark.parametrize("kind", PolicyKind)
def test_policies_have_a_size(kind: PolicyKind) -> None:
    """A policy may be as long as its kind allows, counted in bytes, and not one byte longer."""
    policy = text(naming(ROOT) if kind is KEY else statement())
    longest = policy + " " * (MAX_BYTES[kind] - len(policy))
    parse(longest, kind)
    with pytest.raises(PolicyError, match="bytes long"):
        parse(longest + " ", kind)


def test_text_that_is_no_unicode_is_refused() -> None:
    """Half of a surrogate pair is no text, wherever it stands."""
    with pytest.raises(PolicyError, match="not valid Unicode"):
        parse('"\ud800"', KEY)


def test_messages_are_short_and_in_ascii() -> None:
    """Whatever a policy holds, the refusal can be shown and logged."""
    with pytest.raises(PolicyError) as caught:
        parse(text(naming(ROOT, Action="kms:\u202e\x1b" + "x" * 9000)), KEY)
    assert str(caught.value).isascii() or "…" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_operation_can_be_written_in_a_policy() -> None:
    """No action of the service is unknown to its policies."""
    assert {"kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"} < ACTIONS
    for action in ACTIONS:
        parse(text(statement(Action=action)), IDENTITY)
