"""Owns policy variables and wildcards as tokens: how a text is split, and how its variables are filled in.

Source: IAM User Guide, "IAM policy elements: Variables and tags". Knows nothing of what is matched.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from agent.policy import condition_keys
from agent.policy.errors import PolicyError, quote

_OPENING: Final = "${"
_VARIABLE: Final = re.compile(r"\$\{([^,{}']+)(?:,[ ]*'([^']*)'[ ]*)?\}")
_LITERALS: Final = frozenset("*?$")
"""What `${*}`, `${?}` and `${$}` stand for: themselves."""


class Context(Protocol):
    """The condition keys of a request; a dict is one."""

    def get(self, key: str, /) -> tuple[str, ...] | None:
        """Return the values of a condition key, named in lower case; None if the request has no such key."""


class Wildcard(Enum):
    """The two wildcards."""

    MANY = auto()
    ONE = auto()


@dataclass(frozen=True, slots=True)
class Variable:
    """A place to be filled in with a condition key's value.

    Attributes:
        key: the condition key, in lower case.
        default: what stands for it if the request has no such key; None if nothing does.
    """

    key: str
    default: str | None = None


Token = str | Wildcard | Variable
Resolved = tuple[str | Wildcard, ...]
_WILDCARDS: Final = {"*": Wildcard.MANY, "?": Wildcard.ONE}
_SPLIT: Final = re.compile(r"([*?])")


def tokenize(text: str, *, variables: bool, wildcards: bool) -> tuple[Token, ...]:
    """Split a text of a policy.

    Args:
        text: as written in the policy.
        variables: whether `${…}` means something, which it does from version 2012-10-17 on.
        wildcards: whether `*` and `?` mean something.

    Raises:
        PolicyError: a variable has no end, is unknown, or may have several values.
    """
    if not variables or _OPENING not in text:
        return tuple(_plain(text, wildcards=wildcards))
    tokens: list[Token] = []
    position = 0
    while (start := text.find(_OPENING, position)) >= 0:
        tokens += _plain(text[position:start], wildcards=wildcards)
        if text[start + 2 : start + 4] in {f"{literal}}}" for literal in _LITERALS}:
            tokens.append(text[start + 2])
            position = start + 4
            continue
        found = _VARIABLE.match(text, start)
        if found is None:
            raise PolicyError(f"the policy variable in {quote(text[start:])} is malformed or has no end")
        tokens.append(_variable(found[1].strip(), found[2]))
        position = found.end()
    return (*tokens, *_plain(text[position:], wildcards=wildcards))


def resolve(tokens: tuple[Token, ...], context: Context) -> Resolved | None:
    """Fill the variables in, their values taken letter for letter; None if the request lacks one."""
    resolved: list[str | Wildcard] = []
    for token in tokens:
        if isinstance(token, Variable):
            values = context.get(token.key)
            if values is None and token.default is not None:
                resolved.append(token.default)
            elif values is not None and len(values) == 1:
                resolved.append(values[0])
            else:
                return None
        else:
            resolved.append(token)
    return tuple(resolved)


def _variable(name: str, default: str | None) -> Variable:
    known = condition_keys.find(name)
    if known is None:
        raise PolicyError(f"unknown condition key {quote(name)} in a policy variable")
    if known.multivalued:
        raise PolicyError(f"condition key {quote(name)} has several values and cannot be a policy variable")
    return Variable(name.lower(), default)


def _plain(text: str, *, wildcards: bool) -> list[Token]:
    if not wildcards:
        return [text] if text else []
    return [_WILDCARDS.get(piece, piece) for piece in _SPLIT.split(text) if piece]
