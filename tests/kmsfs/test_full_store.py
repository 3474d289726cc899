"""A store without room: the error is ENOSPC, and whatever was there can still be read, now and later."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from jobs import finish
from kmsfs import backing, reencrypting, rewrapping
from kmsfs.core import Core
from kmsfs.errors import KmsfsError
from kmsfs.file import File
from offline import ME, ROOT, OfflineVolume, find, make, names_in, opened, read, read_all, truncate, write

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")

CHUNK = 4096
STORE_BYTES = 1 << 19


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store of half a megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={STORE_BYTES},mode=0700", "none", str(tmp_path)]
    subprocess.run(mount, check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture
def volume(store: Path) -> OfflineVolume:
    """A volume on it, with a file that nobody touches."""
    made = OfflineVolume(store)
    made.write_file(b"untouched", b"u" * 10_000)
    return made


def fill(store: Path, *, leave_pages: int) -> None:
    """Take all room on the store but a few pages."""
    with (store / ".kmsfs.tmp.ballast").open("wb", buffering=0) as ballast:
        piece = bytes(4096)
        try:
            while True:
                ballast.write(piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        ballast.truncate(max(ballast.tell() - leave_pages * 4096, 0))


def empty(store: Path) -> None:
    """Give the room back."""
    (store / ".kmsfs.tmp.ballast").unlink()


def refused(operation: Callable[[], object]) -> bool:
    """Say whether an operation is refused for want of room; any other failure is the test's."""
    try:
        operation()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return True
    return False


Operation = Callable[[File, int], None]

# what the file is before, and what is done to it again and again until the store refuses: (file, round)
PATTERNS: dict[str, tuple[list[tuple[int, int]], Operation]] = {
    "append small": ([(0, 100)], lambda file, _: void(file.write(file.size, b"a" * 1000))),
    "append large": ([(0, 5000)], lambda file, _: void(file.write(file.size, b"a" * 100_001))),
    "append to nothing": ([], lambda file, _: void(file.write(file.size, b"a" * 50_000))),
    "append whole chunks": ([(0, 2 * CHUNK)], lambda file, _: void(file.write(file.size, b"a" * 3 * CHUNK))),
    "one write over everything": ([(0, 5000)], lambda file, _: void(file.write(0, b"a" * 2 * STORE_BYTES))),
    "one write from the middle": ([(0, 5000)], lambda file, _: void(file.write(4500, b"a" * STORE_BYTES))),
    "write beyond the end": ([(0, 100)], lambda file, _: void(file.write(file.size + 9000, b"a" * 9000))),
    "fill a hole": ([(1 << 20, 9)], lambda file, turn: void(file.write(turn * 9000, b"a" * 9000))),
    "fill a hole backwards": (
        [(1 << 20, 9)],
        lambda file, turn: void(file.write(900_000 - turn * 9001, b"a" * 9001)),
    ),
    "fill a hole by halves": (
        [(1 << 20, 9)],
        lambda file, turn: void(file.write(turn * 8192 + 2048, b"a" * 2048)),
    ),
    "fill a hole and grow": (
        [(1 << 20, 9)],
        lambda file, turn: void(
            file.write(CHUNK * (200 - 4 * turn), b"a" * ((1 << 20) + 99 - CHUNK * (200 - 4 * turn)))
        ),
    ),
}


def void(_result: object) -> None:
    """Drop what an operation returns."""


def prepare(volume: OfflineVolume, writes: list[tuple[int, int]]) -> bytes:
    """Make the file; return its content."""
    content = bytearray()
    with volume.core() as core:
        make(core, b"file")
        for offset, length in writes:
            write(core, b"file", b"o" * length, offset)
            content.extend(bytes(offset + length - len(content)))
            content[offset:] = b"o" * length
    return bytes(content)


@pytest.mark.parametrize("leave_pages", [0, 1, 2, 3, 5, 12])
@pytest.mark.parametrize("name", PATTERNS)
def test_a_refused_write_breaks_nothing(
    volume: OfflineVolume, store: Path, name: str, leave_pages: int
) -> None:
    """After ENOSPC the file is readable from end to end, with each byte old or as it was to become."""
    writes, operate = PATTERNS[name]
    old = prepare(volume, writes)
    fill(store, leave_pages=leave_pages)
    with volume.core() as core:
        with opened(core, b"file", os.O_RDWR) as file:
            turn = 0
            accepted = file.size
            while not refused(partial(operate, file, turn)):
                turn += 1
                accepted = file.size
            assert accepted <= file.size <= accepted + 9000, "at most the gap before a refused write remains"
            now = read_all(file)
        assert read(core, b"untouched") == b"u" * 10_000
    assert volume.read_file(b"file") == now
    old_or_new = set(b"oa\0")
    assert set(now) <= old_or_new
    for at, byte in enumerate(old):
        assert byte == now[at] or now[at] == ord("a")
    empty(store)
    with volume.core() as core:
        write(core, b"file", b"room again", offset=len(now))
        assert read(core, b"file") == now + b"room again"


@pytest.mark.parametrize("leave_pages", [0, 1, 2])
@pytest.mark.parametrize("size", [50, CHUNK + 50, 50_001, 60_000, (1 << 20) + 5000])
def test_resizing_on_a_full_store(volume: OfflineVolume, store: Path, leave_pages: int, size: int) -> None:
    """A cut or an extension works or is refused; the file has the old size or the new, and can be read."""
    old = prepare(volume, [(0, 5000), (50_000, 9000), (1 << 20, 9)])
    fill(store, leave_pages=leave_pages)
    with volume.core() as core:
        failed = refused(lambda: truncate(core, b"file", size))
        now = read(core, b"file")
        assert now == (old if failed else old[:size].ljust(size, b"\0"))
    assert volume.read_file(b"file") == now


def test_new_files_on_a_full_store(volume: OfflineVolume, store: Path) -> None:
    """Files made without room for their headers read as empty, and are there once there is room."""
    fill(store, leave_pages=0)
    names = [b"file %d" % number for number in range(80)]
    with volume.core() as core:
        for name in names:
            entry, file = core.create(ROOT, name, 0o644, os.O_RDWR, ME)
            assert refused(partial(file.write, 0, b"content"))
            assert refused(partial(core.files.release, entry.nodeid))
        for name in names:
            file = core.open(find(core, name), os.O_RDONLY)
            assert read_all(file) == b""
            assert refused(partial(core.files.release, file.chunks.inode))
        empty(store)
    with volume.core() as core:
        assert set(names_in(core)) == {*names, b"untouched"}
        assert {read(core, name) for name in names} == {b""}


def test_a_mount_that_ends_on_a_full_store_says_so(volume: OfflineVolume, store: Path) -> None:
    """Where a header finds no room to the end, the mount ends with an error; nothing else is lost."""
    fill(store, leave_pages=0)

    def mount() -> None:
        with volume.core() as core:
            assert refused(lambda: make(core, b"no room"))
            assert refused(lambda: make(core, b"nor here"))

    assert refused(mount)
    empty(store)
    volume.recover()
    with volume.core() as core:
        assert read(core, b"no room") == read(core, b"nor here") == b""
        assert read(core, b"untouched") == b"u" * 10_000


def long_names() -> list[bytes]:
    """Return names that need sidecars, one of them taken."""
    return [b"taken" + b"n" * 250, b"other" + b"n" * 250]


WITH_NAMES: dict[str, Callable[[Core, bytes], object]] = {
    "create": lambda core, name: core.create(ROOT, name, 0o644, os.O_RDWR | os.O_EXCL, ME),
    "mkdir": lambda core, name: core.tree.mkdir(ROOT, name, 0o755, ME),
    "symlink": lambda core, name: core.tree.symlink(ROOT, name, b"t" * 3000, ME),
    "link": lambda core, name: core.tree.link(find(core, b"untouched"), ROOT, name),
    "mknod": lambda core, name: core.tree.mknod(ROOT, name, 0o100644, 0, ME),
    "rename": lambda core, name: core.renaming.rename(
        ROOT, b"untouched", ROOT, name, backing.RENAME_NOREPLACE
    ),
}


@pytest.mark.parametrize("leave_pages", [0, 1])
@pytest.mark.parametrize("operation", WITH_NAMES)
def test_names_on_a_full_store(volume: OfflineVolume, store: Path, operation: str, leave_pages: int) -> None:
    """What makes a name does not cost the sidecar of one that exists, nor leaves one of its own behind."""
    taken, fresh = long_names()
    volume.write_file(taken, b"taken")
    fill(store, leave_pages=leave_pages)
    with volume.core() as core:
        for name in (taken, fresh):
            try:
                WITH_NAMES[operation](core, name)
            except (OSError, KmsfsError):
                continue
        listed = names_in(core)
        assert taken in listed
        assert read(core, taken) == b"taken"
        if fresh not in listed:
            sidecar = volume.stored_path(core, fresh) + b".name"
            assert not os.path.lexists(sidecar)
        empty(store)


def test_keys_are_wrapped_anew_without_room(volume: OfflineVolume, store: Path) -> None:
    """Headers are written where they are, so a full store is no reason not to."""
    fill(store, leave_pages=0)
    done = rewrapping.Tally()
    with volume.core(current=1) as core:
        assert finish(rewrapping.rewrap_files(core, done)) == []
        assert done.rewrapped == 1
        assert read(core, b"untouched") == b"u" * 10_000


@pytest.mark.parametrize("pages", range(3))
def test_a_file_that_cannot_be_written_anew(volume: OfflineVolume, store: Path, pages: int) -> None:
    """It is left with the reason, as it is, and nothing of the attempt stays."""
    before = sorted(os.listdir(store))
    fill(store, leave_pages=pages)
    with volume.core() as core:
        (left,) = finish(reencrypting.reencrypt_files(core, ROOT, reencrypting.Tally()))
        assert os.strerror(errno.ENOSPC) in left.reason
        empty(store)
        assert sorted(os.listdir(store)) == before
        assert read(core, b"untouched") == b"u" * 10_000
        assert finish(reencrypting.reencrypt_files(core, ROOT, reencrypting.Tally())) == []
    assert volume.read_file(b"untouched") == b"u" * 10_000
