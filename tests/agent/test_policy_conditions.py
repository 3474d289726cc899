"""Condition operators: each row names the rule of the IAM User Guide that it shows."""

from typing import Final

import pytest

from agent.policy.conditions import Condition, condition, holds
from agent.policy.errors import PolicyError

# holds (- cannot be decided) | operator | key | values of the policy | of the request | rule
# Values are joined by +; in the request, those of another key stand after its name and =.
STRING: Final = """
yes | StringEquals | kms:KeySpec | RSA_2048 | RSA_2048 | StringEquals is exact
no | StringEquals | kms:KeySpec | RSA_2048 | RSA_4096 | StringEquals differs
no | StringEquals | aws:username | Ann | ann | StringEquals minds case
yes | StringEquals | aws:username | a + b | b | values are joined by or
no | StringEquals | aws:username | a* | ab | no wildcards in StringEquals
yes | StringEquals | aws:username | a* | a* | a star can be equal to a star
no | StringEquals | aws:username | a | missing | a missing key does not match
yes | StringEquals | AWS:UserName | a | a | key names have no case
yes | StringEquals | aws:ResourceTag/Team | a | a | tag keys in names have no case
yes | StringEquals | aws:ResourceTag/x | '' | '' | an empty value is a value
yes | StringNotEquals | aws:username | a | b | StringNotEquals differs
no | StringNotEquals | aws:username | a | a | StringNotEquals is equal
no | StringNotEquals | aws:username | a + b | b | negated values are joined by nor
yes | StringNotEquals | aws:username | a | missing | negated operators match a missing key
yes | StringEqualsIgnoreCase | aws:username | ANN | ann | IgnoreCase
yes | StringEqualsIgnoreCase | aws:username | ÄNN | änn | IgnoreCase beyond ASCII
no | StringEqualsIgnoreCase | aws:username | A* | ab | IgnoreCase takes no wildcards
no | StringNotEqualsIgnoreCase | aws:username | ANN | ann | NotEqualsIgnoreCase
yes | StringNotEqualsIgnoreCase | aws:username | ANN | missing | NotEqualsIgnoreCase, missing
yes | StringLike | kms:ViaService | ec2.*.amazonaws.com | ec2.us-east-1.amazonaws.com | StringLike with *
yes | StringLike | aws:username | a?c | abc | StringLike with ?
no | StringLike | aws:username | a?c | ac | ? is one character
no | StringLike | aws:username | A* | abc | StringLike minds case
yes | StringLike | aws:ResourceTag/x | * | '' | * matches an empty value
no | StringLike | aws:ResourceTag/x | * | missing | * does not match a missing key
no | StringNotLike | aws:username | a* | abc | StringNotLike
yes | StringNotLike | aws:username | a* | missing | StringNotLike, missing
"""
NUMBERS: Final = """
yes | NumericEquals | kms:RotationPeriodInDays | 180 | 180 | NumericEquals
yes | NumericEquals | kms:RotationPeriodInDays | 180.0 | 180 | numbers, not texts
yes | NumericNotEquals | kms:RotationPeriodInDays | 180 | 181 | NumericNotEquals
yes | NumericNotEquals | kms:RotationPeriodInDays | 180 | missing | NumericNotEquals, missing
yes | NumericLessThan | kms:RotationPeriodInDays | 180 | 90 | NumericLessThan
no | NumericLessThan | kms:RotationPeriodInDays | 180 | 180 | NumericLessThan is strict
no | NumericLessThan | kms:RotationPeriodInDays | 180 | missing | NumericLessThan, missing
yes | NumericLessThanEquals | kms:RotationPeriodInDays | 180 | 180 | NumericLessThanEquals
yes | NumericGreaterThan | kms:RotationPeriodInDays | 99 | 100 | NumericGreaterThan
no | NumericGreaterThanEquals | kms:RotationPeriodInDays | 100 | 99 | NumericGreaterThanEquals
- | NumericLessThan | aws:username | 5 | four | what is no number cannot be compared
- | NumericNotEquals | aws:username | 5 | four | nor found unequal
"""
DATES: Final = """
yes | DateEquals | aws:CurrentTime | 2026-01-01T00:00:00Z | 2026-01-01T00:00:00Z | DateEquals
yes | DateEquals | aws:CurrentTime | 2026-01-01T01:00:00+01:00 | 2026-01-01T00:00:00Z | zones count
yes | DateEquals | aws:EpochTime | 1970-01-02 | 86400 | epoch seconds are dates
yes | DateNotEquals | aws:EpochTime | 0 | 1 | DateNotEquals
yes | DateLessThan | aws:CurrentTime | 2026-06-01 | 2026-05-31T23:59:59Z | DateLessThan
no | DateLessThan | aws:CurrentTime | 2026-06-01 | 2026-06-01T00:00:00Z | DateLessThan, later
yes | DateLessThanEquals | aws:EpochTime | 10 | 10 | DateLessThanEquals
yes | DateGreaterThan | aws:CurrentTime | 2026-06-01T12:00:00.5Z | 2026-06-01T12:00:01Z | DateGreaterThan
no | DateGreaterThanEquals | aws:EpochTime | 10 | 9.5 | DateGreaterThanEquals
no | DateGreaterThan | kms:ValidTo | 0 | missing | DateGreaterThan, missing
- | DateLessThan | aws:username | 2026-01-01 | today | what is no date cannot be compared
"""
OTHERS: Final = """
yes | Bool | aws:SecureTransport | true | true | Bool
yes | Bool | aws:SecureTransport | True | true | Bool has no case
no | Bool | aws:SecureTransport | false | true | Bool differs
no | Bool | aws:MultiFactorAuthPresent | false | missing | Bool, missing
yes | BoolIfExists | aws:MultiFactorAuthPresent | true | missing | BoolIfExists, missing
no | BoolIfExists | aws:MultiFactorAuthPresent | true | false | BoolIfExists, there
yes | BinaryEquals | aws:ResourceTag/b | AQI= | AQI= | BinaryEquals compares bytes
no | BinaryEquals | aws:ResourceTag/b | AQI= | AQM= | BinaryEquals differs
- | BinaryEquals | aws:ResourceTag/b | AQI= | ? | BinaryEquals of no Base64
yes | IpAddress | aws:SourceIp | 203.0.113.0/24 | 203.0.113.9 | IpAddress in a range
yes | IpAddress | aws:SourceIp | 203.0.113.9 | 203.0.113.9 | IpAddress without a range
no | IpAddress | aws:SourceIp | 203.0.113.0/24 | 203.0.114.1 | IpAddress outside
yes | IpAddress | aws:SourceIp | 2001:db8::/32 | 2001:db8::1 | IpAddress of IPv6
no | IpAddress | aws:SourceIp | ::/0 | 203.0.113.9 | IPv4 is not in IPv6
yes | IpAddress | aws:SourceIp | 203.0.113.0/24 | ::ffff:203.0.113.9 | IPv4 within IPv6 is IPv4
no | IpAddress | aws:SourceIp | 0.0.0.0/0 | missing | IpAddress, missing
yes | NotIpAddress | aws:SourceIp | 203.0.113.0/24 | 198.51.100.1 | NotIpAddress
no | NotIpAddress | aws:SourceIp | 203.0.113.0/24 | 203.0.113.1 | NotIpAddress inside
yes | NotIpAddress | aws:SourceIp | 203.0.113.0/24 | missing | NotIpAddress, missing
- | NotIpAddress | aws:SourceIp | 10.0.0.0/8 | local | what is no address cannot be compared
yes | ArnEquals | aws:PrincipalArn | arn:a:b::1:user/a | arn:a:b::1:user/a | ArnEquals
yes | ArnEquals | aws:PrincipalArn | arn:a:b::1:user/* | arn:a:b::1:user/a | wildcards too
no | ArnLike | aws:PrincipalArn | arn:a:b::*:user/a | arn:a:b::1:role:user/a | each part by itself
yes | StringLike | aws:PrincipalArn | arn:a:b::*:user/a | arn:a:b::1:role:user/a | StringLike crosses parts
no | ArnLike | aws:PrincipalArn | arn:a:b::1:* | root | ArnLike of what is no ARN
yes | ArnNotEquals | aws:SourceArn | arn:aws:s3:::b | arn:aws:s3:::c | ArnNotEquals
no | ArnNotLike | aws:SourceArn | arn:aws:s3:::* | arn:aws:s3:::c | ArnNotLike
yes | ArnNotLike | aws:SourceArn | arn:aws:s3:::* | missing | ArnNotLike, missing
yes | Null | aws:TokenIssueTime | true | missing | Null true: the key is missing
no | Null | aws:username | true | a | Null true: the key is there
yes | Null | aws:username | false | a | Null false: the key is there
no | Null | aws:username | false | missing | Null false: the key is missing
yes | StringEqualsIfExists | aws:username | a | missing | IfExists, missing
yes | StringEqualsIfExists | aws:username | a | a | IfExists, there and equal
no | StringEqualsIfExists | aws:username | a | b | IfExists, there and different
yes | NumericLessThanIfExists | kms:RotationPeriodInDays | 9 | missing | NumericLessThanIfExists
"""
SETS: Final = """
yes | ForAnyValue:StringEquals | aws:TagKeys | a | b + a | ForAnyValue: one fits
no | ForAnyValue:StringEquals | aws:TagKeys | a | b + c | ForAnyValue: none fits
no | ForAnyValue:StringEquals | aws:TagKeys | a | missing | ForAnyValue: missing
no | ForAnyValue:StringEquals | aws:TagKeys | a | none | ForAnyValue: empty
yes | ForAnyValue:StringNotEquals | aws:TagKeys | a | a + b | ForAnyValue, negated: one differs
no | ForAnyValue:StringNotEquals | aws:TagKeys | a + b | a + b | ForAnyValue, negated: all equal
no | ForAnyValue:StringNotEquals | aws:TagKeys | a | missing | ForAnyValue, negated: missing
- | ForAnyValue:StringEqualsIfExists | aws:TagKeys | a | missing | ForAnyValue against IfExists
yes | ForAllValues:StringEquals | kms:GrantOperations | Sign + Verify | Verify + Sign | ForAllValues: all fit
no | ForAllValues:StringEquals | kms:GrantOperations | Encrypt | Encrypt + Sign | ForAllValues: one does not
yes | ForAllValues:StringEquals | kms:GrantOperations | Encrypt | missing | ForAllValues: missing
yes | ForAllValues:StringEquals | kms:GrantOperations | Encrypt | none | ForAllValues: empty
yes | ForAllValues:StringNotEquals | aws:TagKeys | a | b + c | ForAllValues, negated: none is listed
no | ForAllValues:StringNotEquals | aws:TagKeys | a | a + b | ForAllValues, negated: one is listed
yes | ForAllValues:StringNotEquals | aws:TagKeys | a | missing | ForAllValues, negated: missing
yes | ForAllValues:StringLike | kms:ResourceAliases | alias/a* | alias/a1 + alias/a2 | with wildcards
yes | StringEquals | aws:TagKeys | a + b | a + b | several values without a quantifier, all fit
no | StringEquals | aws:TagKeys | x | a + b | several values without a quantifier, none fits
- | StringEquals | aws:TagKeys | a | a + b | several values without a quantifier, some fit
yes | Null | aws:TagKeys | false | a + b | Null on a multi-valued key
"""
VARIABLES: Final = """
yes | StringEquals | aws:ResourceTag/owner | ${aws:username} | ann; aws:username=ann | a variable is filled in
no | StringEquals | aws:ResourceTag/owner | ${aws:username} | ann; aws:username=bob | a variable differs
yes | StringEquals | kms:RequestAlias | a/${aws:PrincipalTag/t} | a/red; aws:principaltag/t=red | text around
yes | StringEquals | aws:ResourceTag/o | ${AWS:USERNAME} | a; aws:username=a | a variable's name has no case
- | StringEquals | aws:ResourceTag/owner | ${aws:username} | ann | a missing variable cannot be compared
- | StringNotEquals | aws:ResourceTag/owner | ${aws:username} | ann | nor found unequal
yes | StringEquals | aws:ResourceTag/t | ${aws:PrincipalTag/t, 'all'} | all | a default
no | StringEquals | aws:ResourceTag/t | ${aws:username, 'all'} | all; aws:username=red | no default
yes | StringLike | aws:username | a${*} | a* | ${*} is a star
no | StringLike | aws:username | a${*} | ab | ${*} is no wildcard
no | StringLike | aws:username | a${?} | ab | ${?} is a question mark
yes | StringEquals | aws:username | ${$}{aws:username} | ${aws:username} | ${$} is a dollar sign
no | StringLike | aws:ResourceTag/o | ${aws:username} | x; aws:username=* | wildcards filled in are literal
yes | StringEquals | aws:ResourceTag/o | ${aws:username} + x | x | another value may fit
yes | ArnLike | aws:PrincipalArn | arn:a:b::1:${aws:username} | arn:a:b::1:ann; aws:username=ann | in ARNs
no | ArnLike | aws:PrincipalArn | arn:a:b::${aws:username}:b | arn:a:b::1:a:b; aws:username=1:a | in its part
"""
ROWS: Final = [
    [column.strip() for column in line.split(" | ")]
    for line in (STRING + NUMBERS + DATES + OTHERS + SETS + VARIABLES).splitlines()
    if line
]
HOLDS: Final = {"yes": True, "no": False, "-": None}


def values_of(column: str) -> tuple[str, ...]:
    """Read a list of values."""
    return () if column == "none" else tuple(value.strip("'") for value in column.split(" + "))


def context_of(column: str, key: str) -> dict[str, tuple[str, ...]]:
    """Read the condition keys of a request."""
    context = {}
    for part in () if column == "missing" else column.split("; "):
        name, equals, values = part.partition("=")
        if equals and ":" in name and name == name.lower():
            context[name] = values_of(values)
        else:
            context[key.lower()] = values_of(part)
    return context


@pytest.mark.parametrize("row", ROWS, ids=[row[5] for row in ROWS])
def test_conditions(row: list[str]) -> None:
    """A condition holds, does not hold, or cannot be decided, as its row says."""
    expected, operator, key, values, context, _rule = row
    tested = condition(operator, key, values_of(values), variables=True)
    assert holds(tested, context_of(context, key)) is HOLDS[expected]


def test_variables_mean_nothing_in_the_old_version() -> None:
    """Before 2012-10-17, `${…}` is text."""
    tested = condition("StringEquals", "aws:ResourceTag/o", ("${aws:username}",), variables=False)
    assert holds(tested, {"aws:resourcetag/o": ("${aws:username}",)}) is True
    assert holds(tested, {"aws:resourcetag/o": ("ann",), "aws:username": ("ann",)}) is False


def test_a_condition_that_is_not_understood_cannot_be_decided() -> None:
    """An operator or key that nobody has made ready is never taken for true or false."""
    assert holds(Condition("StringMatches", "kms:KeySpec", ("x",)), {"kms:keyspec": ("x",)}) is None


REFUSED: Final = [
    ("StringMatches", "kms:KeySpec", ("x",), "unknown condition operator"),
    ("stringequals", "kms:KeySpec", ("x",), "unknown condition operator"),
    ("ForSomeValues:StringEquals", "aws:TagKeys", ("x",), "unknown condition operator"),
    ("ForAllValues:Null", "aws:TagKeys", ("true",), "unknown condition operator"),
    ("NullIfExists", "aws:TagKeys", ("true",), "unknown condition operator"),
    ("StringEquals", "kms:Color", ("x",), "unknown condition key"),
    ("StringEquals", "s3:prefix", ("x",), "unknown condition key"),
    ("StringEquals", "aws:PrincipalTag/", ("x",), "unknown condition key"),
    ("NumericEquals", "kms:RotationPeriodInDays", ("many",), "not a number"),
    ("NumericEquals", "kms:RotationPeriodInDays", ("1e9",), "not a number"),
    ("NumericEquals", "kms:RotationPeriodInDays", ("${aws:username}",), "not a number"),
    ("DateEquals", "aws:CurrentTime", ("yesterday",), "not a date"),
    ("DateEquals", "aws:CurrentTime", ("2026-02-30T00:00:00Z",), "not a date that exists"),
    ("Bool", "aws:SecureTransport", ("yes",), "neither true nor false"),
    ("Null", "aws:username", ("maybe",), "neither true nor false"),
    ("Null", "aws:username", ("true", "false"), "either true or false"),
    ("BinaryEquals", "aws:ResourceTag/b", ("é",), "not Base64"),
    ("IpAddress", "aws:SourceIp", ("203.0.113.0/33",), "not an IP address"),
    ("ArnLike", "aws:PrincipalArn", ("arn:a:b::1",), "not an ARN"),
    ("StringEquals", "aws:username", ("${aws:username",), "malformed or has no end"),
    ("StringEquals", "aws:username", ("${}",), "malformed or has no end"),
    ("StringEquals", "aws:username", ("${aws:color}",), "unknown condition key"),
    ("StringEquals", "aws:username", ("${aws:TagKeys}",), "has several values"),
]


@pytest.mark.parametrize(("operator", "key", "values", "message"), REFUSED)
def test_conditions_that_cannot_be_enforced_are_refused(
    operator: str, key: str, values: tuple[str, ...], message: str
) -> None:
    """What is not in the tables, or not of the operator's kind, is refused with the reason."""
    with pytest.raises(PolicyError, match=message):
        condition(operator, key, values, variables=True)
