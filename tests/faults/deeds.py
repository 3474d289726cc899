"""What programs do to files, and which states of the files are right while and after they do it.

A deed is prepared, and then done in steps. Done on tmpfs, it gives the model: what there is before the first
step and after each, and what each step returns. On a store with faults a step may fail; then what it was to
change is old or new, and nothing else is either.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from trees import walk

CHUNK = 4096
OLD, NEW = b"old " * 12_500, b"NEW!" * 25_000
LONG = "long" * 60
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
_AT_FDCWD = -100
_LIBC = ctypes.CDLL(None, use_errno=True)

Step = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Thing:
    """One entry of a tree, without what two filesystems cannot agree on."""

    mode: int
    uid: int
    gid: int
    link_count: int
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]


Tree = Mapping[bytes, Thing]


def look(top: Path) -> Tree:
    """Read a whole tree, each content in full."""
    root = os.fsencode(top)
    return {name: _thing(os.path.join(root, name), status) for name, status in walk(root)}


def _thing(path: bytes, status: os.stat_result) -> Thing:
    content, xattrs = b"", ()
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = _content(path)
        assert len(content) == status.st_size, f"{path!r} is not as long as its status says"
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        names = sorted(name for name in os.listxattr(path) if name.startswith("user."))
        xattrs = tuple((name, os.getxattr(path, name)) for name in names)
    links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
    return Thing(status.st_mode, status.st_uid, status.st_gid, links, content, xattrs)


def _content(path: bytes) -> bytes:
    """Read a file; closing it may tell of what could not be written before, whoever wrote it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
    finally:
        with suppress(OSError):
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done in a directory of its own.

    Attributes:
        steps: what is done, one after the other.
        prepare: what is there before.
    """

    steps: tuple[Step, ...]
    prepare: Step = lambda _top: None


@dataclass(frozen=True, slots=True)
class Model:
    """What a deed does where nothing fails: `trees[i]` is there before step i, which returns `values[i]`."""

    trees: tuple[Tree, ...]
    values: tuple[object, ...]


def model_of(deed: Deed, directory: Path) -> Model:
    """Do a deed in an empty directory on a filesystem without faults."""
    deed.prepare(str(directory))
    trees, values = [look(directory)], []
    for step in deed.steps:
        values.append(step(str(directory)))
        trees.append(look(directory))
    return Model(tuple(trees), tuple(values))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a deed went.

    Attributes:
        done: how many steps succeeded.
        error: what ended the next one; None where all are done.
    """

    done: int
    error: OSError | None


def attempt(deed: Deed, model: Model, directory: Path) -> Outcome:
    """Do a prepared deed until a step fails; one that does not must return what the model's did."""
    for number, step in enumerate(deed.steps):
        try:
            value = step(str(directory))
        except OSError as error:
            return Outcome(number, error)
        assert value == model.values[number], f"step {number} returned {value!r}"
    return Outcome(len(deed.steps), None)


def wrongs(found: Tree, model: Model, outcome: Outcome) -> list[str]:
    """Say what is neither as it was before the step that failed, nor as it was to become."""
    before = model.trees[outcome.done]
    after = before if outcome.error is None else model.trees[outcome.done + 1]
    lines = []
    for name in sorted(found.keys() | before.keys() | after.keys()):
        old, new, now = before.get(name), after.get(name), found.get(name)
        if now in (old, new):
            continue
        if now is None or not _is_between(now, old, new):
            lines.append(f"{name!r} is {_brief(now)}; was {_brief(old)}, was to be {_brief(new)}")
    return lines


def _is_between(now: Thing, old: Thing | None, new: Thing | None) -> bool:
    """Say whether an entry is a mixture of its old and its new state, each part whole."""
    ends = [end for end in (old, new) if end is not None]
    for field in ("mode", "uid", "gid", "xattrs"):
        if getattr(now, field) not in [getattr(end, field) for end in ends]:
            return False
    # A file made by this very step is empty first, as one that is cut.
    contents = [end.content for end in ends] + ([b""] if len(ends) == 1 else [])
    if not min(map(len, contents)) <= len(now.content) <= max(map(len, contents)):
        return False
    return all(
        any(_same_chunk(now.content, content, start) for content in contents)
        for start in range(0, len(now.content), CHUNK)
    )


def _same_chunk(now: bytes, then: bytes, start: int) -> bool:
    """Say whether one chunk is another's; where the file has another length, as far as both reach."""
    mine, theirs = now[start : start + CHUNK], then[start : start + CHUNK]
    common = min(len(mine), len(theirs))
    return mine[:common] == theirs[:common] and not any(mine[common:])


def _brief(thing: Thing | None) -> str:
    if thing is None:
        return "not there"
    content = thing.content if len(thing.content) < 40 else f"{len(thing.content)} bytes"
    return f"{thing.mode:o} {thing.uid}:{thing.gid} x{thing.link_count} {content!r} {thing.xattrs}"


# The steps


def _write(name: str, content: bytes, offset: int = 0, flags: int = 0, *, sync: bool = True) -> Step:
    """Write once and, unless told not to, make it durable."""

    def step(top: str) -> object:
        fd = os.open(f"{top}/{name}", os.O_WRONLY | flags, 0o640)
        try:
            written = 0
            while written < len(content):
                written += os.pwrite(fd, content[written:], offset + written)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        return None

    return step


def _read(name: str, length: int = 1 << 20, offset: int = 0) -> Step:
    def step(top: str) -> object:
        fd = os.open(f"{top}/{name}", os.O_RDONLY)
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    return step


def _renameat2(old: str, new: str, flags: int) -> Step:
    def step(top: str) -> object:
        paths = (os.fsencode(f"{top}/{name}") for name in (old, new))
        if _LIBC.renameat2(_AT_FDCWD, next(paths), _AT_FDCWD, next(paths), flags) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return None

    return step


def _sync_directory(top: str) -> object:
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return None


def _some(top: str) -> object:
    """Make a file, a directory with a file in it, a symlink, a long name."""
    os.mkdir(f"{top}/directory")
    os.mkdir(f"{top}/empty")
    os.symlink("target", f"{top}/symlink")
    for name, content in (("file", OLD), (LONG, OLD), ("directory/inner", b"inner")):
        _write(name, content, flags=os.O_CREAT, sync=False)(top)
    os.setxattr(f"{top}/file", "user.old", b"old")
    return None


def _with_hole(top: str) -> object:
    return _write("file", OLD, 200_000, os.O_CREAT, sync=False)(top)


def _new_file(name: str, content: bytes = b"new") -> tuple[Step, ...]:
    """Create, then write: two steps, since the file may stay without what was written."""
    return (
        lambda top: os.close(os.open(f"{top}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)),
        _write(name, content),
    )


CHANGES: dict[str, Deed] = {
    "create": Deed(_new_file("new")),
    "create a long name": Deed(_new_file(LONG)),
    "create, large": Deed(_new_file("new", NEW)),
    "append": Deed((_write("file", NEW[:3000], flags=os.O_APPEND),), _some),
    "append chunks": Deed((_write("file", NEW, flags=os.O_APPEND),), _some),
    "append, not synced": Deed(
        (_write("file", NEW, flags=os.O_APPEND, sync=False), _write("file", b"")), _some
    ),
    "write over the middle": Deed((_write("file", NEW[:20_000], 5001),), _some),
    "write over all": Deed((_write("file", NEW),), _some),
    "write beyond the end": Deed((_write("file", NEW[:5000], 150_000),), _some),
    "write into a hole": Deed((_write("file", NEW[:9000], 60_000),), _with_hole),
    "cut": Deed((lambda top: os.truncate(f"{top}/file", 10_001),), _some),
    "cut to nothing": Deed((lambda top: os.truncate(f"{top}/file", 0),), _some),
    "extend": Deed((lambda top: os.truncate(f"{top}/file", 300_000),), _some),
    "replace": Deed((_write("file", b"", flags=os.O_TRUNC), _write("file", NEW)), _some),
    "mkdir": Deed((lambda top: os.mkdir(f"{top}/new", 0o750),)),
    "mkdir, a long name": Deed((lambda top: os.mkdir(f"{top}/{LONG}", 0o750),)),
    "rmdir": Deed((lambda top: os.rmdir(f"{top}/empty"),), _some),
    "symlink": Deed((lambda top: os.symlink("t" * 500, f"{top}/new"),)),
    "symlink, a long name": Deed((lambda top: os.symlink("target", f"{top}/{LONG}"),)),
    "mkfifo": Deed((lambda top: os.mkfifo(f"{top}/new", 0o640),)),
    "link": Deed((lambda top: os.link(f"{top}/file", f"{top}/new"),), _some),
    "link, a long name": Deed((lambda top: os.link(f"{top}/file", f"{top}/{'new' * 70}"),), _some),
    "unlink": Deed((lambda top: os.unlink(f"{top}/file"),), _some),
    "unlink, a long name": Deed((lambda top: os.unlink(f"{top}/{LONG}"),), _some),
    "rename": Deed((lambda top: os.rename(f"{top}/file", f"{top}/new"),), _some),
    "rename to a long name": Deed((lambda top: os.rename(f"{top}/file", f"{top}/{'new' * 70}"),), _some),
    "rename from a long name": Deed((lambda top: os.rename(f"{top}/{LONG}", f"{top}/new"),), _some),
    "rename over a file": Deed((lambda top: os.rename(f"{top}/file", f"{top}/{LONG}"),), _some),
    "rename into a directory": Deed((lambda top: os.rename(f"{top}/file", f"{top}/directory/new"),), _some),
    "rename a directory": Deed((lambda top: os.rename(f"{top}/directory", f"{top}/new"),), _some),
    "move a directory": Deed((lambda top: os.rename(f"{top}/empty", f"{top}/directory/new"),), _some),
    "move a symlink": Deed((lambda top: os.rename(f"{top}/symlink", f"{top}/directory/new"),), _some),
    "rename over a directory": Deed((lambda top: os.rename(f"{top}/directory", f"{top}/empty"),), _some),
    "rename, never over": Deed((_renameat2("file", "new", RENAME_NOREPLACE),), _some),
    "exchange": Deed((_renameat2("file", "directory/inner", RENAME_EXCHANGE),), _some),
    "exchange with a directory": Deed((_renameat2("file", "directory", RENAME_EXCHANGE),), _some),
    "chmod": Deed((lambda top: os.chmod(f"{top}/file", 0o600),), _some),
    "chown": Deed((lambda top: os.chown(f"{top}/file", 1, 2),), _some),
    "utime": Deed((lambda top: os.utime(f"{top}/file", ns=(1, 1)),), _some),
    "setxattr": Deed((lambda top: os.setxattr(f"{top}/file", "user.new", b"n" * 1000),), _some),
    "setxattr of a directory": Deed((lambda top: os.setxattr(f"{top}/empty", "user.new", b"new"),), _some),
    "removexattr": Deed((lambda top: os.removexattr(f"{top}/file", "user.old"),), _some),
    "fsync of a directory": Deed((_sync_directory,), _some),
}
"""What changes files or their names; each step is one that a program would see fail as a whole."""

READS: dict[str, Deed] = {
    "read": Deed((_read("file"),), _some),
    "read the middle": Deed((_read("file", 100, 20_000),), _some),
    "read a long name": Deed((_read(LONG),), _some),
    "read a hole": Deed((_read("file", 5000, 100_000),), _with_hole),
    "read below": Deed((_read("directory/inner"),), _some),
    "list": Deed((lambda top: sorted(os.listdir(top)),), _some),
    "list below": Deed((lambda top: sorted(os.listdir(f"{top}/directory")),), _some),
    "stat": Deed((lambda top: os.stat(f"{top}/file").st_size,), _some),
    "stat of nothing": Deed((lambda top: os.path.lexists(f"{top}/nothing"),), _some),
    "readlink": Deed((lambda top: os.readlink(f"{top}/symlink"),), _some),
    "getxattr": Deed((lambda top: os.getxattr(f"{top}/file", "user.old"),), _some),
    "listxattr": Deed((lambda top: "user.old" in os.listxattr(f"{top}/file"),), _some),
    "statvfs": Deed((lambda top: os.statvfs(top).f_namemax,), _some),
}
"""What only looks; each is right, or fails."""


def prepared(deed: Deed, top: Path) -> Iterator[Path]:
    """Make one directory after the other, each ready for the deed, below a new one."""
    top.mkdir()
    for number in count():
        path = top / str(number)
        path.mkdir()
        deed.prepare(str(path))
        yield path
