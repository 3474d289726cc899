"""Owns reading typed values out of a strict YAML tree. Knows nothing of what the values mean.

A reader takes a node and returns a value or raises StrictYamlError; a record is a table of readers by name.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from kmsfs.strictyaml import Node, StrictYamlError

Value = TypeVar("Value")

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def record(
    node: Node, readers: Mapping[str, Callable[[Node], object]], optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return the values of a mapping with exactly the fields of `readers`, the `optional` ones if present."""
    fields = mapping(node)
    unexpected = sorted(fields.keys() - readers.keys())
    missing = sorted(readers.keys() - fields.keys() - optional)
    if unexpected or missing:
        raise StrictYamlError(f"fields unexpected: {unexpected}, missing: {missing}")
    return {name: readers[name](value) for name, value in fields.items()}


def mapping(node: Node) -> dict[str, Node]:
    """Return a mapping's nodes by name."""
    if not isinstance(node, dict):
        raise StrictYamlError("not a mapping where one must be")
    return node


def sequence(read: Callable[[Node], Value]) -> Callable[[Node], tuple[Value, ...]]:
    """Make a reader of sequences of what `read` reads."""

    def read_sequence(node: Node) -> tuple[Value, ...]:
        if not isinstance(node, list):
            raise StrictYamlError("not a sequence where one must be")
        return tuple(read(item) for item in node)

    return read_sequence


def text(pattern: str) -> Callable[[Node], str]:
    """Make a reader of texts that `pattern` matches as a whole."""
    expression = re.compile(pattern, re.ASCII)

    def read_text(node: Node) -> str:
        if not isinstance(node, str) or expression.fullmatch(node) is None:
            raise StrictYamlError(f"not a text of the form {pattern}")
        return node

    return read_text


def integer(node: Node) -> int:
    """Return a decimal number below 10**9, in its one spelling."""
    if not isinstance(node, str) or _DECIMAL.fullmatch(node) is None:
        raise StrictYamlError("not a number")
    return int(node)


def boolean(node: Node) -> bool:
    """Return what `true` or `false` says."""
    if node not in ("true", "false"):
        raise StrictYamlError("not true or false")
    return node == "true"


def base64_bytes(node: Node) -> bytes:
    """Return the bytes of a text in base64, not empty and in its one spelling."""
    try:
        raw = base64.b64decode(node, validate=True) if isinstance(node, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if not raw or base64_text(raw) != node:
        raise StrictYamlError("not canonical base64")
    return raw


def base64_text(raw: bytes) -> str:
    """Return the one spelling of `raw` in base64 (RFC 4648 section 4)."""
    return base64.b64encode(raw).decode()
