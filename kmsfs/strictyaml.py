"""Owns reading YAML from an untrusted file: mappings, lists and texts only. Knows no schema.

Anchors, aliases, tags, merge keys, duplicate keys and deep nesting are refused, and every scalar is a text:
what it means is for the schema to say, not for YAML's rules on what looks like a number or a date.
"""

from typing import Final, TypeAlias

import yaml

Node: TypeAlias = "str | list[Node] | dict[str, Node]"

_MAX_DEPTH: Final = 8


class StrictYamlError(ValueError):
    """The text is not YAML, or uses what is refused here."""


def parse(text: str) -> Node:
    """Return what `text` holds; the caller has limited its size.

    Raises:
        StrictYamlError: not YAML, or not of the plain kind.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "unreadable"
        raise StrictYamlError(f"not YAML of the plain kind: {problem}") from None
    return _value(root)


class _Loader(yaml.BaseLoader):
    """Composes nodes; scalars resolve to nothing but texts."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, within the depth allowed and without anchor, alias or tag."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's stubs leave it so
        refused = isinstance(event, yaml.AliasEvent) or any(
            getattr(event, attribute, None) is not None for attribute in ("anchor", "tag")
        )
        if refused or self._depth >= _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="anchors, aliases, tags and deep nesting are refused")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _value(node: yaml.Node | None) -> Node:
    match node:
        case yaml.ScalarNode():
            return str(node.value)
        case yaml.SequenceNode():
            return [_value(item) for item in node.value]
        case yaml.MappingNode():
            pairs = [(_value(key), _value(value)) for key, value in node.value]
            mapping = {key: value for key, value in pairs if isinstance(key, str)}
            if len(mapping) != len(pairs):
                raise StrictYamlError("a mapping has a key twice, or one that is not a text")
            return mapping
        case _:
            raise StrictYamlError("empty")
