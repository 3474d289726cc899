"""What the kernel is given with a file's first opening, and what it must never be given."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backgrounds import Place
from kmsfs.core import Core
from kmsfs.errors import CorruptFileError
from offline import ME, ROOT, OfflineVolume, make, write

SMALL, LARGE = b"small " * 1000, bytes(65537)
OVERWRITER = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
pages = mmap.mmap(fd, 0)
pages[:3] = b"NEW"  # unmapping would write it back
assert os.pread(os.open(sys.argv[1], os.O_RDONLY), 3, 0) == b"NEW"
"""


@pytest.fixture
def mounted(place: Place) -> Place:
    """A new volume on a mount."""
    place.init()
    assert place.mount().returncode == 0
    return place


def remount(mounted: Place) -> None:
    """Have the kernel forget all that it knows."""
    assert mounted.umount().returncode == 0
    assert mounted.mount().returncode == 0


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with a small and a large file."""
    made = OfflineVolume(tmp_path)
    with made.core() as core:
        write(core, b"small", SMALL)
        write(core, b"large", LARGE)
        make(core, b"empty")
    return made


@pytest.fixture
def core(volume: OfflineVolume) -> Iterator[Core]:
    """The core on it, mounted anew: nothing has been opened yet."""
    with volume.core() as core:
        yield core


def content(core: Core, name: bytes, flags: int = os.O_RDONLY) -> bytes:
    """Open a file as a program does, close it, and return what came with it."""
    # The reference stays, as the kernel's does while it has the inode.
    nodeid = core.tree.lookup(ROOT, name).nodeid
    file, given = core.open_with_content(nodeid, flags)
    kept = bytes(given)
    core.files.release(file.chunks.inode)
    return kept


def test_only_the_first_reader_is_given_a_small_file(core: Core) -> None:
    """Whoever opens it for reading first gets the whole file, nobody gets it again."""
    assert content(core, b"small") == SMALL
    assert content(core, b"small") == b""
    assert content(core, b"large") == content(core, b"empty") == b""


@pytest.mark.parametrize(
    "flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_RDONLY | os.O_DIRECT]
)
def test_who_does_more_than_read_is_given_nothing(core: Core, flags: int) -> None:
    """Neither they nor anybody after them: the kernel may hold pages that they have changed."""
    assert content(core, b"small", flags) == b""
    assert content(core, b"small") == b""


def test_a_file_just_created_is_not_given(core: Core) -> None:
    """The kernel has its content already, and perhaps not all of it is here yet."""
    entry, file = core.create(ROOT, b"new", 0o644, os.O_RDWR | os.O_EXCL, ME)
    file.write(0, SMALL)
    core.files.release(entry.status.st_ino)
    assert content(core, b"new") == b""


def test_a_file_opened_by_creating_it_is_not_given(core: Core) -> None:
    """Opening with O_CREAT what exists already counts like any other opening."""
    entry, _ = core.create(ROOT, b"small", 0o644, os.O_RDWR | os.O_CREAT, ME)
    core.files.release(entry.status.st_ino)
    assert content(core, b"small") == b""


def test_a_damaged_file_is_left_to_the_read(core: Core, volume: OfflineVolume) -> None:
    """Opening succeeds, and reading tells what is wrong."""
    path = volume.stored_path(core, b"small")
    with open(path, "r+b") as stored:
        stored.seek(600)
        stored.write(b"\xff" * 32)
    file, given = core.open_with_content(core.tree.lookup(ROOT, b"small").nodeid, os.O_RDONLY)
    assert given == b""
    with pytest.raises(CorruptFileError):
        file.read(0, 10)


def test_the_kernel_has_it_after_the_opening(mounted: Place) -> None:
    """On a mount, opening brings a small file into the page cache, and a large one not."""
    for name, data in (("small", SMALL), ("large", LARGE)):
        (mounted.mountpoint / name).write_bytes(data)
    remount(mounted)
    resident = {}
    for name in ("small", "large"):
        path = mounted.mountpoint / name
        with open(path, "rb"):
            pass
        command = ["fincore", "--bytes", "--noheadings", "--output", "RES", path]
        resident[name] = int(subprocess.run(command, capture_output=True, check=True).stdout)
        assert path.read_bytes() == {"small": SMALL, "large": LARGE}[name]
    assert resident["small"] == -(-len(SMALL) // mmap.PAGESIZE) * mmap.PAGESIZE
    assert resident["large"] == 0


def test_changed_pages_are_not_overwritten(mounted: Place) -> None:
    """What a program has changed in memory stands, whoever opens the file for reading then."""
    path = mounted.mountpoint / "file"
    path.write_bytes(SMALL)
    remount(mounted)
    subprocess.run([sys.executable, "-c", OVERWRITER, path], check=True)
    remount(mounted)
    assert path.read_bytes() == b"NEW" + SMALL[3:]
