"""What is tied to its place is found wherever somebody with the key moves it, after a crash as well."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from belonging import LONG, Place, at, content, exchange, furnish, refused, stored
from kmsfs import backing, places
from kmsfs.bindings import NOTE_NAME, Bindings, Note
from kmsfs.core import Core
from kmsfs.errors import CorruptRecordError, KeyUnavailableError
from offline import ROOT, OfflineVolume, find, names_in, opened, read
from trees import below

TIMES = (1_000_000_001, 2_000_000_002)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with files and directories, some of them below others."""
    made = OfflineVolume(tmp_path)
    furnish(made)
    return made


MOVES: dict[str, tuple[Place, Place, int, list[tuple[Place, bytes]]]] = {
    "within a directory": ((b"file",), (b"new",), 0, [((b"new",), b"top file")]),
    "to another directory": ((b"file",), (b"a", b"new"), 0, [((b"a", b"new"), b"top file")]),
    "to a long name": ((b"file",), (LONG,), 0, [((LONG,), b"top file")]),
    "from a long name": ((b"a", LONG), (b"short",), 0, [((b"short",), b"a " + LONG)]),
    "over another file": ((b"file",), (b"a", b"file"), 0, [((b"a", b"file"), b"top file")]),
    "noreplace": ((b"file",), (b"new",), backing.RENAME_NOREPLACE, [((b"new",), b"top file")]),
    "exchange of files": (
        (b"file",),
        (b"a", LONG),
        backing.RENAME_EXCHANGE,
        [((b"file",), b"a " + LONG), ((b"a", LONG), b"top file")],
    ),
    "exchange of a file and a directory": (
        (b"file",),
        (b"a", b"d"),
        backing.RENAME_EXCHANGE,
        [((b"file", b"inner"), b"a inner"), ((b"a", b"d"), b"top file")],
    ),
    "a directory": ((b"a",), (b"new",), 0, [((b"new", b"d", b"inner"), b"a inner")]),
    "a directory to another": ((b"a", b"d"), (b"b", b"new"), 0, [((b"b", b"new", b"inner"), b"a inner")]),
    "exchange of directories": (
        (b"a",),
        (b"b",),
        backing.RENAME_EXCHANGE,
        [((b"a", b"file"), b"b file"), ((b"b", b"d", b"inner"), b"a inner")],
    ),
    "exchange of directories of two": (
        (b"a", b"d"),
        (b"b", b"d"),
        backing.RENAME_EXCHANGE,
        [((b"a", b"d", b"inner"), b"b inner"), ((b"b", b"d", b"inner"), b"a inner")],
    ),
    "an empty file": ((b"empty",), (b"b", b"empty"), 0, [((b"b", b"empty"), b"")]),
}


@contextmanager
def nothing(_core: Core, *_names: bytes) -> Iterator[None]:
    """Leave a file closed."""
    yield


@contextmanager
def held_open(core: Core, *names: bytes) -> Iterator[None]:
    """Have a file open, for reading only."""
    nodeid = find(core, names[-1], at(core, *names[:-1]))
    if not stat.S_ISREG(core.attributes.getattr(nodeid).status.st_mode):
        yield
        return
    file = core.open(nodeid, os.O_RDONLY)
    try:
        yield
    finally:
        core.files.release(file.chunks.inode)


@pytest.mark.parametrize("state", [nothing, held_open])
@pytest.mark.parametrize("name", MOVES)
def test_what_is_moved_is_found_there(
    volume: OfflineVolume, name: str, state: Callable[..., Iterator[None]]
) -> None:
    """What a rename has moved is read at its new place, in this mount and in the next, with its times."""
    old, new, flags, expected = MOVES[name]
    os.utime(stored(volume, *old), ns=TIMES)
    with volume.core() as core:
        with state(core, *old):  # type: ignore[attr-defined]  # a context manager
            core.renaming.rename(at(core, *old[:-1]), old[-1], at(core, *new[:-1]), new[-1], flags)
        for path, text in expected:
            assert read(core, path[-1], at(core, *path[:-1])) == text
    for path, text in expected:
        assert content(volume, *path) == text
    assert os.lstat(stored(volume, *new)).st_mtime_ns == TIMES[1]


def test_a_file_moves_on_and_on(volume: OfflineVolume) -> None:
    """Any number of moves in any number of mounts leave a file where the last one put it."""
    name = b"file"
    for mount in range(3):
        with volume.core() as core:
            for number in range(3):
                other = b"%d.%d" % (mount, number)
                core.renaming.rename(ROOT, name, ROOT, other, 0)
                name = other
                assert read(core, name) == b"top file"
    assert content(volume, name) == b"top file"


def test_a_file_that_is_not_written_yet_moves(volume: OfflineVolume) -> None:
    """A new file that has no header on the store gets the one of the place that it has by then."""
    with volume.core() as core, opened(core, b"new", os.O_RDWR | os.O_CREAT) as file:
        core.renaming.rename(ROOT, b"new", ROOT, b"newer", 0)
        core.renaming.rename(ROOT, b"newer", at(core, b"a"), b"newest", 0)
        file.write(0, b"content")
    assert content(volume, b"a", b"newest") == b"content"


def test_only_a_directory_itself_is_tied_anew(volume: OfflineVolume) -> None:
    """Moving a directory changes its record and nothing below it."""
    top = stored(volume, b"a")
    inside = [path for path in below(top) if path != top / ".kmsfs"]
    before = {os.lstat(path).st_ino: os.lstat(path).st_ctime_ns for path in inside}
    with volume.core() as core:
        core.renaming.rename(ROOT, b"a", at(core, b"b"), b"moved", 0)
    after = {os.lstat(path).st_ino: os.lstat(path).st_ctime_ns for path in below(stored(volume, b"b"))}
    assert before.items() <= after.items()


def test_links_are_tied_to_nothing_for_good(volume: OfflineVolume) -> None:
    """A file that has had two names is found under any: also when one is left, and also if it is moved."""
    with volume.core() as core:
        core.tree.link(find(core, b"file"), at(core, b"a"), b"link")
        assert read(core, b"link", at(core, b"a")) == read(core, b"file") == b"top file"
    with volume.core() as core:
        core.tree.unlink(ROOT, b"file")
        core.renaming.rename(at(core, b"a"), b"link", ROOT, b"link", 0)
    assert content(volume, b"link") == b"top file"
    exchange(stored(volume, b"link"), stored(volume, b"a", b"file"))
    assert content(volume, b"a", b"file") == b"top file", "the stated limit of hard links"


def test_a_rename_that_fails_leaves_things_tied_as_they_were(volume: OfflineVolume) -> None:
    """What a rename could not move is still where it belongs, and nowhere else."""
    with volume.core() as core:
        for old, new in ((b"file", b"a"), (b"a", b"b"), (b"a", b"file")):
            with pytest.raises(OSError, match="irectory"):
                core.renaming.rename(ROOT, old, ROOT, new, 0)
    assert content(volume, b"file") == b"top file"
    assert content(volume, b"a", b"d", b"inner") == b"a inner"


def test_a_key_that_cannot_be_had_keeps_a_file_where_it_is(volume: OfflineVolume) -> None:
    """A file whose key is refused cannot be moved, and is where it was once the key can be had again."""
    kept, gone = volume.bucket_keys[1], volume.bucket_keys[0]
    volume.bucket_keys, volume.missing = (kept, kept), {gone.id: "disabled"}
    with volume.core() as core:
        for new in (b"new", b"empty", LONG):
            with pytest.raises(KeyUnavailableError):
                core.renaming.rename(ROOT, b"file", ROOT, new, 0)
        with pytest.raises(KeyUnavailableError):
            core.tree.link(find(core, b"file"), ROOT, b"link")
        core.renaming.rename(ROOT, b"a", ROOT, b"moved", 0)
        assert names_in(core) == [b"b", b"empty", b"file", b"moved"]
    volume.bucket_keys, volume.missing = (gone, kept), {}
    assert content(volume, b"file") == b"top file"


def test_a_store_without_attributes_will_do(volume: OfflineVolume, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store has no extended attributes, files are moved and linked all the same."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(backing, "setxattr", refuse)
    monkeypatch.setattr(backing, "getxattr", refuse)
    with volume.core() as core:
        for old, new in ((b"file", b"1"), (b"1", b"2"), (b"2", b"3")):
            core.renaming.rename(ROOT, old, ROOT, new, 0)
            assert read(core, new) == b"top file"
        core.tree.link(find(core, b"3"), ROOT, b"4")
    assert content(volume, b"3") == content(volume, b"4") == b"top file"


def test_notes_are_not_shown(volume: OfflineVolume) -> None:
    """The note of a move is no attribute of the file's."""
    with volume.core() as core:
        core.renaming.rename(ROOT, b"file", ROOT, b"new", 0)
        assert core.xattrs.list(find(core, b"new")) == []
    assert NOTE_NAME.decode() in os.listxattr(stored(volume, b"new"))


def test_many_moves_are_remembered_only_so_far(
    volume: OfflineVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a number of files, each counts as one that has moved already: memory is bounded."""
    monkeypatch.setattr(places, "_MAX_MOVED", 0)
    with volume.core() as core:
        for old, new in ((b"file", b"1"), (b"1", b"2")):
            core.renaming.rename(ROOT, old, ROOT, new, 0)
    assert content(volume, b"2") == b"top file"


def test_recovery_settles_what_moved(volume: OfflineVolume) -> None:
    """After a crash, what may be at two places is tied to the one where it is, and to no other."""
    with volume.core() as core:
        core.renaming.rename(ROOT, b"file", ROOT, b"new", 0)
        core.renaming.rename(ROOT, b"a", ROOT, b"moved", 0)
    volume.recover()
    stored(volume, b"new").rename(stored(volume, b"empty"))
    with volume.core() as core:
        assert refused(core, b"empty")
        assert read(core, b"file", at(core, b"moved")) == b"a file"
    assert volume.recover().beyond_repair == 1


def test_recovery_knows_links_by_their_note(volume: OfflineVolume) -> None:
    """A file whose header has missed that it got a second name is found under both."""
    path = stored(volume, b"file")
    before = path.read_bytes()
    with volume.core() as core:
        core.tree.link(find(core, b"file"), ROOT, b"link")
    path.write_bytes(before)
    volume.recover()
    os.removexattr(path, NOTE_NAME)
    assert content(volume, b"link") == content(volume, b"file") == b"top file"


def test_a_header_that_comes_too_late_is_made_up_for_by_the_note(volume: OfflineVolume) -> None:
    """A file whose header has missed the rename is found by its note, before recovery and after it."""
    before = stored(volume, b"file").read_bytes()
    with volume.core() as core:
        core.renaming.rename(ROOT, b"file", ROOT, b"1", 0)
        core.renaming.rename(ROOT, b"1", ROOT, b"2", 0)
    path = stored(volume, b"2")
    path.write_bytes(before)
    assert content(volume, b"2") == b"top file"
    volume.recover()
    os.removexattr(path, NOTE_NAME)
    assert content(volume, b"2") == b"top file"


def test_notes_are_of_one_form() -> None:
    """A note has two places or says that there are several names; it is read for its file only."""
    bindings = Bindings(bytes(32))
    for note in (Note((b"a" * 16, b"b" * 16)), Note(anywhere=True)):
        sealed = bindings.seal_note(b"f" * 16, note)
        assert bindings.open_note(b"f" * 16, sealed) == note
        with pytest.raises(CorruptRecordError):
            bindings.open_note(b"g" * 16, sealed)
    with pytest.raises(AssertionError):
        bindings.seal_note(b"f" * 16, Note())


OWNER_SCRIPT = """
import os, sys
from pathlib import Path
# What lies where only root may read has to be imported before.
from offline import ROOT, OfflineVolume, find, mkdir, names_in, read, write
os.setgid(65534)
os.setuid(65534)
volume = OfflineVolume(Path(sys.argv[1]))
with volume.core() as core:
    inner = mkdir(core, b"directory")
    for name, mode in ((b"shown", 0o444), (b"hidden", 0)):
        write(core, name, name)
        os.chmod(volume.stored_path(core, name), mode)
    os.chmod(volume.stored_path(core, b"directory"), 0o555)
with volume.core() as core:
    for name in (b"shown", b"hidden", b"directory"):
        core.renaming.rename(ROOT, name, ROOT, b"new " + name, 0)
    core.tree.link(find(core, b"new shown"), ROOT, b"link")
with volume.core() as core:
    assert names_in(core) == [b"link", b"new directory", b"new hidden", b"new shown"]
    assert names_in(core, find(core, b"new directory")) == []
    assert read(core, b"link") == read(core, b"new shown") == b"shown"
    assert read(core, b"new hidden") == b"hidden"
    for name in (b"new directory", b"new hidden", b"new shown"):
        print(oct(os.lstat(volume.stored_path(core, name)).st_mode))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_modes_are_not_in_their_owner_s_way(short_directory: Path) -> None:
    """Files and directories that not even their owner may write to are moved and linked; modes stay."""
    place = short_directory / "volume"
    place.mkdir()
    os.chown(place, 65534, 65534)
    short_directory.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-c", OWNER_SCRIPT, str(place)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["0o40555", "0o100000", "0o100444"]
