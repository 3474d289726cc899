"""Owns what readers see: everything that is kept, as of one commit. Immutable once published; no I/O.

A transaction works on a `Draft`, which copies what it changes, so a snapshot that someone reads stays as it
was.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeAlias

from agent.keys.grant import Grant
from agent.keys.grantindex import GrantIndex
from agent.keys.identity import AccessKey, IdentityPolicy, PrincipalProfile
from agent.keys.key import Alias, Key, KeyMaterial
from agent.keys.persistent import Buckets
from agent.store.protocol import Record

Place: TypeAlias = tuple[str, ...]
"""What a record is asked for by: the columns of its table's primary key."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Records that are also asked for together: by what, and in which order."""

    owner: Callable[[Any], Place]
    order: Callable[[Any], Any]


_PLACES: Final[Mapping[type[Record], Callable[[Any], Place]]] = {
    Key: lambda key: (key.region, key.key_id),
    KeyMaterial: lambda material: (material.region, material.material_id),
    Alias: lambda alias: (alias.region, alias.name),
    AccessKey: lambda access_key: (access_key.access_key_id,),
    IdentityPolicy: lambda policy: (policy.principal_arn, policy.name),
    PrincipalProfile: lambda profile: (profile.principal_arn,),
}
_GROUPS: Final[Mapping[type[Record], _Group]] = {
    KeyMaterial: _Group(lambda item: (item.region, item.key_id), lambda item: item.generation),
    IdentityPolicy: _Group(lambda item: (item.principal_arn,), lambda item: item.name),
}

# A change of a large group must not cost as much as making it.
_FEW_CHANGES: Final = 16
NO_GRANTS: Final = GrantIndex(())

Records: TypeAlias = Mapping[Place, Any]
Groups: TypeAlias = Mapping[Place, tuple[Any, ...]]
_Change: TypeAlias = tuple[Any, Any]
"""A record's predecessor, None if it is new, and the record."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records of each kind by what they are asked for.

    Attributes:
        records: by kind, then by place.
        groups: of the kinds that belong to something, by kind, then by what they belong to.
        grants: of each key that has any, by the key's place.
    """

    records: Mapping[type[Record], Records] = field(default_factory=lambda: {kind: {} for kind in _PLACES})
    groups: Mapping[type[Record], Groups] = field(default_factory=lambda: {kind: {} for kind in _GROUPS})
    _ordered: dict[tuple[type[Record], str], tuple[Any, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    grants: Buckets[Place, GrantIndex] = field(default_factory=lambda: Buckets({}), repr=False)

    def get(self, kind: type[Record], *place: str) -> Any:  # noqa: ANN401 -- a record of `kind`, or None
        """Return the record, or None; grants are asked for by `grant_index`."""
        return self.records[kind].get(place)

    def group(self, kind: type[Record], *owner: str) -> tuple[Any, ...]:
        """Return the records of a kind that belong to something, in their order."""
        return self.groups[kind].get(owner, ())

    def ordered(self, kind: type[Record], region: str) -> tuple[Any, ...]:
        """Return a Region's records of a kind by name; sorted once, for each page of a listing asks."""
        known = self._ordered.get((kind, region))
        if known is None:
            records = self.records[kind]
            known = tuple(records[place] for place in sorted(records) if place[0] == region)
            self._ordered[(kind, region)] = known
        return known

    def all_grants(self, region: str) -> tuple[Grant, ...]:
        """Return a Region's grants by key and id; put together once, for each page of a listing asks."""
        known = self._ordered.get((Grant, region))
        if known is None:
            places = sorted(place for place in self.grants if place[0] == region)
            known = tuple(grant for place in places for grant in self.grant_index(*place).grants)
            self._ordered[(Grant, region)] = known
        return known

    def grant_index(self, region: str, key_id: str) -> GrantIndex:
        """Return the index of a key's grants."""
        return self.grants.get((region, key_id)) or NO_GRANTS


class Draft:
    """A snapshot in the making: the same changes as go to the database, applied to a copy."""

    __slots__ = ("_base", "_grants", "_groups", "_records")

    def __init__(self, base: Snapshot) -> None:
        self._base = base
        self._records: dict[type[Record], dict[Place, Any]] = {}
        self._groups: dict[type[Record], dict[Place, tuple[Any, ...]]] = {}
        self._grants: dict[Place, GrantIndex | None] = {}

    def put(self, kind: type[Record], records: Iterable[Any]) -> None:
        """Add or replace records of one kind."""
        if kind is Grant:
            self._put_grants(records)
            return
        own, place_of, group = self._own(kind), _PLACES[kind], _GROUPS.get(kind)
        changed: dict[Place, list[_Change]] = {}
        for record in records:
            place = place_of(record)
            previous = own.get(place)
            if group is not None:
                owner = group.owner(record)
                if previous is not None and group.owner(previous) != owner:
                    raise AssertionError(f"{kind.__name__} {place} cannot be given to another owner")
                changed.setdefault(owner, []).append((previous, record))
            own[place] = record
        if group is not None:
            groups = self._own_groups(kind)
            for owner, changes in changed.items():
                groups[owner] = _merged(groups.get(owner, ()), changes, group.order)

    def delete(self, record: Record) -> None:
        """Remove a record, if it is there; a key with its materials, grants and aliases."""
        kind = type(record)
        if isinstance(record, Grant):
            self._delete_grant(record)
            return
        removed = self._own(kind).pop(_PLACES[kind](record), None)
        if removed is None:
            return
        if isinstance(removed, Key):
            self._delete_belongings(removed)
        elif (group := _GROUPS.get(kind)) is not None:
            groups, owner = self._own_groups(kind), group.owner(removed)
            rest = list(groups[owner])
            _take_out(rest, removed, group.order)
            if rest:
                groups[owner] = tuple(rest)
            else:
                del groups[owner]

    def publish(self) -> Snapshot:
        """Return the finished snapshot; the draft must not be used afterwards."""
        base = self._base
        return Snapshot(
            {**base.records, **self._records},
            {**base.groups, **self._groups},
            grants=base.grants.changed(self._grants) if self._grants else base.grants,
        )

    def _index(self, place: Place) -> GrantIndex:
        index = self._grants[place] if place in self._grants else self._base.grants.get(place)
        return index or NO_GRANTS

    def _put_grants(self, grants: Iterable[Grant]) -> None:
        by_key: dict[Place, list[Grant]] = {}
        for grant in grants:
            by_key.setdefault((grant.region, grant.key_id), []).append(grant)
        for place, come in by_key.items():
            index = self._index(place)
            if len(come) > _FEW_CHANGES:
                held = {grant.grant_id: grant for grant in chain(index.grants, come)}
                index = GrantIndex(held.values())
            else:
                for grant in come:
                    index = index.put(grant)
            self._grants[place] = index

    def _delete_grant(self, grant: Grant) -> None:
        place = (grant.region, grant.key_id)
        index = self._index(place).without(grant.grant_id)
        self._grants[place] = index if index.grants else None

    def _delete_belongings(self, key: Key) -> None:
        place = (key.region, key.key_id)
        self._grants[place] = None
        materials = self._own(KeyMaterial)
        for item in self._own_groups(KeyMaterial).pop(place, ()):
            del materials[_PLACES[KeyMaterial](item)]
        aliases = self._own(Alias)
        for name in [name for name, alias in aliases.items() if (alias.region, alias.target_key_id) == place]:
            del aliases[name]

    def _own(self, kind: type[Record]) -> dict[Place, Any]:
        if kind not in self._records:
            self._records[kind] = dict(self._base.records[kind])
        return self._records[kind]

    def _own_groups(self, kind: type[Record]) -> dict[Place, tuple[Any, ...]]:
        if kind not in self._groups:
            self._groups[kind] = dict(self._base.groups[kind])
        return self._groups[kind]


def _merged(
    items: tuple[Any, ...], changes: Sequence[_Change], order: Callable[[Any], Any]
) -> tuple[Any, ...]:
    """Return a group with records put into it, in order."""
    if len(changes) > _FEW_CHANGES:
        present = {id(item): item for item in items}
        for previous, record in changes:
            present.pop(id(previous), None)
            present[id(record)] = record
        return tuple(sorted(present.values(), key=order))
    merged = list(items)
    for previous, record in changes:
        if previous is not None:
            _take_out(merged, previous, order)
        insort(merged, record, key=order)
    return tuple(merged)


def _take_out(items: list[Any], item: Any, order: Callable[[Any], Any]) -> None:  # noqa: ANN401 -- a record
    """Remove an item, found by its place in the order."""
    place = bisect_left(items, order(item), key=order)
    while items[place] is not item:
        place += 1
    del items[place]
