"""Containers that are copied in part: as a sorted list and as a dict, and none of the old ones changes."""

import string
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from agent.keys.persistent import Buckets, SortedBlocks

NAMES: Final = st.text(string.ascii_lowercase, min_size=1, max_size=2)
CHANGES: Final = st.lists(st.tuples(NAMES, st.booleans()), max_size=60)


def key(item: tuple[str, int]) -> str:
    """Return what an item is found by."""
    return item[0]


def many(count: int, step: int = 1) -> list[tuple[str, int]]:
    """Return so many items."""
    return [(f"{number * step:06}", number) for number in range(count)]


def check(blocks: SortedBlocks[tuple[str, int]], items: list[tuple[str, int]]) -> None:
    """See that blocks are a sorted list."""
    assert list(blocks) == items
    assert len(blocks) == len(items)
    assert bool(blocks) is bool(items)
    for place in (0, 1, len(items) // 2, len(items) - 1):
        if 0 <= place < len(items):
            assert blocks[place] == items[place]
            assert blocks[place - len(items)] == items[place]
            assert blocks.find(items[place][0]) == items[place]
    assert list(blocks[1:7]) == items[1:7]
    assert list(blocks[len(items) - 3 : len(items) + 9]) == items[len(items) - 3 : len(items) + 9]
    assert blocks.find("absent") is None


@given(CHANGES)
def test_any_changes(changes: list[tuple[str, bool]]) -> None:
    """However items come, are replaced and go, there is each once and in order."""
    blocks: SortedBlocks[tuple[str, int]] = SortedBlocks.of((), key)
    held: dict[str, int] = {}
    for number, (name, comes) in enumerate(changes):
        before, known = blocks, list(blocks)
        if comes:
            held[name] = number
            blocks = blocks.put((name, number))
        else:
            held.pop(name, None)
            blocks = blocks.without(name)
        assert list(blocks) == sorted(held.items())
        assert list(before) == known
    check(blocks, sorted(held.items()))


def test_many_items_one_by_one() -> None:
    """Blocks are split as they fill, and go as they empty."""
    items = many(2000)
    blocks: SortedBlocks[tuple[str, int]] = SortedBlocks.of((), key)
    for item in items[::2] + items[1::2]:
        blocks = blocks.put(item)
    check(blocks, items)
    check(SortedBlocks.of(reversed(items), key), items)
    for item in items[100:1900]:
        blocks = blocks.without(item[0])
    check(blocks, items[:100] + items[1900:])
    for item in items:
        blocks = blocks.without(item[0])
    check(blocks, [])


@given(CHANGES)
def test_any_changes_of_a_map(changes: list[tuple[str, bool]]) -> None:
    """A map is as a dict would be, and the one before as it was."""
    made: Buckets[str, int] = Buckets({})
    held: dict[str, int] = {}
    for number, (name, comes) in enumerate(changes):
        before, known = made, dict(held)
        held[name] = number
        made = made.changed({name: number if comes else None})
        if not comes:
            del held[name]
        assert {place: before.get(place) for place in before} == known
    assert {place: made.get(place) for place in made} == held
    assert len(made) == len(held)
    assert made.get("absent") is None


def test_a_map_that_grows() -> None:
    """One change at a time or all at once, nothing is lost."""
    items = dict(many(5000))
    grown: Buckets[str, int] = Buckets({})
    for name, number in items.items():
        grown = grown.changed({name: number})
    for made in (grown, Buckets(items), Buckets[str, int]({}).changed(items)):
        assert {place: made.get(place) for place in made} == items
        assert len(made) == 5000
    emptied = grown.changed(dict.fromkeys(items))
    assert (len(emptied), list(emptied)) == (0, [])
