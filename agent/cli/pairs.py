"""Pairs as people type them: ``NAME=VALUE``, each name once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.api.shapes.keys import Tag

if TYPE_CHECKING:
    from collections.abc import Sequence


def pairs_of(texts: Sequence[str], hint: str) -> dict[str, str]:
    """Return the pairs that stand in texts such as ``team=mail``.

    Args:
        texts: As typed.
        hint: The option or argument that they were given to.

    Raises:
        click.BadParameter: One of them has no name, no ``=``, or the name of another.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or name in pairs:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE with a name of its own", param_hint=hint)
        pairs[name] = value
    return pairs


def tags_of(texts: Sequence[str], hint: str) -> tuple[Tag, ...]:
    """Return the tags that stand in texts; see `pairs_of`."""
    return tuple(Tag(tag_key=name, tag_value=value) for name, value in pairs_of(texts, hint).items())
