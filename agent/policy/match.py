"""Owns how a text of a policy is matched against a text of a request: literally, by wildcards, part by part.

No pattern backtracks: each piece between two stars is looked for once, from left to right.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from agent.policy.errors import PolicyError, quote
from agent.policy.variables import Context, Resolved, Token, Variable, Wildcard, resolve, tokenize

Truth = bool | None
"""None: cannot be decided. An Allow then does not apply, a Deny does."""

_ARN_PARTS: Final = 6
_EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two stars; `expression` only if it has question marks."""

    literal: str
    size: int
    expression: re.Pattern[str] | None = None

    def is_at(self, text: str, position: int) -> bool:
        if self.expression is None:
            return text.startswith(self.literal, position)
        return self.expression.match(text, position) is not None

    def find(self, text: str, position: int, end: int) -> int:
        """Return where the piece ends that starts first between `position` and `end`; -1 if none does."""
        if self.expression is None:
            start = text.find(self.literal, position, end)
            return start + self.size if start >= 0 else -1
        found = self.expression.search(text, position, end)
        return found.end() if found is not None else -1


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern without variables, split at its stars."""

    pieces: tuple[_Piece, ...]

    def matches(self, text: str) -> bool:
        """Tell whether the whole of `text` fits."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return len(text) == first.size and first.is_at(text, 0)
        end = len(text) - last.size
        if end < first.size or not first.is_at(text, 0) or not last.is_at(text, end):
            return False
        position = first.size
        for piece in self.pieces[1:-1]:
            position = piece.find(text, position, end)
            if position < 0:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text of a policy that may hold wildcards and variables.

    Attributes:
        text: as written.
        tokens: its parts, as written.
        glob: ready to match, if there are no variables.
        folded: whether case does not count.
    """

    text: str
    tokens: tuple[Token, ...] = field(compare=False, repr=False)
    glob: Glob | None = field(compare=False, repr=False)
    folded: bool = False

    def matches(self, text: str, context: Context) -> Truth:
        """Tell whether the whole of `text` fits; undecided if the request lacks a variable."""
        if self.folded:
            text = text.casefold()
        if self.glob is not None:
            return self.glob.matches(text)
        resolved = resolve(self.tokens, context)
        return None if resolved is None else _glob(_fold(resolved) if self.folded else resolved).matches(text)


@dataclass(frozen=True, slots=True)
class ArnPattern:
    """An ARN with wildcards that stay within its parts; without parts it is `*` alone."""

    text: str
    parts: tuple[Pattern, ...] = field(compare=False, repr=False)

    def matches(self, text: str, context: Context) -> Truth:
        """Tell whether an ARN fits part by part; undecided if the request lacks a variable."""
        if not self.parts:
            return True
        actual = text.split(":", _ARN_PARTS - 1)
        if len(actual) != _ARN_PARTS:
            return False
        return every(part.matches(text, context) for part, text in zip(self.parts, actual, strict=True))


def pattern(text: str, *, variables: bool, wildcards: bool = True, folded: bool = False) -> Pattern:
    """Read a text of a policy, see `variables.tokenize`.

    Raises:
        PolicyError: it holds a variable that cannot be.
    """
    return _pattern(text, tokenize(text, variables=variables, wildcards=wildcards), folded=folded)


def arn_pattern(text: str, *, variables: bool) -> ArnPattern:
    """Read an ARN that may hold wildcards and variables, or `*`.

    Raises:
        PolicyError: it is neither.
    """
    if text == _EVERYTHING:
        return ArnPattern(text, ())
    parts: list[list[Token]] = [[]]
    for token in tokenize(text, variables=variables, wildcards=True):
        if isinstance(token, str):
            first, *others = token.split(":", _ARN_PARTS - len(parts))
            parts[-1] += [first] if first else []
            parts += [[other] if other else [] for other in others]
        else:
            parts[-1].append(token)
    if len(parts) != _ARN_PARTS or parts[0] != ["arn"] or not parts[1] or not parts[2] or not parts[5]:
        raise PolicyError(
            f"{quote(text)} is not an ARN; write arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE, or * alone"
        )
    return ArnPattern(text, tuple(_pattern(text, tuple(part)) for part in parts))


def every(truths: Iterable[Truth]) -> Truth:
    """Return True if all are, False if any is not, else None."""
    decided = True
    for truth in truths:
        if truth is False:
            return False
        decided = decided and truth is not None
    return True if decided else None


def some(truths: Iterable[Truth]) -> Truth:
    """Return True if any is, False if none is, else None."""
    decided = True
    for truth in truths:
        if truth:
            return True
        decided = decided and truth is not None
    return False if decided else None


def _pattern(text: str, tokens: tuple[Token, ...], *, folded: bool = False) -> Pattern:
    plain = tuple(token for token in tokens if not isinstance(token, Variable))
    if len(plain) != len(tokens):
        return Pattern(text, tokens, None, folded)
    return Pattern(text, tokens, _glob(_fold(plain) if folded else plain), folded)


def _fold(tokens: Resolved) -> Resolved:
    return tuple(token.casefold() if isinstance(token, str) else token for token in tokens)


def _glob(tokens: Resolved) -> Glob:
    pieces: list[list[str | Wildcard]] = [[]]
    for token in tokens:
        if token is Wildcard.MANY:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return Glob(tuple(_piece(piece) for piece in pieces))


def _piece(tokens: list[str | Wildcard]) -> _Piece:
    literals = [token for token in tokens if isinstance(token, str)]
    literal = "".join(literals)
    if len(literals) == len(tokens):
        return _Piece(literal, len(literal))
    expression = "".join(re.escape(token) if isinstance(token, str) else "." for token in tokens)
    size = len(literal) + len(tokens) - len(literals)
    return _Piece(literal, size, re.compile(expression, re.DOTALL))
