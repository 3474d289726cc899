"""Writes operations.md beside this file from the program's own tables: python docs/reference/generate.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from agent.api.enums import KeyState
from agent.api.operations import OPERATIONS, Operation
from agent.api.shapes.base import WHOLE_MATCH, Empty
from agent.keys.states import KEY_STATES, Verdict

PAGE: Final = Path(__file__).with_name("operations.md")
_INTRODUCTION: Final = """# Operations

All operations of the AWS KMS API, with their members as they are checked. This page is written by
`docs/reference/generate.py` from the tables that the agent itself runs on. What the agent does otherwise than
AWS is in [KMS API](kms-api.md).

A member in bold must be given; in a response it is always there. Numbers are limits on lengths: of blobs in
bytes, of strings in characters, of lists in items. Any operation may also answer AccessDeniedException,
ValidationException, SerializationException, ThrottlingException, KMSInternalException and, where requests are
signed, the errors of signatures.
"""
_VERDICTS: Final = {Verdict.DISABLED: "DisabledException", Verdict.INVALID: "KMSInvalidStateException"} | {
    Verdict.UNSUPPORTED: "UnsupportedOperationException"
}


def page() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *(_section(operation) for _, operation in sorted(OPERATIONS.items()))])


def _section(operation: Operation[Any, Any]) -> str:
    errors = ", ".join(sorted(error.code for error in operation.errors))
    parts = [f"## {operation.name}\n", f"Action `{operation.action}`. Errors: {errors}.\n"]
    parts += _table("request", operation.request)
    parts += _table("response", operation.response)
    parts += _states(operation.name)
    return "\n".join(parts)


def _table(title: str, shape: type[Any]) -> Iterator[str]:
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    if shape is Empty or not info.fields:
        yield f"No members in the {title}.\n"
        return
    yield f"| {title} | |\n| --- | --- |"
    for field in info.fields:
        name = f"**{field.encode_name}**" if field.required else field.encode_name
        yield f"| {name} | {_kind(field.type)} |"
    yield ""


def _kind(kind: Any) -> str:  # noqa: ANN401 -- one of msgspec's types, told by the table
    if isinstance(kind, inspect.UnionType):
        (kind,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    return _WORDS[type(kind)](kind)


def _structure(kind: Any) -> str:  # noqa: ANN401 -- as _kind
    return "{" + ", ".join(f"{field.encode_name}: {_kind(field.type)}" for field in kind.fields) + "}"


def _range(least: int | None, most: int | None) -> str:
    return (
        ""
        if least is None and most is None
        else f" {'' if least is None else least}-{'' if most is None else most}"
    )


def _string(kind: Any) -> str:  # noqa: ANN401 -- as _kind
    prefix, suffix = WHOLE_MATCH
    pattern = (kind.pattern or "").removeprefix(prefix).removesuffix(suffix).replace("|", "\\|")
    return f"string{_range(kind.min_length, kind.max_length)}" + (f", `{pattern}`" if pattern else "")


_WORDS: Final = {
    inspect.StructType: _structure,
    inspect.VarTupleType: lambda kind: (
        f"list{_range(kind.min_length, kind.max_length)} of {_kind(kind.item_type)}"
    ),
    inspect.DictType: lambda _: "map of strings",
    inspect.EnumType: lambda kind: " \\| ".join(f"`{member.value}`" for member in kind.cls),
    inspect.BytesType: lambda kind: f"blob{_range(kind.min_length, kind.max_length)}",
    inspect.StrType: _string,
    inspect.IntType: lambda kind: f"integer{_range(kind.ge, kind.le)}",
    inspect.BoolType: lambda _: "boolean",
    inspect.FloatType: lambda _: "time, seconds since the epoch",
}


def _states(name: str) -> Iterator[str]:
    row = KEY_STATES.get(name)
    if row is None:
        return
    allowed = [state.value for state in KeyState if row[state] is Verdict.OK]
    if len(allowed) == len(KeyState):
        yield "Allowed in every key state.\n"
        return
    refusals = {
        word: [state.value for state in KeyState if row[state] is verdict]
        for verdict, word in _VERDICTS.items()
    }
    refused = "; ".join(f"{', '.join(states)}: {word}" for word, states in refusals.items() if states)
    yield f"Key states: allowed in {', '.join(allowed)}. {refused}.\n"


if __name__ == "__main__":
    PAGE.write_text(page())
