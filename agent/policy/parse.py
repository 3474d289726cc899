"""Owns the strict reading of policies: whatever is not understood to the letter is refused.

Source: IAM User Guide, "Grammar of the IAM JSON policy language"; KMS Developer Guide, "Key policies". Knows
nothing of requests.
"""

import json
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

from agent.policy import principals
from agent.policy.actions import read_action
from agent.policy.conditions import Condition, condition, is_overly_permissive
from agent.policy.document import (
    CURRENT_VERSION,
    OLD_VERSION,
    Actions,
    Document,
    Effect,
    PolicyKind,
    Resources,
    Statement,
)
from agent.policy.errors import PolicyError, quote
from agent.policy.match import arn_pattern
from agent.policy.principals import Principals

MAX_BYTES: Final[Mapping[PolicyKind, int]] = {
    PolicyKind.KEY: 32768,
    PolicyKind.IDENTITY: 10240,
    PolicyKind.BOUNDARY: 10240,
    PolicyKind.SESSION: 2048,
    PolicyKind.GUARD: 10240,
}
"""How long the text of a policy may be."""

_MAX_STATEMENTS: Final = 256
_MAX_QUESTION_MARKS: Final = 256
"""Each costs one look at every character that it is matched against, for every request."""
_DOCUMENT: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_SID: Final = re.compile(r"[\w ,.:;()/+@-]{0,256}", re.ASCII)
_PRINCIPAL_KINDS: Final[Mapping[str, Callable[[str], str]]] = {
    "AWS": principals.read_aws,
    "Service": principals.read_service,
    "Federated": principals.read_federated,
    "CanonicalUser": principals.read_canonical_user,
}


_Read = TypeVar("_Read")


class _Literal(str):
    """A number, true or false: allowed as the value of a condition, and nowhere else."""

    __slots__ = ()


def parse(text: str, kind: PolicyKind) -> Document:
    """Read a policy.

    Args:
        text: JSON.
        kind: what the policy is attached to: only a key's names principals.

    Raises:
        PolicyError: it is too long, no policy, or one that cannot be enforced to the letter.
    """
    members = _object(_load(text, MAX_BYTES[kind]), "")
    _require_members(members, _DOCUMENT, "")
    version = _text(members.get("Version", OLD_VERSION), "Version")
    if version not in {CURRENT_VERSION, OLD_VERSION}:
        raise PolicyError(f"there is no version {quote(version)}; write {CURRENT_VERSION}", "Version")
    policy_id = _text(members["Id"], "Id") if "Id" in members else None
    listed = members.get("Statement")
    statements = listed if isinstance(listed, list) else [listed]
    if listed is None or not statements:
        raise PolicyError("there is no statement", "Statement")
    if len(statements) > _MAX_STATEMENTS:
        raise PolicyError(f"there are more than {_MAX_STATEMENTS} statements", "Statement")
    variables = version == CURRENT_VERSION
    read = tuple(
        _statement(statement, f"Statement {number}", kind, variables=variables)
        for number, statement in enumerate(statements, 1)
    )
    sids = [statement.sid for statement in read if statement.sid]
    if len(set(sids)) != len(sids):
        raise PolicyError("two statements have the same Sid", "Statement")
    return Document(read, version, policy_id)


def _load(text: str, max_bytes: int) -> object:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise PolicyError("the policy is not valid Unicode") from None
    if size > max_bytes:
        raise PolicyError(f"the policy is {size} bytes long; {max_bytes} are allowed")
    if text.count("?") > _MAX_QUESTION_MARKS:
        raise PolicyError(f"the policy has more than {_MAX_QUESTION_MARKS} question marks")
    try:
        return json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_Literal,
            parse_float=_Literal,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise PolicyError(
            f"the policy is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise PolicyError("the policy is nested too deeply") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PolicyError(f"the member {quote(twice)} is there twice")
    return members


def _refuse_constant(name: str) -> object:
    raise PolicyError(f"the policy is not valid JSON: it has no {name}")


def _statement(value: object, where: str, kind: PolicyKind, *, variables: bool) -> Statement:
    members = _object(value, where)
    _require_members(members, _STATEMENT, where)
    sid = _text(members["Sid"], f"{where}, Sid") if "Sid" in members else None
    if sid is not None and _SID.fullmatch(sid) is None:
        raise PolicyError(f"{quote(sid)} has characters that a label may not have", f"{where}, Sid")
    effect = _effect(members, where)
    conditions = _conditions(members.get("Condition", {}), f"{where}, Condition", variables=variables)
    permissive = [tested for tested in conditions if effect is Effect.ALLOW and is_overly_permissive(tested)]
    if permissive:
        raise PolicyError(
            f"OverlyPermissiveCondition: {permissive[0].operator} also holds when {permissive[0].key} is "
            "missing; leave ForAllValues out, the key has one value only",
            f"{where}, Condition",
        )
    name, patterns = _one_of(members, "Action", where)
    actions = Actions(_each(patterns, read_action, f"{where}, {name}"), negated=name == "NotAction")
    name, patterns = _one_of(members, "Resource", where)
    resources = Resources(
        _each(patterns, lambda text: arn_pattern(text, variables=variables), f"{where}, {name}"),
        negated=name == "NotResource",
    )
    return Statement(effect, actions, resources, _principals(members, where, kind), conditions, sid)


def _effect(members: Mapping[str, object], where: str) -> Effect:
    effect = _text(members.get("Effect", ""), f"{where}, Effect")
    if effect not in {each.value for each in Effect}:
        raise PolicyError("write Allow or Deny", f"{where}, Effect")
    return Effect(effect)


def _principals(members: Mapping[str, object], where: str, kind: PolicyKind) -> Principals | None:
    if kind is not PolicyKind.KEY:
        for name in ("Principal", "NotPrincipal"):
            if name in members:
                raise PolicyError(f"it has no place in {kind.with_article}", f"{where}, {name}")
        return None
    name, value = _one_of(members, "Principal", where)
    where = f"{where}, {name}"
    negated = name == "NotPrincipal"
    if value == principals.ANYONE:
        return Principals((principals.ANYONE,), negated=negated)
    kinds = _object(value, where)
    _require_members(kinds, _PRINCIPAL_KINDS.keys(), where)
    if not kinds:
        raise PolicyError("it names nobody", where)
    read = {name: _each(kinds.get(name, []), _PRINCIPAL_KINDS[name], f"{where}.{name}") for name in kinds}
    return Principals(
        read.get("AWS", ()),
        read.get("Service", ()),
        read.get("Federated", ()),
        read.get("CanonicalUser", ()),
        negated,
    )


def _conditions(value: object, where: str, *, variables: bool) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    for operator, keys in _object(value, where).items():
        for key, values in _object(keys, f"{where}.{quote(operator)}").items():
            texts = _texts(values, f"{where}.{quote(operator)}", literals=True)
            try:
                conditions.append(condition(operator, _text(key, where), texts, variables=variables))
            except PolicyError as error:
                inside = f"{where}, {error.where}" if error.where else where
                raise PolicyError(error.what, inside) from None
    return tuple(conditions)


def _each(value: object, read: Callable[[str], _Read], where: str) -> tuple[_Read, ...]:
    texts = _texts(value, where)
    try:
        return tuple(read(text) for text in texts)
    except PolicyError as error:
        raise PolicyError(error.what, where) from None


def _one_of(members: Mapping[str, object], name: str, where: str) -> tuple[str, object]:
    present = [each for each in (name, f"Not{name}") if each in members]
    if len(present) != 1:
        raise PolicyError(f"write either {name} or Not{name}", where)
    return present[0], members[present[0]]


def _require_members(members: Mapping[str, object], known: AbstractSet[str], where: str) -> None:
    for name in members:
        if name not in known:
            raise PolicyError(f"unknown element {quote(name)}", where)


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise PolicyError("write an object", where or "The policy")
    return value


def _texts(value: object, where: str, *, literals: bool = False) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise PolicyError("the list is empty", where)
    return tuple(_text(each, where, literals=literals) for each in values)


def _text(value: object, where: str, *, literals: bool = False) -> str:
    if literals and isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or (isinstance(value, _Literal) and not literals):
        raise PolicyError("write a string", where)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PolicyError("the string is not valid Unicode", where) from None
    return str(value)
