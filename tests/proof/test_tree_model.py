"""A directory tree on the mount against the same operations on tmpfs: values and errno for errno.

Hypothesis draws the operations, remounting among them. Times are left out: two filesystems do nothing in the
same nanosecond. So are the size and link count of directories and the order of listing, which may differ.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import trees
from mounts import Volume

NAMES = (b"a", b"b", b"\xff\n", b"n" * 255)
RENAME_FLAGS = {"": 0, "RENAME_NOREPLACE": 1, "RENAME_EXCHANGE": 2}
"""renameat2(2); Python has no call for it."""

LIBC = ctypes.CDLL(None, use_errno=True)

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join) | st.integers(0, 99)
"""A path, there or not; or the number of one that is there, so that most operations have something to do."""
offsets = st.one_of(st.integers(0, 20_000), st.sampled_from([0, 4095, 4096, 4097, 8192, 12_288]))
lengths = st.one_of(st.integers(0, 10_000), st.sampled_from([0, 1, 4096, 8192]))
modes = st.sampled_from([0o700, 0o755, 0o777, 0o1777, 0o2755, 0o4711])

Outcome = tuple[str, object]


def outcome(action: Callable[[], object]) -> Outcome:
    """Return what an operation gave: a value or an errno."""
    try:
        return "gives", action()
    except OSError as error:
        return "fails with", error.errno


def renameat2(source: bytes, target: bytes, flags: int) -> None:
    """Rename with the flags that only the system call itself takes."""
    at_fdcwd = -100
    if LIBC.renameat2(at_fdcwd, source, at_fdcwd, target, flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def noise(length: int, seed: int) -> bytes:
    """Return bytes that are the same for the same arguments."""
    return random.Random(seed).randbytes(length)  # noqa: S311 - repeatable content


def open_write(path: bytes, offset: int, content: bytes, flags: int) -> int:
    """Open, write once and close."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | flags, 0o640)
    try:
        return os.pwrite(descriptor, content, offset)
    finally:
        os.close(descriptor)


def open_read(path: bytes, offset: int, length: int) -> bytes:
    """Open, read once and close."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def status(path: bytes, *, follow: bool) -> tuple[int, ...]:
    """Return the status fields that must agree."""
    found = os.stat(path, follow_symlinks=follow)
    is_directory = (found.st_mode & 0o170000) == 0o040000
    counts = (0, 0) if is_directory else (found.st_nlink, found.st_size)
    return found.st_mode, found.st_uid, found.st_gid, *counts


def timeless(top: bytes) -> trees.Snapshot:
    """Return a snapshot without times."""
    return {
        name: replace(entry, mtime_ns=0) for name, entry in trees.snapshot(Path(os.fsdecode(top))).items()
    }


def leaves_its_directory(top: bytes, source: bytes, target: bytes) -> bool:
    """Say whether a symlink would get a name in another directory."""
    here, there = os.path.dirname(top + b"/" + source), os.path.dirname(top + b"/" + target)
    return os.path.islink(top + b"/" + source) and os.path.isdir(there) and not os.path.samefile(here, there)


class TreeMachine(RuleBasedStateMachine):
    """Does everything twice; `volume` and `model_top` are bound by the test."""

    volume: Volume
    model_top: Path
    has_xattrs: bool

    def __init__(self) -> None:
        super().__init__()
        # Not from `random`, which Hypothesis makes repeat itself.
        self.name = os.urandom(8).hex()
        self.held: list[tuple[int, int]] = []
        for top in self.tops():
            os.mkdir(top)

    def tops(self) -> tuple[bytes, bytes]:
        """Return the tree on the mount and its model."""
        return os.fsencode(self.volume.path / self.name), os.fsencode(self.model_top / self.name)

    def both(self, action: Callable[[bytes], object]) -> None:
        """Do the same in both trees and compare."""
        ours, model = self.tops()
        assert outcome(lambda: action(ours)) == outcome(lambda: action(model))

    def resolve(self, path: bytes | int) -> bytes:
        """Return the path, or the one that a number stands for."""
        if isinstance(path, bytes):
            return path
        there = [name for name, _ in trees.walk(self.tops()[1])] or [NAMES[0]]
        return there[path % len(there)]

    def on(self, path: bytes | int, action: Callable[[bytes], object]) -> None:
        """Do the same to one path in both trees."""
        found = self.resolve(path)
        self.both(lambda top: action(top + b"/" + found))

    @rule(path=paths, mode=modes)
    def mkdir(self, path: bytes | int, mode: int) -> None:
        self.on(path, lambda full: os.mkdir(full, mode))

    @rule(path=paths)
    def rmdir(self, path: bytes | int) -> None:
        self.on(path, os.rmdir)

    @rule(path=paths, offset=offsets, length=lengths, seed=st.integers(0, 99), exclusive=st.booleans())
    def create(self, path: bytes | int, offset: int, length: int, seed: int, *, exclusive: bool) -> None:
        flags = os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
        self.on(path, lambda full: open_write(full, offset, noise(length, seed), flags))

    @rule(path=paths, offset=offsets, length=lengths, seed=st.integers(0, 99), append=st.booleans())
    def write(self, path: bytes | int, offset: int, length: int, seed: int, *, append: bool) -> None:
        flags = os.O_APPEND if append else 0
        self.on(path, lambda full: open_write(full, offset, noise(length, seed), flags))

    @rule(path=paths, offset=offsets, length=lengths)
    def read(self, path: bytes | int, offset: int, length: int) -> None:
        self.on(path, lambda full: open_read(full, offset, length))

    @rule(path=paths, size=offsets)
    def truncate(self, path: bytes | int, size: int) -> None:
        self.on(path, lambda full: os.truncate(full, size))

    @rule(path=paths)
    def unlink(self, path: bytes | int) -> None:
        self.on(path, os.unlink)

    @rule(old=paths, new=paths, flag=st.sampled_from(sorted(RENAME_FLAGS)))
    def rename(self, old: bytes | int, new: bytes | int, flag: str) -> None:
        flags, source, target = RENAME_FLAGS[flag], self.resolve(old), self.resolve(new)
        self.both(lambda top: renameat2(top + b"/" + source, top + b"/" + target, flags))

    @rule(old=paths, new=paths)
    def link(self, old: bytes | int, new: bytes | int) -> None:
        source, target = self.resolve(old), self.resolve(new)
        if leaves_its_directory(self.tops()[1], source, target):
            # Refused: a symlink's target is sealed for the directory that it is in.
            return
        self.both(lambda top: os.link(top + b"/" + source, top + b"/" + target, follow_symlinks=False))

    @rule(text=paths, path=paths)
    def symlink(self, text: bytes | int, path: bytes | int) -> None:
        target = self.resolve(text)
        self.on(path, lambda full: os.symlink(target, full))

    @rule(path=paths)
    def readlink(self, path: bytes | int) -> None:
        self.on(path, os.readlink)

    @rule(path=paths)
    def mkfifo(self, path: bytes | int) -> None:
        self.on(path, lambda full: os.mkfifo(full, 0o600))

    @rule(path=paths, mode=modes)
    def chmod(self, path: bytes | int, mode: int) -> None:
        self.on(path, lambda full: os.chmod(full, mode))

    @rule(path=paths, nanoseconds=st.integers(0, 2**60))
    def utime(self, path: bytes | int, nanoseconds: int) -> None:
        def set_and_get(full: bytes) -> int:
            os.utime(full, ns=(0, nanoseconds))
            return os.stat(full).st_mtime_ns

        self.on(path, set_and_get)

    @rule(path=paths, follow=st.booleans())
    def stat(self, path: bytes | int, *, follow: bool) -> None:
        self.on(path, lambda full: status(full, follow=follow))

    @rule(path=paths)
    def list_names(self, path: bytes | int) -> None:
        self.on(path, lambda full: sorted(os.listdir(full)))

    @precondition(lambda self: self.has_xattrs)
    @rule(path=paths, name=st.sampled_from(["user.a", "user.b"]), value=st.binary(max_size=100))
    def setxattr(self, path: bytes | int, name: str, value: bytes) -> None:
        self.on(path, lambda full: os.setxattr(full, name, value))

    @precondition(lambda self: self.has_xattrs)
    @rule(path=paths, name=st.sampled_from(["user.a", "user.b"]))
    def removexattr(self, path: bytes | int, name: str) -> None:
        self.on(path, lambda full: os.removexattr(full, name))

    @precondition(lambda self: self.has_xattrs)
    @rule(path=paths)
    def listxattr(self, path: bytes | int) -> None:
        self.on(path, lambda full: sorted(name for name in os.listxattr(full) if name.startswith("user.")))

    @rule(path=paths, flags=st.sampled_from([os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_APPEND]))
    def hold(self, path: bytes | int, flags: int) -> None:
        found = self.resolve(path)
        ours, model = (self.open_for_good(top + b"/" + found, flags) for top in self.tops())
        assert (ours < 0 and ours == model) or min(ours, model) >= 0
        if ours >= 0:
            self.held.append((ours, model))

    def open_for_good(self, path: bytes, flags: int) -> int:
        """Return a descriptor, or a negative errno."""
        try:
            return os.open(path, flags | os.O_NONBLOCK, 0o600)
        except OSError as error:
            return -(error.errno or 0)

    def on_held(self, number: int, action: Callable[[int], object]) -> None:
        """Do the same to both descriptors of a held file, which may be unlinked by now."""
        ours, model = self.held[number % len(self.held)]
        assert outcome(lambda: action(ours)) == outcome(lambda: action(model))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), offset=offsets, length=lengths, seed=st.integers(0, 99))
    def write_held(self, number: int, offset: int, length: int, seed: int) -> None:
        self.on_held(number, lambda descriptor: os.pwrite(descriptor, noise(length, seed), offset))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), size=offsets)
    def truncate_held(self, number: int, size: int) -> None:
        self.on_held(number, lambda descriptor: os.ftruncate(descriptor, size))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), offset=offsets, length=lengths)
    def read_held(self, number: int, offset: int, length: int) -> None:
        self.on_held(number, lambda descriptor: os.pread(descriptor, length, offset))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), sync=st.booleans())
    def stat_held(self, number: int, *, sync: bool) -> None:
        def look(descriptor: int) -> tuple[int, int, int]:
            if sync:
                os.fsync(descriptor)
            found = os.fstat(descriptor)
            return found.st_size, found.st_nlink, found.st_mode

        self.on_held(number, look)

    def drop_held(self) -> None:
        """Close everything held."""
        for pair in self.held:
            for descriptor in pair:
                os.close(descriptor)
        self.held.clear()

    @rule()
    def compare(self) -> None:
        ours, model = self.tops()
        assert trees.differences(timeless(ours), timeless(model)) == []

    @rule()
    def remount(self) -> None:
        self.drop_held()
        self.volume.remount()
        self.compare()

    def teardown(self) -> None:
        """Compare once more, and remove both trees."""
        self.drop_held()
        try:
            self.compare()
        finally:
            for top in self.tops():
                shutil.rmtree(top)


@pytest.fixture
def model_top() -> Iterator[Path]:
    """Yield a directory on tmpfs."""
    with tempfile.TemporaryDirectory(prefix="kmsfs-model-", dir="/dev/shm") as name:
        yield Path(name)


def takes_user_xattrs(directory: Path) -> bool:
    """Whether this kernel's tmpfs has user attributes; it has since Linux 6.6."""
    return outcome(lambda: os.setxattr(directory, "user.probe", b""))[0] == "gives"


@pytest.mark.timeout(900)
def test_tree_behaves_as_on_tmpfs(volume: Volume, model_top: Path) -> None:
    """Any sequence of operations has the same results on the mount as on tmpfs, also across remounts."""
    bindings = {"volume": volume, "model_top": model_top, "has_xattrs": takes_user_xattrs(model_top)}
    run_state_machine_as_test(
        type("BoundTreeMachine", (TreeMachine,), bindings),
        settings=settings(
            max_examples=12,
            stateful_step_count=80,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
