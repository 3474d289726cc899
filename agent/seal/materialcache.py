"""Owns keeping what was unwrapped, by the record that it came from. Knows nothing of wrapping."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from agent.keys.key import KeyMaterial

Kept = TypeVar("Kept")
Lent = TypeVar("Lent")

# What was unwrapped, not only whose it is said to be: a changed record is a miss.
_Place = tuple[str, str, bytes]  # key id, material id, wrapped material


class MaterialCache(Generic[Kept, Lent]):
    """What materials opened to; the least recently used goes first. Safe to call from any thread.

    Args:
        size: how many are kept.
        lend: what callers get of what is kept: something that dropping it does not change under them.
        drop: overwrites what is dropped.
    """

    __slots__ = ("_drop", "_kept", "_lend", "_lock", "_size")

    def __init__(self, size: int, lend: Callable[[Kept], Lent], drop: Callable[[Kept], None]) -> None:
        self._kept: OrderedDict[_Place, Kept] = OrderedDict()
        self._size = size
        self._lend = lend
        self._drop = drop
        self._lock = Lock()

    def get(self, material: KeyMaterial) -> Lent | None:
        """Return what exactly this record opened to, if that is still kept."""
        place = _place(material)
        with self._lock:
            kept = self._kept.get(place)
            if kept is None:
                return None
            self._kept.move_to_end(place)
            return self._lend(kept)

    def put(self, material: KeyMaterial, opened: Kept) -> None:
        """Keep what a record opened to, unless another thread was faster."""
        with self._lock:
            self._kept.setdefault(_place(material), opened)
            while len(self._kept) > self._size:
                self._drop(self._kept.popitem(last=False)[1])

    def forget_key(self, key_id: str) -> None:
        """Drop everything of one key."""
        with self._lock:
            for place in [place for place in self._kept if place[0] == key_id]:
                self._drop(self._kept.pop(place))

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            while self._kept:
                self._drop(self._kept.popitem()[1])

    def __repr__(self) -> str:
        return "<MaterialCache>"


def _place(material: KeyMaterial) -> _Place:
    return material.key_id, material.material_id, material.wrapped
