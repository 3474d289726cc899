"""Owns the condition operators, and what one condition says of one request.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators", and "Set operators for multi-valued
context keys". A table; what is not in it cannot be decided.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, NamedTuple

from agent.policy import condition_keys, operands
from agent.policy.errors import PolicyError, quote
from agent.policy.match import Truth, arn_pattern, every, pattern, some
from agent.policy.variables import Context

Values = tuple[str, ...]

_FOR_ALL: Final = "ForAllValues"
_FOR_ANY: Final = "ForAnyValue"
_IF_EXISTS: Final = "IfExists"
_NULL: Final = "Null"


class _Operator(NamedTuple):
    """One row of the table.

    Attributes:
        read: turns a value of a policy into an operand; the second argument tells whether variables count.
        test: compares an operand with a value of the request.
        negated: whether it holds when no value of the policy fits.
    """

    read: Callable[[str, bool], Any]
    test: Callable[[Any, str, Context], Truth]
    negated: bool = False


def _comparing(
    read: Callable[[str], Any], compare: Callable[[Any, Any], bool], *, negated: bool = False
) -> _Operator:
    """Return the row of an operator that reads both sides alike, in which variables mean nothing."""

    def test(operand: Any, value: str, _context: Context) -> Truth:  # noqa: ANN401 -- what `read` returns
        try:
            return compare(read(value), operand)
        except PolicyError:
            return None

    return _Operator(lambda text, _variables: read(text), test, negated)


def _matching(*, negated: bool = False, wildcards: bool = False, folded: bool = False) -> _Operator:
    """Return the row of an operator on texts."""
    return _Operator(
        lambda text, variables: pattern(text, variables=variables, wildcards=wildcards, folded=folded),
        lambda operand, value, context: operand.matches(value, context),
        negated,
    )


def _on_arns(*, negated: bool = False) -> _Operator:
    """Return the row of an operator on ARNs, all of which take wildcards."""
    return _Operator(
        lambda text, variables: arn_pattern(text, variables=variables),
        lambda operand, value, context: operand.matches(value, context),
        negated,
    )


def _contains(address: operands.Network, allowed: operands.Network) -> bool:
    if isinstance(address, IPv4Network):
        return isinstance(allowed, IPv4Network) and address.subnet_of(allowed)
    return isinstance(allowed, IPv6Network) and address.subnet_of(allowed)


OPERATORS: Final[Mapping[str, _Operator]] = {
    "StringEquals": _matching(),
    "StringNotEquals": _matching(negated=True),
    "StringEqualsIgnoreCase": _matching(folded=True),
    "StringNotEqualsIgnoreCase": _matching(folded=True, negated=True),
    "StringLike": _matching(wildcards=True),
    "StringNotLike": _matching(wildcards=True, negated=True),
    "NumericEquals": _comparing(operands.number, operator.eq),
    "NumericNotEquals": _comparing(operands.number, operator.eq, negated=True),
    "NumericLessThan": _comparing(operands.number, operator.lt),
    "NumericLessThanEquals": _comparing(operands.number, operator.le),
    "NumericGreaterThan": _comparing(operands.number, operator.gt),
    "NumericGreaterThanEquals": _comparing(operands.number, operator.ge),
    "DateEquals": _comparing(operands.moment, operator.eq),
    "DateNotEquals": _comparing(operands.moment, operator.eq, negated=True),
    "DateLessThan": _comparing(operands.moment, operator.lt),
    "DateLessThanEquals": _comparing(operands.moment, operator.le),
    "DateGreaterThan": _comparing(operands.moment, operator.gt),
    "DateGreaterThanEquals": _comparing(operands.moment, operator.ge),
    "Bool": _comparing(operands.boolean, operator.eq),
    "BinaryEquals": _comparing(operands.binary, operator.eq),
    "IpAddress": _comparing(operands.network, _contains),
    "NotIpAddress": _comparing(operands.network, _contains, negated=True),
    "ArnEquals": _on_arns(),
    "ArnNotEquals": _on_arns(negated=True),
    "ArnLike": _on_arns(),
    "ArnNotLike": _on_arns(negated=True),
}
"""Every operator but Null, without the prefixes and the suffix that they take."""


@dataclass(frozen=True, slots=True)
class Form:
    """A condition made ready.

    Attributes:
        key: the condition key, in lower case.
        row: the operator; None for Null.
        operands: the values of the policy.
        quantifier: `ForAllValues`, `ForAnyValue` or nothing.
        if_exists: whether the operator ends with IfExists.
    """

    key: str
    row: _Operator | None
    operands: tuple[Any, ...]
    quantifier: str
    if_exists: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key.

    Attributes:
        operator: as written, with prefix and suffix.
        key: as written.
        values: as written.
        form: made ready by `condition`; without it the condition cannot be decided.
    """

    operator: str
    key: str
    values: Values
    form: Form | None = field(default=None, compare=False, repr=False)


def condition(operator_name: str, key: str, values: Values, *, variables: bool) -> Condition:
    """Return a condition, ready to be evaluated.

    Args:
        operator_name: as written in the policy.
        key: as written in the policy.
        values: of the policy; any one of them may fit.
        variables: whether `${…}` means something.

    Raises:
        PolicyError: there is no such operator or key, or a value is not of the operator's kind.
    """
    if condition_keys.find(key) is None:
        raise PolicyError(f"unknown condition key {quote(key)}")
    quantifier, colon, name = operator_name.rpartition(":")
    if_exists = name.endswith(_IF_EXISTS)
    row = OPERATORS.get(name.removesuffix(_IF_EXISTS))
    if operator_name == _NULL:
        read: tuple[Any, ...] = tuple(operands.boolean(value) for value in values)
        if len(read) != 1:
            raise PolicyError("write either true or false", f"{_NULL}, {quote(key)}")
        return Condition(operator_name, key, values, Form(key.lower(), None, read, "", if_exists=False))
    if row is None or (colon and quantifier not in {_FOR_ALL, _FOR_ANY}):
        raise PolicyError(f"unknown condition operator {quote(operator_name)}")
    try:
        read = tuple(row.read(value, variables) for value in values)
    except PolicyError as error:
        raise PolicyError(error.what, f"{operator_name}, {quote(key)}") from None
    return Condition(operator_name, key, values, Form(key.lower(), row, read, quantifier, if_exists))


def is_overly_permissive(tested: Condition) -> bool:
    """Tell whether an Allow with this condition would apply to requests that lack its single-valued key.

    ForAllValues holds when there is no value at all, so on such a key it does not restrict what it seems to.
    """
    key = condition_keys.find(tested.key)
    return tested.operator.startswith(_FOR_ALL) and key is not None and not key.multivalued


def holds(tested: Condition, context: Context) -> Truth:
    """Tell whether a condition is true of a request; None where that cannot be decided."""
    form = tested.form
    if form is None:
        return None
    values = context.get(form.key)
    if form.row is None:
        return (not values) is form.operands[0]
    if not values:
        return _holds_without_key(form)
    truths = [_fits(form, form.row, value, context) for value in values]
    if form.quantifier == _FOR_ALL or len(truths) == 1:
        return every(truths)
    if form.quantifier == _FOR_ANY:
        return some(truths)
    # Several values where one was expected: decided only if they agree.
    return truths[0] if len(set(truths)) == 1 else None


def _holds_without_key(form: Form) -> Truth:
    assert form.row is not None
    if form.quantifier == _FOR_ALL:
        return True
    if form.quantifier == _FOR_ANY:
        # IfExists says true, ForAnyValue says false: AWS documents no order between them.
        return None if form.if_exists else False
    return form.if_exists or form.row.negated


def _fits(form: Form, row: _Operator, value: str, context: Context) -> Truth:
    """Tell whether one value of the request fits what the policy asks of it."""
    found = some(row.test(operand, value, context) for operand in form.operands)
    if row.negated:
        return None if found is None else not found
    return found
