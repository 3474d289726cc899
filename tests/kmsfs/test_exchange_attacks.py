"""What an adversary with the backing store can do to which entry is where: it is refused there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from belonging import LONG, Place, at, content, exchange, furnish, refused, stored
from kmsfs.bindings import NOTE_NAME
from kmsfs.errors import CorruptFileError, CorruptRecordError, MovedDirectoryError
from offline import ME, ROOT, OfflineVolume, find, make, mkdir, names_in, read, write


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with files and directories, some of them below others."""
    made = OfflineVolume(tmp_path)
    furnish(made)
    return made


FILES: dict[str, tuple[Place, Place]] = {
    "within a directory": ((b"file",), (b"empty",)),
    "across directories": ((b"file",), (b"a", b"file")),
    "of a name and a long one": ((b"a", b"file"), (b"b", LONG)),
    "of one name in two directories": ((b"a", LONG), (b"b", LONG)),
}


@pytest.mark.parametrize("name", FILES)
def test_exchanged_files_are_refused(volume: OfflineVolume, name: str) -> None:
    """Two files in each other's place are both refused; what lies beside them is read."""
    first, second = FILES[name]
    exchange(stored(volume, *first), stored(volume, *second))
    with volume.core() as core:
        assert refused(core, *first)
        assert refused(core, *second)
        assert read(core, b"inner", at(core, b"b", b"d")) == b"b inner"
    exchange(stored(volume, *first), stored(volume, *second))
    assert content(volume, b"file") == b"top file"


PUT_IN_PLACE: dict[str, Callable[[Path, Path], object]] = {
    "moved over": lambda old, new: old.rename(new),
    "copied over": lambda old, new: new.write_bytes(old.read_bytes()),
    "linked over": lambda old, new: (new.unlink(), os.link(old, new)),
    "copied with its attributes": lambda old, new: (
        new.write_bytes(old.read_bytes()),
        [os.setxattr(new, name, os.getxattr(old, name)) for name in os.listxattr(old)],
    ),
}


@pytest.mark.parametrize("name", PUT_IN_PLACE)
def test_a_file_in_another_s_place_is_refused(volume: OfflineVolume, name: str) -> None:
    """A secret file put in the place of a public one is not given to whoever reads that."""
    with volume.core() as core:
        core.renaming.rename(ROOT, b"file", ROOT, b"secret", 0)
    PUT_IN_PLACE[name](stored(volume, b"secret"), stored(volume, b"a", b"file"))
    with volume.core() as core:
        assert refused(core, b"a", b"file")


def test_a_forged_link_is_refused_under_both_names(volume: OfflineVolume) -> None:
    """Whichever was looked up last: the kernel does not say by which of two names it opens a file."""
    link, target = stored(volume, b"a", b"file"), stored(volume, b"file")
    link.unlink()
    link.hardlink_to(target)
    for names in (((b"file",), (b"a", b"file")), ((b"a", b"file"), (b"file",))):
        with volume.core() as core:
            nodeids = {find(core, path[-1], at(core, *path[:-1])) for path in names}
            assert len(nodeids) == 1
            for _ in range(2):
                with pytest.raises(CorruptFileError, match="moved"):
                    core.open(nodeids.copy().pop(), os.O_RDONLY)
    link.unlink()
    assert content(volume, b"file") == b"top file"


def test_a_live_exchange_is_refused_too(volume: OfflineVolume) -> None:
    """Files that are exchanged while the volume is mounted are refused, known to the mount or not."""
    first, second = stored(volume, b"file"), stored(volume, b"a", b"file")
    with volume.core() as core:
        assert read(core, b"file") == b"top file"
        exchange(first, second)
        assert refused(core, b"file")
        assert refused(core, b"a", b"file")


def test_moving_on_what_was_moved_does_not_help(volume: OfflineVolume) -> None:
    """Renaming or linking what somebody without the key put somewhere ties it to nothing."""
    exchange(stored(volume, b"file"), stored(volume, b"a", b"file"))
    exchange(stored(volume, b"a", b"d"), stored(volume, b"b", b"d"))
    with volume.core() as core:
        core.tree.link(find(core, b"file"), ROOT, b"link")
        core.renaming.rename(ROOT, b"file", ROOT, b"new", 0)
        core.renaming.rename(at(core, b"a"), b"d", ROOT, b"d", 0)
        assert refused(core, b"new")
        assert refused(core, b"link")
        with pytest.raises(MovedDirectoryError):
            names_in(core, at(core, b"d"))
        core.renaming.rename(ROOT, b"new", at(core, b"a"), b"elsewhere", 0)
        core.renaming.rename(at(core, b"a"), b"elsewhere", at(core, b"a"), b"file", 0)
        core.renaming.rename(ROOT, b"d", at(core, b"b"), b"d2", 0)
    assert content(volume, b"a", b"file") == b"a file"


def test_a_note_of_another_file_says_nothing(volume: OfflineVolume) -> None:
    """A note is bound to its file: put on another one, or made up, it lets nothing be found elsewhere."""
    with volume.core() as core:
        core.renaming.rename(ROOT, b"file", ROOT, b"new", 0)
        core.renaming.rename(ROOT, b"new", ROOT, b"file", 0)
    here, there = stored(volume, b"file"), stored(volume, b"a", b"file")
    note = os.getxattr(here, NOTE_NAME)
    os.setxattr(there, NOTE_NAME, note)
    exchange(here, there)
    for forged in (note, b"", b"\2", b"\2" + bytes(16), note[:-1] + bytes([note[-1] ^ 1])):
        os.setxattr(here, NOTE_NAME, forged)
        with volume.core() as core:
            assert refused(core, b"file")


DIRECTORIES: dict[str, Callable[[OfflineVolume], object]] = {
    "exchanged": lambda v: exchange(stored(v, b"a"), stored(v, b"b")),
    "exchanged with one below another": lambda v: exchange(stored(v, b"a"), stored(v, b"b", b"d")),
    "of one name, exchanged": lambda v: exchange(stored(v, b"a", b"d"), stored(v, b"b", b"d")),
    "records exchanged": lambda v: exchange(stored(v, b"a") / ".kmsfs", stored(v, b"b") / ".kmsfs"),
}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_exchanged_directories_are_refused(volume: OfflineVolume, name: str) -> None:
    """Two directories in each other's place are refused in every way, but may be looked at from outside."""
    DIRECTORIES[name](volume)
    path = (b"a", b"d") if name.startswith("of one") else (b"a",)
    with volume.core() as core:
        nodeid = at(core, *path)
        for use in (
            lambda: names_in(core, nodeid),
            lambda: find(core, b"file", nodeid),
            lambda: make(core, b"new", nodeid),
            lambda: core.tree.mkdir(nodeid, b"new", 0o755, ME),
        ):
            with pytest.raises(CorruptRecordError) as caught:
                use()
            assert caught.value.errno == errno.EIO
        assert stat.S_ISDIR(core.attributes.getattr(nodeid).status.st_mode)
        assert read(core, b"file") == b"top file"


def test_an_empty_directory_is_looked_at_too(volume: OfflineVolume) -> None:
    """Listing an empty directory that was put in another's place is refused as well."""
    with volume.core() as core:
        mkdir(core, b"nothing in it")
    exchange(stored(volume, b"a"), stored(volume, b"nothing in it"))
    with volume.core() as core:
        for name in (b"a", b"nothing in it"):
            with pytest.raises(MovedDirectoryError):
                names_in(core, at(core, name))


def test_a_directory_in_the_place_of_the_root_is_refused(volume: OfflineVolume) -> None:
    """A directory's record in the root directory, with all that is in it, does not make it the root."""
    inner = stored(volume, b"a")
    (volume.path / ".kmsfs").unlink()
    for path in list(inner.iterdir()):
        path.rename(volume.path / path.name)
    with volume.core() as core, pytest.raises(MovedDirectoryError):
        names_in(core)


@pytest.mark.parametrize("names", ["siv", "plain"])
def test_plain_names_are_as_good(tmp_path: Path, names: str) -> None:
    """Entries are tied to their plain names, however the store has them."""
    made = OfflineVolume(tmp_path, names=names)
    with made.core() as core:
        for name in (b"one", b"two"):
            write(core, name, name)
    exchange(stored(made, b"one"), stored(made, b"two"))
    with made.core() as core:
        assert refused(core, b"one")


def test_without_bindings_nothing_is_looked_at(tmp_path: Path) -> None:
    """In a volume made without them, exchanged files are read, and renames write nothing to files."""
    made = OfflineVolume(tmp_path, bindings=False)
    with made.core() as core:
        for name in (b"one", b"two"):
            write(core, name, name)
    before = stored(made, b"one").read_bytes()
    with made.core() as core:
        core.renaming.rename(ROOT, b"one", ROOT, b"three", 0)
    assert stored(made, b"three").read_bytes() == before
    exchange(stored(made, b"three"), stored(made, b"two"))
    assert content(made, b"three") == b"two"
