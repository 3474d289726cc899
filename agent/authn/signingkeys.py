"""Owns keeping the signing keys that were derived from access keys' secrets: each is good for one scope.

Kept by all that it was derived from: a record that was changed is another one here. Whoever asks has looked
the record up, so what is kept of a key that was deleted helps nobody. For one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from agent.sigv4.canonical import signing_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.keys.identity import AccessKey
    from agent.sigv4.canonical import Scope

MAX_SIGNING_KEYS: Final = 256


class SigningKeys:
    """Signing keys, the least recently used out first.

    Args:
        unwrap: Returns the secret access key that an access key's id and wrapped secret stand for.
    """

    __slots__ = ("_kept", "_unwrap")

    def __init__(self, unwrap: Callable[[str, bytes], bytes]) -> None:
        self._kept: OrderedDict[tuple[str, bytes, Scope], bytes] = OrderedDict()
        self._unwrap = unwrap

    def get(self, record: AccessKey, scope: Scope) -> bytes:
        """Return the signing key of an access key for a scope.

        Raises:
            UnwrapError: The record is damaged.
        """
        place = (record.access_key_id, record.wrapped_secret, scope)
        kept = self._kept.get(place)
        if kept is not None:
            self._kept.move_to_end(place)
            return kept
        made = self._kept[place] = signing_key(
            self._unwrap(record.access_key_id, record.wrapped_secret).decode(), scope
        )
        if len(self._kept) > MAX_SIGNING_KEYS:
            self._kept.popitem(last=False)
        return made

    def __repr__(self) -> str:
        return "<SigningKeys>"
