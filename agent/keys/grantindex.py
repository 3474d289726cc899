"""Owns finding the grant that permits a request, at the same cost with one grant on a key and with 50,000.

Grants are filed under whom they name and what they ask of the encryption context, so that a request looks
only where a grant for it would be. An index is immutable; the one of a changed key is made from the one
before, and shares what has not changed. Knows the rules of `agent.keys.grants` and nothing of stores.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from agent.api.enums import GrantOperation
from agent.keys.grant import Context, Grant
from agent.keys.grants import Grantee, Terms, is_within, unique_id
from agent.keys.persistent import Buckets, SortedBlocks
from agent.policy.principals import Reach, account_root

_EQUALS: Final = "EncryptionContextEquals"
_SUBSET: Final = "EncryptionContextSubset"
_NOTHING: Final = "no constraint"
_WHATEVER: Final = "whatever the encryption context"
_ANY_UID: Final = "*"
_FEW: Final = 16
_MANY: Final = 500
_GRANT_ID: Final = attrgetter("grant_id")

_Holder: TypeAlias = tuple[str, str | None]
"""What a grant calls its grantee, and on whose behalf a request must be made."""
_Place: TypeAlias = tuple[str, str | None, str, Context]
"""The holder, the kind of constraint, and the constraint."""
_Names: TypeAlias = tuple[str, ...]
"""Sorted keys of an encryption context."""
_Filed: TypeAlias = Buckets[_Place, Sequence[Grant]]
_Shapes: TypeAlias = Buckets[_Holder, dict[_Names, int]]


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

    Filing them is put off until somebody asks, unless there are many: then whoever makes the index does it.

    Args:
        grants: all grants of the key.

    Attributes:
        grants: them, ordered by id.
    """

    __slots__ = ("_filed", "_first", "_shapes", "grants")

    def __init__(self, grants: Iterable[Grant]) -> None:
        self.grants = SortedBlocks.of(grants, _GRANT_ID)
        self._filed: _Filed | None = None
        self._shapes: _Shapes = Buckets({})
        self._first: dict[tuple[_Place, GrantOperation], Grant | None] = {}
        if len(self.grants) >= _MANY:
            self._file_all()

    def put(self, grant: Grant) -> "GrantIndex":
        """Return the index with one more grant, or with one in the place of the other of its id."""
        return self._changed(self.grants.put(grant), self.grants.find(grant.grant_id), grant)

    def without(self, grant_id: str) -> "GrantIndex":
        """Return the index without a grant."""
        return self._changed(self.grants.without(grant_id), self.grants.find(grant_id), None)

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
        if self._filed is None:
            self._file_all()
        if use.operation is GrantOperation.CREATE_GRANT:
            if use.proposed is not None:
                yield from _wide_enough(self._at((*holder, _WHATEVER, ())), use.proposed)
            return
        for place in self._places_for(holder, use.context):
            grant = self._first_for(place, use.operation)
            if grant is not None:
                yield grant

    def _at(self, place: _Place) -> Sequence[Grant]:
        assert self._filed is not None, "filed before anything is looked for"
        return self._filed.get(place) or ()

    def _first_for(self, place: _Place, operation: GrantOperation) -> Grant | None:
        grants = self._at(place)
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
        for names in self._shapes.get(holder) or ():
            if all(name in pairs for name in names):
                yield (*holder, _SUBSET, tuple((name, pairs[name]) for name in names))

    def _file_all(self) -> _Filed:
        """File every grant."""
        filed: dict[_Place, Sequence[Grant]] = {}
        shared: dict[_Place, list[Grant]] = {}
        for grant in self.grants:
            for place in _places(grant):
                if place not in filed:
                    filed[place] = (grant,)
                elif place in shared:
                    shared[place].append(grant)
                else:
                    shared[place] = [*filed[place], grant]
        filed.update((place, _kept(grants)) for place, grants in shared.items())
        shapes: dict[_Holder, dict[_Names, int]] = {}
        for place in filed:
            if place[2] == _SUBSET:
                _count(shapes.setdefault(place[:2], {}), _names(place), 1)
        self._shapes = Buckets(shapes)
        self._filed = Buckets(filed)
        return self._filed

    def _changed(self, grants: SortedBlocks[Grant], gone: Grant | None, come: Grant | None) -> "GrantIndex":
        if self._filed is None:
            return GrantIndex(grants)
        changes: dict[_Place, Sequence[Grant]] = {}
        if gone is not None:
            for place in _places(gone):
                changes[place] = _less(self._filed.get(place) or (), gone)
        if come is not None:
            for place in _places(come):
                changes[place] = _more(changes.get(place, self._filed.get(place) or ()), come)
        shapes: dict[_Holder, dict[_Names, int]] = {}
        for place, kept in changes.items():
            known = self._filed.get(place) is not None
            if place[2] == _SUBSET and bool(kept) is not known:
                holder = place[:2]
                own = shapes.setdefault(holder, dict(self._shapes.get(holder) or {}))
                _count(own, _names(place), -1 if known else 1)
        made = GrantIndex(())
        made.grants = grants
        made._shapes = self._shapes.changed(shapes) if shapes else self._shapes
        made._filed = self._filed.changed({place: kept or None for place, kept in changes.items()})
        return made


def _kept(grants: list[Grant]) -> Sequence[Grant]:
    return tuple(grants) if len(grants) <= _FEW else SortedBlocks.of(grants, _GRANT_ID)


def _more(grants: Sequence[Grant], grant: Grant) -> Sequence[Grant]:
    if isinstance(grants, SortedBlocks):
        return grants.put(grant)
    more = list(grants)
    insort(more, grant, key=_GRANT_ID)
    return _kept(more)


def _less(grants: Sequence[Grant], grant: Grant) -> Sequence[Grant]:
    if isinstance(grants, SortedBlocks):
        return grants.without(grant.grant_id)
    return tuple(each for each in grants if each.grant_id != grant.grant_id)


def _count(shapes: dict[_Names, int], names: _Names, change: int) -> None:
    """Note one more place, or one less, whose constraint has these keys."""
    shapes[names] = shapes.get(names, 0) + change
    if shapes[names] == 0:
        del shapes[names]


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
