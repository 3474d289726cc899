"""Owns two immutable containers of which a copy with one thing changed is cheap, however much they hold.

A change copies one block, or one bucket, and the list of those: with 50,000 things some hundred pointers
each. What is shared is never written to, so readers keep what they have. Knows nothing of what is kept.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Final, Generic, Self, TypeVar, overload

Item = TypeVar("Item")
Place = TypeVar("Place", bound=Hashable)

_BLOCK: Final = 256
_BUCKET: Final = 128


class SortedBlocks(Sequence[Item]):
    """Items in the order of a string that each has for itself; `of` makes them.

    Args:
        blocks: of items, none of them empty.
        key: gives an item's string.
    """

    __slots__ = ("_blocks", "_key", "_starts")

    def __init__(self, blocks: tuple[tuple[Item, ...], ...], key: Callable[[Item], str]) -> None:
        self._blocks = blocks
        self._key = key
        # The number of each block's first item, and how many there are.
        self._starts = tuple(accumulate(map(len, blocks), initial=0))

    @classmethod
    def of(cls, items: Iterable[Item], key: Callable[[Item], str]) -> Self:
        """Return items that come in any order, each string once."""
        ordered = sorted(items, key=key)
        starts = range(0, len(ordered), _BLOCK)
        return cls(tuple(tuple(ordered[start : start + _BLOCK]) for start in starts), key)

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self._blocks)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        """Return an item by its number, or several."""
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = range(len(self))[index]
        block = bisect_right(self._starts, number) - 1
        return self._blocks[block][number - self._starts[block]]

    def find(self, name: str) -> Item | None:
        """Return the item with that string, or None."""
        block, place, found = self._find(name)
        return self._blocks[block][place] if found else None

    def put(self, item: Item) -> Self:
        """Return these items with one more, or with one in the place of the other of its string."""
        if not self._blocks:
            return self._with(((item,),))
        number, place, found = self._find(self._key(item))
        block = self._blocks[number]
        longer = (*block[:place], item, *block[place + found :])
        half = len(longer) // 2
        parts = (longer[:half], longer[half:]) if len(longer) > 2 * _BLOCK else (longer,)
        return self._with((*self._blocks[:number], *parts, *self._blocks[number + 1 :]))

    def without(self, name: str) -> Self:
        """Return these items without the one of that string."""
        number, place, found = self._find(name)
        if not found:
            return self
        block = self._blocks[number]
        shorter = (*block[:place], *block[place + 1 :])
        parts = (shorter,) if shorter else ()
        return self._with((*self._blocks[:number], *parts, *self._blocks[number + 1 :]))

    def _find(self, name: str) -> tuple[int, int, bool]:
        """Return the block and the place in it where an item is or belongs, and whether it is there."""
        key = self._key
        number = max(bisect_right(self._blocks, name, key=lambda block: key(block[0])) - 1, 0)
        if number >= len(self._blocks):
            return 0, 0, False
        block = self._blocks[number]
        place = bisect_left(block, name, key=key)
        return number, place, place < len(block) and key(block[place]) == name

    def _with(self, blocks: tuple[tuple[Item, ...], ...]) -> Self:
        return type(self)(blocks, self._key)


class Buckets(Generic[Place, Item]):
    """Items by what they are asked for by.

    Args:
        items: what is kept.
    """

    __slots__ = ("_buckets", "_count")

    def __init__(self, items: Mapping[Place, Item]) -> None:
        count = 1
        while len(items) > _BUCKET * count:
            count *= 4
        buckets: tuple[dict[Place, Item], ...] = tuple({} for _ in range(count))
        for place, item in items.items():
            buckets[hash(place) & (count - 1)][place] = item
        self._buckets = buckets
        self._count = len(items)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Place]:
        return chain.from_iterable(self._buckets)

    def get(self, place: Place) -> Item | None:
        """Return the item, or None."""
        buckets = self._buckets
        return buckets[hash(place) & (len(buckets) - 1)].get(place)

    def changed(self, changes: Mapping[Place, Item | None]) -> "Buckets[Place, Item]":
        """Return these items with others put among them; None takes one out."""
        buckets, own = list(self._buckets), set[int]()
        count = self._count
        for place, item in changes.items():
            number = hash(place) & (len(buckets) - 1)
            if number not in own:
                own.add(number)
                buckets[number] = dict(buckets[number])
            count -= len(buckets[number])
            if item is None:
                buckets[number].pop(place, None)
            else:
                buckets[number][place] = item
            count += len(buckets[number])
        if count > 2 * _BUCKET * len(buckets):
            return Buckets({place: bucket[place] for bucket in buckets for place in bucket})
        made: Buckets[Place, Item] = Buckets({})
        made._buckets, made._count = tuple(buckets), count
        return made
