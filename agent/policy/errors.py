"""Owns the error of the policy language. Knows nothing of what a policy is attached to."""

import json
from typing import Final

_SHOWN_CHARACTERS: Final = 100


class PolicyError(Exception):
    """A text is not a policy, or not one that can be enforced to the letter.

    Args:
        what: what is wrong and, where it helps, what would be right.
        where: the element that is wrong, outermost first, such as `Statement 2, Action`.
    """

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.what = what
        self.where = where


def quote(text: str) -> str:
    """Return `text` in quotes, in ASCII and shortened, fit for any message."""
    shown = json.dumps(text[:_SHOWN_CHARACTERS])
    return shown if len(text) <= _SHOWN_CHARACTERS else f"{shown}…"
