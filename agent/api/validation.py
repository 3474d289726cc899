"""Owns the words of a refusal of a malformed request, in AWS's texts. Only reached once decoding has failed.

The constraints are read off the same annotations that decoding enforces, so the two cannot disagree.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from agent.api.errors import SerializationException, ServiceError, ValidationException
from agent.api.shapes.base import WHOLE_MATCH, Shape

_SHOWN_LENGTH: Final = 1024
"""Values are cut to this many characters in a text, which also ends up in the audit log."""

_JSON_KINDS: Final[Mapping[type, str]] = {
    str: "STRING_VALUE",
    int: "NUMBER_VALUE",
    float: "NUMBER_VALUE",
    bool: "BOOLEAN_VALUE",
}
_SCALARS: Final[Mapping[type[inspect.Type], tuple[type | tuple[type, ...], str]]] = {
    inspect.StrType: (str, "a String"),
    inspect.EnumType: (str, "a String"),
    inspect.BytesType: (str, "a ByteBuffer"),
    inspect.IntType: (int, "an Integer"),
    inspect.FloatType: ((int, float), "a Double"),
    inspect.BoolType: (bool, "a Boolean"),
}


def explain(shape: type[Shape], body: bytes) -> ServiceError:
    """Return the error that says why `body` is not a `shape`."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return SerializationException("The request body is not valid JSON")
    try:
        failures = list(_structure(inspect.type_info(shape), value, ""))
    except _WrongTypeError as error:
        return SerializationException(str(error))
    if not failures:  # only a member given twice, first wrong and then right, gets here
        return SerializationException("Duplicate field in the request body")
    count = "1 validation error" if len(failures) == 1 else f"{len(failures)} validation errors"
    return ValidationException(f"{count} detected: " + "; ".join(failures))


class _WrongTypeError(Exception):
    """A value is of another JSON type than the model says."""


def _structure(kind: inspect.Type, value: object, path: str) -> Iterator[str]:
    assert isinstance(kind, inspect.StructType)
    if not isinstance(value, dict):
        raise _WrongTypeError("Unexpected field type")
    for field in kind.fields:
        member = value.get(field.encode_name)
        name = field.encode_name[0].lower() + field.encode_name[1:]
        where = f"{path}.{name}" if path else name
        if member is not None:
            yield from _member(field.type, member, where)
        elif field.required:
            shown = "Value" if _unwrap(field.type)[1] else "Value null"
            yield _failure(shown, where, "Member must not be null")


def _member(kind: inspect.Type, value: Any, where: str) -> Iterator[str]:  # noqa: ANN401 -- any JSON value
    kind, hidden = _unwrap(kind)
    if isinstance(kind, inspect.StructType):
        yield from _structure(kind, value, where)
    elif isinstance(kind, inspect.VarTupleType):
        yield from _list(kind, value, where)
    elif isinstance(kind, inspect.DictType):
        yield from _map(kind, value, where)
    else:
        shown = "Value" if hidden or isinstance(kind, inspect.BytesType) else f"Value '{_show(value)}'"
        measured = _scalar(kind, value)
        yield from (_failure(shown, where, text) for text, holds in _constraints(kind) if not holds(measured))


def _list(kind: inspect.VarTupleType, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        raise _WrongTypeError("Unexpected field type")
    shown = f"Value '{_show(value)}'"
    yield from (_failure(shown, where, text) for text, holds in _constraints(kind) if not holds(value))
    item_kind, _ = _unwrap(kind.item_type)
    if isinstance(item_kind, inspect.StructType):
        for position, item in enumerate(value, 1):
            yield from _structure(item_kind, item, f"{where}.{position}.member")
    elif not all(_holds(item_kind, item) for item in value):
        texts = ", ".join(text for text, _ in _constraints(item_kind))
        yield _failure(shown, where, f"Member must satisfy constraint: [{texts}]")


def _map(kind: inspect.DictType, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise _WrongTypeError("Unexpected field type")
    shown = ", ".join(f"{name}={_show(item)}" for name, item in value.items())
    if not all(_holds(_unwrap(kind.value_type)[0], item) for item in value.values()):
        text = "Map value must satisfy constraint: [Member must not be null]"
        yield _failure(f"Value '{{{shown[:_SHOWN_LENGTH]}}}'", where, text)


def _failure(shown: str, where: str, constraint: str) -> str:
    return f"{shown} at '{where}' failed to satisfy constraint: {constraint}"


def _unwrap(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """Return the type behind an optional, and whether the model marks it as sensitive."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        return kind.type, bool((kind.extra or {}).get("sensitive"))
    return kind, False


def _show(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_show, value))}]"[:_SHOWN_LENGTH]
    return ("null" if value is None else str(value))[:_SHOWN_LENGTH]


def _scalar(kind: inspect.Type, value: object) -> Any:  # noqa: ANN401 -- as the constraint measures it
    expected, name = _SCALARS[type(kind)]
    if isinstance(value, list):
        raise _WrongTypeError("Start of list found where not expected")
    if isinstance(value, dict):
        raise _WrongTypeError("Start of structure or map found where not expected.")
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise _WrongTypeError(f"{_JSON_KINDS[type(value)]} can not be converted to {name}")
    if isinstance(kind, inspect.BytesType):
        try:
            return msgspec.convert(value, bytes)
        except msgspec.ValidationError:
            raise _WrongTypeError("Value is not valid Base64") from None
    return value


def _holds(kind: inspect.Type, value: object) -> bool:
    if value is None:
        return False
    measured = _scalar(kind, value)
    return all(holds(measured) for _, holds in _constraints(kind))


def _constraints(kind: inspect.Type) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    """Yield each constraint of a type: AWS's text, and whether a value keeps it."""
    if isinstance(kind, inspect.EnumType):
        words = [member.value for member in kind.cls]
        yield f"Member must satisfy enum value set: [{', '.join(words)}]", words.__contains__
    if isinstance(kind, inspect.IntType):
        if (most := kind.le) is not None:
            yield f"Member must have value less than or equal to {most}", most.__ge__
        if (least := kind.ge) is not None:
            yield f"Member must have value greater than or equal to {least}", least.__le__
    if isinstance(kind, inspect.StrType | inspect.BytesType | inspect.VarTupleType):
        if (longest := kind.max_length) is not None:
            text = f"Member must have length less than or equal to {longest}"
            yield text, lambda value: len(value) <= longest
        if (shortest := kind.min_length) is not None:
            text = f"Member must have length greater than or equal to {shortest}"
            yield text, lambda value: len(value) >= shortest
    if isinstance(kind, inspect.StrType) and kind.pattern is not None:
        prefix, suffix = WHOLE_MATCH
        pattern = re.compile(kind.pattern)
        shown = kind.pattern.removeprefix(prefix).removesuffix(suffix)
        text = f"Member must satisfy regular expression pattern: {shown}"
        yield text, lambda value: pattern.search(value) is not None
