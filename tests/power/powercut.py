"""What a power cut may leave of a journal's changes, in three kinds of store. Knows nothing of kmsfs.

`ORDERED` is ext4 as it comes (data=ordered), and XFS and btrfs do no less: metadata is journalled, so that a
cut leaves a prefix of it, any sync makes all of it before durable, and a block that is new to a file shows
what was written to it. In `WRITEBACK` (ext4 with data=writeback) it may show zeros or noise. `WEAK` is what
POSIX promises: names and attributes are durable by an fsync of their own directory or inode only, and before
that each may be lost while a later one is kept, unless the one makes no sense without the other.

In all of them a page of a file that was not synced may be on the disk as it was at any moment since the last
sync, every page at another one, and sectors of 512 bytes are written whole, those of a page not all of them.
"""

from __future__ import annotations

import stat
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

from journal import (
    Attribute,
    Entry,
    Linked,
    Made,
    Metadata,
    Mode,
    Removed,
    Renamed,
    Resized,
    Synced,
    SyncedAll,
    Written,
)
from kmsfs.backing import RENAME_EXCHANGE

PAGE = 4096
SECTOR = 512
ROOT = 0


class Model(Enum):
    """A kind of store; `NOTHING_LOST` is one whose every call is durable at once."""

    NOTHING_LOST = auto()
    ORDERED = auto()
    WRITEBACK = auto()
    WEAK = auto()


@dataclass(slots=True)
class Inode:
    """An inode on the disk after the cut."""

    kind: int
    mode: int
    target: bytes
    device: int
    content: bytes = b""
    attributes: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """A disk after the cut.

    Attributes:
        time: of the cut: how many entries of the journal had happened.
        metadata: how many of them had their metadata on disk, in a store that keeps its order.
        names: per directory, name → node.
    """

    time: int
    metadata: int
    inodes: dict[int, Inode]
    names: dict[int, dict[bytes, int]]

    def apply(self, entry: Metadata) -> None:
        """Have a change of metadata on the disk."""
        match entry:
            case Made():
                self.inodes[entry.node] = Inode(entry.kind, entry.mode, entry.target, entry.device)
                self.names[entry.directory][entry.name] = entry.node
                if stat.S_ISDIR(entry.kind):
                    self.names[entry.node] = {}
            case Linked():
                self.names[entry.directory][entry.name] = entry.node
            case Removed():
                del self.names[entry.directory][entry.name]
            case Renamed():
                self._rename(entry)
            case Mode(_, int(mode)):
                self.inodes[entry.node].mode = mode
            case Attribute(_, _, bytes(value)):
                self.inodes[entry.node].attributes[entry.name] = value
            case Attribute():
                self.inodes[entry.node].attributes.pop(entry.name, None)

    def _rename(self, entry: Renamed) -> None:
        old, new = self.names[entry.directory], self.names[entry.new_directory]
        moved = old.pop(entry.name)
        if entry.flags == RENAME_EXCHANGE:
            old[entry.name] = new[entry.new_name]
        new[entry.new_name] = moved


class Journal:
    """A whole journal, and the content of each file at each moment of it."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self._times: dict[int, list[int]] = {}
        self._contents: dict[int, list[bytes]] = {}
        for index, entry in enumerate(entries):
            if isinstance(entry, Made) and stat.S_ISREG(entry.kind):
                self._times[entry.node], self._contents[entry.node] = [0], [b""]
            elif isinstance(entry, Written | Resized):
                before = self._contents[entry.node][-1]
                self._times[entry.node].append(index + 1)
                self._contents[entry.node].append(changed(before, entry))

    def content(self, node: int, time: int) -> bytes:
        """Return what a file held when `time` entries had happened."""
        return self._contents[node][bisect_right(self._times[node], time) - 1]

    def times(self, node: int, first: int, last: int) -> list[int]:
        """Return the moments at which a file came to be what it was from `first` to `last`."""
        times = self._times[node]
        return times[bisect_right(times, first) - 1 : bisect_right(times, last)]

    def synced(self, node: int, time: int) -> int:
        """Return the last moment at which all content that a file had was durable."""
        for index in range(time - 1, -1, -1):
            match self.entries[index]:
                case SyncedAll():
                    return index
                case Synced(synced) if synced == node:
                    return index
                case _:
                    pass
        return 0

    def moved(self, time: int) -> set[int]:
        """Return which nodes have got another name, or one more, since everything was durable."""
        names: dict[int, dict[bytes, int]] = {}
        moved: set[int] = set()
        for entry in self.entries[:time]:
            match entry:
                case Made():
                    names.setdefault(entry.directory, {})[entry.name] = entry.node
                case Linked():
                    names.setdefault(entry.directory, {})[entry.name] = entry.node
                    moved.add(entry.node)
                case Removed():
                    del names[entry.directory][entry.name]
                case Renamed():
                    old, new = names[entry.directory], names.setdefault(entry.new_directory, {})
                    node = old.pop(entry.name)
                    moved.add(node)
                    if entry.flags == RENAME_EXCHANGE:
                        old[entry.name] = new[entry.new_name]
                        moved.add(old[entry.name])
                    new[entry.new_name] = node
                case SyncedAll():
                    moved.clear()
                case _:
                    pass
        return moved

    def cut_at(self, node: int, before: int) -> int:
        """Return when a file was last made another length than writing makes it; 0 if never."""
        indices = (
            i
            for i in range(before - 1, -1, -1)
            if isinstance(entry := self.entries[i], Resized) and entry.node == node
        )
        return next(indices, -1) + 1

    def _freed(self, node: int, start: int, first: int, last: int) -> int:
        """Return when a file first lost the page at `start`, of all that happened from `first` to `last`."""
        for index in range(first, last):
            entry = self.entries[index]
            if isinstance(entry, Resized) and entry.node == node and entry.size <= start:
                return index + 1
        return last + 1

    def _is_written(self, node: int, start: int, first: int, last: int) -> bool:
        """Say whether the page at `start` was written to; a hole that only grew has no block to show."""
        return any(
            isinstance(entry, Written)
            and entry.node == node
            and entry.offset < start + PAGE
            and entry.offset + len(entry.content) > start
            for entry in self.entries[first:last]
        )

    def cut(self, time: int, model: Model, rng: Random) -> State:
        """Return a disk as a cut of power may leave it once `time` entries have happened."""
        state = State(time, time, {ROOT: Inode(stat.S_IFDIR, 0o700, b"", 0)}, {ROOT: {}})
        applied = range(time)
        if model in {Model.ORDERED, Model.WRITEBACK}:
            syncs = (i for i in range(time - 1, -1, -1) if isinstance(self.entries[i], Synced | SyncedAll))
            state.metadata = rng.choice((time, rng.randint(next(syncs, 0), time)))
            applied = range(state.metadata)
        elif model is Model.WEAK:
            applied = kept(self.entries[:time], rng)  # type: ignore[assignment]  # any sequence of numbers does
        for index in applied:
            if isinstance(entry := self.entries[index], Made | Linked | Removed | Renamed | Mode | Attribute):
                state.apply(entry)
        for node, inode in state.inodes.items():
            if stat.S_ISREG(inode.kind):
                inode.content = self._image(node, state, model, rng)
        return state

    def _image(self, node: int, state: State, model: Model, rng: Random) -> bytes:
        """Return what of a file is on the disk."""
        synced = self.synced(node, state.time)
        if model is Model.NOTHING_LOST or not self.times(node, synced, state.time)[1:]:
            return self.content(node, state.time)
        first = synced if model is Model.WEAK else max(synced, self.cut_at(node, state.metadata))
        size_time = rng.choice(self.times(node, min(first, state.metadata), state.metadata))
        size = len(self.content(node, size_time))
        cut = max(synced, self.cut_at(node, size_time))
        durable = len(self.content(node, synced))
        pages = -(-size // PAGE)
        pick = Picking(rng, pages)
        image = bytearray()
        for page in range(pages):
            start = page * PAGE
            times = self.times(node, cut, state.time)
            if model is not Model.WEAK:
                # Where a cut of the file is lost, the old blocks are there, and were not written to since.
                freed = self._freed(node, start, size_time, state.time)
                times = [time for time in times if time < freed] or times[:1]
            found = [self.content(node, time)[start : start + PAGE].ljust(PAGE, b"\0") for time in times]
            if start >= durable:
                written = [found[i] for i, time in enumerate(times) if len(self.content(node, time)) > start]
                if model is Model.ORDERED:
                    found = written or found
                elif model is Model.WRITEBACK and self._is_written(node, start, synced, state.time):
                    found = found if rng.randrange(8) else [rng.randbytes(PAGE)]
            image += pick.page(page, list(dict.fromkeys(found)))
        return bytes(image[:size])


class Picking:
    """Which pages of one file had been written back: at random, or from one end on up to a certain one."""

    def __init__(self, rng: Random, pages: int) -> None:
        self._rng = rng
        self._way = rng.choice(("any", "any", "forward", "backward", "header", "no header"))
        self._edge = rng.randrange(pages) if pages else 0

    def page(self, page: int, found: list[bytes]) -> bytes:
        """Choose what of a page is on the disk.

        Args:
            page: its index.
            found: what it was since it was durable, oldest first.
        """
        if len(found) == 1:
            return found[0]
        new = {
            "any": self._rng.randrange(3) - 1,
            "forward": (page < self._edge) - (page > self._edge),
            "backward": (page > self._edge) - (page < self._edge),
            "header": 1 if page == 0 else -1,
            "no header": -1 if page == 0 else 1,
        }[self._way]
        if new:
            return found[-1] if new > 0 else found[0]
        first, second = self._rng.choice(found), self._rng.choice(found)
        if self._rng.randrange(2):
            at = self._rng.randrange(1, PAGE // SECTOR) * SECTOR
            return first[:at] + second[at:]
        sectors = range(0, PAGE, SECTOR)
        return b"".join(self._rng.choice((first, second))[at : at + SECTOR] for at in sectors)


def changed(before: bytes, entry: Written | Resized) -> bytes:
    """Return a file's content after an entry."""
    if isinstance(entry, Resized):
        return before[: entry.size].ljust(entry.size, b"\0")
    end = entry.offset + len(entry.content)
    return before[: entry.offset].ljust(entry.offset, b"\0") + entry.content + before[end:]


def kept(entries: list[Entry], rng: Random) -> list[int]:
    """Return which changes of metadata a store that promises no order has kept."""
    needs = dependencies(entries)
    required = durable(entries)
    for index in range(len(entries) - 1, -1, -1):
        if index in required:
            required |= needs[index]
    chance = rng.choice((0.0, 0.1, 0.5, 0.9))
    lost: set[int] = set()
    for index in range(len(entries)):
        if index not in required and (needs[index] & lost or rng.random() < chance):
            lost.add(index)
    return [index for index in range(len(entries)) if index not in lost]


def durable(entries: list[Entry]) -> set[int]:
    """Return which changes of metadata an fsync of their own directory or inode has made durable."""
    found: set[int] = set()
    synced: dict[int, int] = {}
    everything = 0
    for index, entry in enumerate(entries):
        if isinstance(entry, SyncedAll):
            everything = index
        elif isinstance(entry, Synced) and not entry.data_only:
            synced[entry.node] = index
    for index, entry in enumerate(entries):
        match entry:
            case Made() | Linked() | Removed():
                places = [entry.directory]
            case Renamed():
                places = [entry.directory, entry.new_directory]
            case Mode() | Attribute():
                places = [entry.node]
            case _:
                places = []
        if any(index < max(everything, synced.get(place, 0)) for place in places):
            found.add(index)
    return found


def dependencies(entries: list[Entry]) -> list[set[int]]:
    """Return for each change of metadata the earlier ones without which it makes no sense."""
    last: dict[object, int] = {}
    needs: list[set[int]] = []
    for index, entry in enumerate(entries):
        match entry:
            case Made():
                uses, keys = [entry.directory], [(entry.directory, entry.name), entry.node]
            case Linked():
                uses, keys = [entry.directory, entry.node], [(entry.directory, entry.name)]
            case Removed():
                uses, keys = [entry.directory], [(entry.directory, entry.name)]
            case Renamed():
                uses = [entry.directory, entry.new_directory]
                keys = [(entry.directory, entry.name), (entry.new_directory, entry.new_name)]
            case Mode() | Attribute():
                uses, keys = [entry.node], [("attributes", entry.node)]
            case _:
                uses, keys = [], []
        needs.append({last[key] for key in (*uses, *keys) if key in last})
        last.update(dict.fromkeys(keys, index))
    return needs
