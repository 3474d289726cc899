"""Owns finding the grant that permits a request, at the same cost with one grant on a key and with 50,000.

Grants are filed under whom they name and what they ask of the encryption context, so that a request looks
only where a grant for it would be. An index is immutable; the one of a changed key is made from the one
before. Knows the rules of `agent.keys.grants` and nothing of stores.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from agent.api.enums import GrantOperation
from agent.keys.grant import Context, Grant
from agent.keys.grants import Grantee, Terms, is_within, unique_id
from agent.policy.principals import Reach, account_root

_EQUALS: Final = "EncryptionContextEquals"
_SUBSET: Final = "EncryptionContextSubset"
_NOTHING: Final = "no constraint"
_WHATEVER: Final = "whatever the encryption context"
_ANY_UID: Final = "*"
_FEW: Final = 16
_GRANT_ID: Final = attrgetter("grant_id")

_Holder: TypeAlias = tuple[str, str | None]
"""What a grant calls its grantee, and on whose behalf a request must be made."""
_Place: TypeAlias = tuple[str, str | None, str, Context]
"""The holder, the kind of constraint, and the constraint."""
_Names: TypeAlias = tuple[str, ...]
"""Sorted keys of an encryption context."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a request needs a grant for.

    Attributes:
        operation: as grants call it.
        context: the request's encryption context, sorted; None for operations that take none.
        source_arn: on whose behalf the request is made.
        proposed: the grant that CreateGrant is asked for.
    """

    operation: GrantOperation
    context: Context | None = None
    source_arn: str | None = None
    proposed: Terms | None = None


class Match(NamedTuple):
    """A grant that permits a request, and how closely it names the caller."""

    grant: Grant
    reach: Reach


class GrantIndex:
    """The grants of one key, found by request.

    Args:
        grants: all grants of the key, ordered by id.
    """

    __slots__ = ("_filed", "_first", "_shapes", "grants")

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        filed: dict[_Place, list[Grant]] = {}
        for grant in grants:
            for place in _places(grant):
                filed.setdefault(place, []).append(grant)
        self.grants = grants
        self._filed = {place: tuple(items) for place, items in filed.items()}
        self._first: dict[tuple[_Place, GrantOperation], Grant | None] = {}
        self._shapes: dict[_Holder, dict[_Names, int]] = {}
        for place in self._filed:
            if place[2] == _SUBSET:
                shapes = self._shapes.setdefault(place[:2], {})
                names = _names(place)
                shapes[names] = shapes.get(names, 0) + 1

    def updated(self, grants: tuple[Grant, ...]) -> "GrantIndex":
        """Return the index of the same key with other grants, in less time the fewer of them differ."""
        start = _common(self.grants, grants)
        end = _common(self.grants[start:][::-1], grants[start:][::-1])
        gone, come = self.grants[start : len(self.grants) - end], grants[start : len(grants) - end]
        if 2 * (len(gone) + len(come)) > len(grants):
            return GrantIndex(grants)
        index = GrantIndex(())
        index.grants = grants
        index._filed = dict(self._filed)
        index._shapes = dict(self._shapes)
        index._replace(gone, come)
        return index

    def matching(self, caller: Grantee, use: Use) -> Match | None:
        """Return a grant that permits the caller's request, of several one that names the caller best.

        RetireGrant is not found here: who may retire a grant is a matter of that grant alone.
        """
        best: Match | None = None
        for name, reach in _names_of(caller):
            if best is not None and reach < best.reach:
                break
            for source_arn in {None, use.source_arn}:
                for grant in self._permitting((name, source_arn), use):
                    if best is None or grant.grant_id < best.grant.grant_id:
                        best = Match(grant, reach)
        return best

    def _permitting(self, holder: _Holder, use: Use) -> Iterator[Grant]:
        """Yield the first grant in each place where one can be that permits a request."""
        if use.operation is GrantOperation.RETIRE_GRANT:
            return
        if use.operation is GrantOperation.CREATE_GRANT:
            if use.proposed is not None:
                yield from _wide_enough(self._filed.get((*holder, _WHATEVER, ()), ()), use.proposed)
            return
        for place in self._places_for(holder, use.context):
            grant = self._first_for(place, use.operation)
            if grant is not None:
                yield grant

    def _first_for(self, place: _Place, operation: GrantOperation) -> Grant | None:
        grants = self._filed.get(place, ())
        if len(grants) <= _FEW:
            return next((grant for grant in grants if operation in grant.operations), None)
        if (place, operation) not in self._first:
            first = next((grant for grant in grants if operation in grant.operations), None)
            self._first[(place, operation)] = first
        return self._first[(place, operation)]

    def _places_for(self, holder: _Holder, context: Context | None) -> Iterator[_Place]:
        if context is None:
            yield (*holder, _WHATEVER, ())
            return
        yield (*holder, _NOTHING, ())
        yield (*holder, _EQUALS, context)
        pairs = dict(context)
        for names in self._shapes.get(holder, ()):
            if all(name in pairs for name in names):
                yield (*holder, _SUBSET, tuple((name, pairs[name]) for name in names))

    def _replace(self, gone: Sequence[Grant], come: Sequence[Grant]) -> None:
        for grant in gone:
            for place in _places(grant):
                rest = list(self._filed[place])
                del rest[bisect_left(rest, grant.grant_id, key=_GRANT_ID)]
                self._file(place, rest)
        for grant in come:
            for place in _places(grant):
                more = list(self._filed.get(place, ()))
                insort(more, grant, key=_GRANT_ID)
                self._file(place, more)

    def _file(self, place: _Place, grants: Sequence[Grant]) -> None:
        known = place in self._filed
        if grants:
            self._filed[place] = tuple(grants)
        else:
            del self._filed[place]
        if place[2] == _SUBSET and bool(grants) is not known:
            self._count_shape(place, -1 if known else 1)

    def _count_shape(self, place: _Place, change: int) -> None:
        """Note one more place, or one less, whose constraint has the same keys."""
        shapes = dict(self._shapes.get(place[:2], {}))
        names = _names(place)
        shapes[names] = shapes.get(names, 0) + change
        if shapes[names] == 0:
            del shapes[names]
        self._shapes[place[:2]] = shapes


def _names(place: _Place) -> _Names:
    return tuple(key for key, _ in place[3])


def _places(grant: Grant) -> Iterator[_Place]:
    equals, subset = grant.context_equals, grant.context_subset
    for name in _names_in(grant):
        yield (name, grant.source_arn, _WHATEVER, ())
        if equals is not None:
            if set(subset or ()) <= set(equals):
                yield (name, grant.source_arn, _EQUALS, equals)
        elif subset is not None:
            yield (name, grant.source_arn, _SUBSET, subset)
        else:
            yield (name, grant.source_arn, _NOTHING, ())


def _names_in(grant: Grant) -> tuple[str, ...]:
    """Return what a grant calls its grantee; one that is bound to a user id also goes by that."""
    if grant.grantee_service_principal is not None:
        return (grant.grantee_service_principal,)
    assert grant.grantee_principal is not None
    if grant.grantee_id:
        return (f"{grant.grantee_principal} {grant.grantee_id}", f"{grant.grantee_principal} {_ANY_UID}")
    return (grant.grantee_principal,)


def _names_of(caller: Grantee) -> Iterator[tuple[str, Reach]]:
    """Yield what grants may call somebody, the closest name first."""
    root = account_root(caller.account_id)
    if caller.via_service is not None:
        yield caller.via_service, Reach.CALLER
    if caller.arn != root:
        yield caller.arn, Reach.CALLER
        yield f"{caller.arn} {_ANY_UID if caller.uid is None else unique_id(caller.uid)}", Reach.CALLER
    if caller.role_arn is not None:
        yield caller.role_arn, Reach.ROLE
    yield root, Reach.ACCOUNT


def _wide_enough(grants: Iterable[Grant], proposed: Terms) -> Iterator[Grant]:
    for grant in grants:
        if GrantOperation.CREATE_GRANT in grant.operations and is_within(proposed, grant):
            yield grant
            return


def _common(left: tuple[Grant, ...], right: tuple[Grant, ...]) -> int:
    """Return how many grants two tuples begin with that are the same; compares slices, which is fast."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
