"""Owns what readers see: everything that is kept, as of one commit. Immutable once published; no I/O.

A transaction works on a `Draft`, which copies what it changes, so a snapshot that someone reads stays as it
was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.keys.key import Alias, Key, KeyMaterial

KeyPlace: TypeAlias = tuple[str, str]  # region, key id
AliasPlace: TypeAlias = tuple[str, str]  # region, alias name


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys, materials and aliases by what they are asked for.

    Attributes:
        materials_of: the materials of a key, by generation.
    """

    keys: Mapping[KeyPlace, Key] = field(default_factory=dict)
    materials: Mapping[str, KeyMaterial] = field(default_factory=dict)
    materials_of: Mapping[KeyPlace, tuple[KeyMaterial, ...]] = field(default_factory=dict)
    aliases: Mapping[AliasPlace, Alias] = field(default_factory=dict)
    _ordered_keys: dict[str, tuple[Key, ...]] = field(default_factory=dict, compare=False, repr=False)
    _ordered_aliases: dict[str, tuple[Alias, ...]] = field(default_factory=dict, compare=False, repr=False)

    def ordered_keys(self, region: str) -> tuple[Key, ...]:
        """Return a Region's keys by key id; sorted once, for pages of a listing ask again and again."""
        if region not in self._ordered_keys:
            places = sorted(place for place in self.keys if place[0] == region)
            self._ordered_keys[region] = tuple(self.keys[place] for place in places)
        return self._ordered_keys[region]

    def ordered_aliases(self, region: str) -> tuple[Alias, ...]:
        """Return a Region's aliases by name; sorted once."""
        if region not in self._ordered_aliases:
            places = sorted(place for place in self.aliases if place[0] == region)
            self._ordered_aliases[region] = tuple(self.aliases[place] for place in places)
        return self._ordered_aliases[region]


class Draft:
    """A snapshot in the making: the same changes as go to the database, applied to a copy."""

    __slots__ = ("_aliases", "_base", "_keys", "_materials", "_materials_of")

    def __init__(self, base: Snapshot) -> None:
        self._base = base
        self._keys: dict[KeyPlace, Key] | None = None
        self._aliases: dict[AliasPlace, Alias] | None = None
        self._materials: dict[str, KeyMaterial] | None = None
        self._materials_of: dict[KeyPlace, tuple[KeyMaterial, ...]] | None = None

    def put_keys(self, keys: Iterable[Key]) -> None:
        """Add or replace keys."""
        self._own_keys().update(((key.region, key.key_id), key) for key in keys)

    def put_aliases(self, aliases: Iterable[Alias]) -> None:
        """Add or replace aliases."""
        self._own_aliases().update(((alias.region, alias.name), alias) for alias in aliases)

    def put_materials(self, materials: Iterable[KeyMaterial]) -> None:
        """Add or replace materials."""
        by_id, by_key = self._own_materials()
        for material in materials:
            previous = by_id.get(material.material_id)
            if previous is not None:
                _remove(by_key, previous)
            by_id[material.material_id] = material
            place = (material.region, material.key_id)
            by_key[place] = tuple(sorted((*by_key.get(place, ()), material), key=_generation))

    def delete_alias(self, place: AliasPlace) -> None:
        """Remove an alias, if it is there."""
        self._own_aliases().pop(place, None)

    def delete_key(self, place: KeyPlace) -> None:
        """Remove a key, if it is there, with its materials and aliases."""
        if self._own_keys().pop(place, None) is None:
            return
        by_id, by_key = self._own_materials()
        for material in by_key.pop(place, ()):
            del by_id[material.material_id]
        aliases = self._own_aliases()
        for name in [name for name, alias in aliases.items() if (alias.region, alias.target_key_id) == place]:
            del aliases[name]

    def publish(self) -> Snapshot:
        """Return the finished snapshot; the draft must not be used afterwards."""
        return Snapshot(
            keys=self._base.keys if self._keys is None else self._keys,
            materials=self._base.materials if self._materials is None else self._materials,
            materials_of=self._base.materials_of if self._materials_of is None else self._materials_of,
            aliases=self._base.aliases if self._aliases is None else self._aliases,
        )

    def _own_keys(self) -> dict[KeyPlace, Key]:
        if self._keys is None:
            self._keys = dict(self._base.keys)
        return self._keys

    def _own_aliases(self) -> dict[AliasPlace, Alias]:
        if self._aliases is None:
            self._aliases = dict(self._base.aliases)
        return self._aliases

    def _own_materials(self) -> tuple[dict[str, KeyMaterial], dict[KeyPlace, tuple[KeyMaterial, ...]]]:
        if self._materials is None or self._materials_of is None:
            self._materials = dict(self._base.materials)
            self._materials_of = dict(self._base.materials_of)
        return self._materials, self._materials_of


def _remove(by_key: dict[KeyPlace, tuple[KeyMaterial, ...]], material: KeyMaterial) -> None:
    place = (material.region, material.key_id)
    rest = tuple(other for other in by_key[place] if other.material_id != material.material_id)
    if rest:
        by_key[place] = rest
    else:
        del by_key[place]


def _generation(material: KeyMaterial) -> int:
    return material.generation
