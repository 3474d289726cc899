"""Directories: records, what counts as empty, what a crash leaves, and listings."""

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsfs.core import Core
from kmsfs.errors import CorruptNameError, CorruptRecordError, ReservedNameError
from kmsfs.records import DirectoryRecord, RecordCipher
from offline import ME, ROOT, OfflineVolume, find, make, mkdir, names_in, read, write

LONG = b"l" * 255


@pytest.fixture
def bindings() -> bool:
    """Whether directories are tied to their places."""
    return True


@pytest.fixture
def volume(tmp_path: Path, *, bindings: bool) -> OfflineVolume:
    """A volume with a full directory, an empty one, and a file beside them."""
    made = OfflineVolume(tmp_path, bindings=bindings)
    with made.core() as core:
        full = mkdir(core, b"full")
        write(core, b"inside", b"content", parent=full)
        mkdir(core, b"empty")
        write(core, b"untouched", b"untouched")
    return made


def stored(volume: OfflineVolume, *names: bytes) -> bytes:
    """Return where a path lies on the store."""
    with volume.core() as core:
        at = ROOT
        for name in names[:-1]:
            at = find(core, name, at)
        return volume.stored_path(core, names[-1], at)


def record(volume: OfflineVolume, *names: bytes) -> bytes:
    """Return where the record of a directory lies."""
    return stored(volume, *names) + b"/.kmsfs"


def is_healthy(core: Core) -> bool:
    """Say whether what was not attacked is still read."""
    return read(core, b"untouched") == b"untouched"


def test_a_record_that_is_gone_from_an_empty_directory_is_made_anew(volume: OfflineVolume) -> None:
    """An rmdir that a crash cut short leaves an empty directory that can be used, and removed."""
    os.unlink(record(volume, b"empty"))
    with volume.core() as core:
        empty = find(core, b"empty")
        assert names_in(core, empty) == []
        write(core, b"new", b"content", parent=empty)
    with volume.core() as core:
        assert read(core, b"new", find(core, b"empty")) == b"content"


def test_a_directory_without_record_can_be_removed(volume: OfflineVolume) -> None:
    """An rmdir that a crash cut short can be done again."""
    os.unlink(record(volume, b"empty"))
    with volume.core() as core:
        core.tree.rmdir(ROOT, b"empty")
        assert names_in(core) == [b"full", b"untouched"]


def test_a_record_that_is_gone_is_not_made_on_a_read_only_mount(volume: OfflineVolume) -> None:
    """Nothing is written where nothing may be."""
    os.unlink(record(volume, b"empty"))
    with volume.core(read_only=True) as core, pytest.raises(CorruptRecordError):
        find(core, b"anything", find(core, b"empty"))
    assert not os.path.lexists(stored(volume, b"empty") + b"/.kmsfs")


def test_a_new_record_has_the_policy_above(volume: OfflineVolume) -> None:
    """An empty directory without a record gets one with the policy of the directory that it is in."""
    with volume.core() as core:
        parent = core.inodes.directory(find(core, b"full"))
        mkdir(core, b"bare", parent.nodeid)
        core.directories.set_policy(parent, 7)
        path = volume.stored_path(core, b"bare", parent.nodeid)
    os.unlink(path + b"/.kmsfs")
    with volume.core() as core:
        bare = core.inodes.directory(find(core, b"bare", find(core, b"full")))
        assert core.directories.policy(bare) == 7


def test_setting_a_policy_changes_nothing_else(volume: OfflineVolume) -> None:
    """Id, place and times of a directory stay, also of one that its owner may not write to."""
    path = os.path.dirname(record(volume, b"full"))
    os.chmod(path, 0o500)
    os.utime(path, ns=(1, 2))
    with volume.core() as core:
        full = core.inodes.directory(find(core, b"full"))
        before = core.directories.dir_id(full)
        core.directories.set_policy(full, 7)
    status = os.stat(path)
    assert (stat.S_IMODE(status.st_mode), status.st_atime_ns, status.st_mtime_ns) == (0o500, 1, 2)
    with volume.core() as core:
        full = core.inodes.directory(find(core, b"full"))
        assert (core.directories.dir_id(full), core.directories.policy(full)) == (before, 7)
        find(core, b"inside", full.nodeid)


def replaced(volume: OfflineVolume, target: bytes | None) -> None:
    """Put another symlink, or nothing, in the place of the full directory's record."""
    path = record(volume, b"full")
    os.unlink(path)
    if target is not None:
        os.symlink(target, path)


FORGED = {
    "gone": lambda _: None,
    "noise": lambda _: b"A" * 47,
    "elsewhere": lambda _: b"/etc/passwd",
    "another spelling": lambda volume: os.readlink(record(volume, b"full"))[:-1] + b"\xff",
    "padded": lambda volume: os.readlink(record(volume, b"full")) + b"=",
    "another directory's": lambda volume: os.readlink(record(volume, b"empty")),
    "another volume's": lambda _: RecordCipher(os.urandom(64), os.urandom(32)).seal(
        DirectoryRecord(os.urandom(16))
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_shuts_the_directory(volume: OfflineVolume, name: str) -> None:
    """A full directory whose record is missing or forged is EIO in every way, and only that one."""
    replaced(volume, FORGED[name](volume))
    with volume.core() as core:
        full = find(core, b"full")
        for attempt in (
            lambda: find(core, b"inside", full),
            lambda: names_in(core, full),
            lambda: make(core, b"new", full),
            lambda: core.tree.mkdir(full, b"new", 0o755, ME),
            lambda: core.tree.unlink(full, b"inside"),
        ):
            with pytest.raises(CorruptRecordError) as caught:
                attempt()
            assert caught.value.errno == errno.EIO
        assert is_healthy(core)


@pytest.mark.parametrize("bindings", [False])
def test_another_directory_s_record_hides_the_names(volume: OfflineVolume) -> None:
    """Where nothing is tied to its place, no name authenticates: none is shown or found, each is counted."""
    replaced(volume, os.readlink(record(volume, b"empty")))
    with volume.core() as core:
        full = find(core, b"full")
        assert names_in(core, full) == []
        with pytest.raises(FileNotFoundError):
            find(core, b"inside", full)
        assert core.volume.counters.integrity_errors == 1
        assert is_healthy(core)


def test_rmdir_takes_what_a_crash_has_left(volume: OfflineVolume) -> None:
    """Temporaries and sidecars without entry do not keep a directory from being removed."""
    place = stored(volume, b"empty")
    os.symlink("anything", place + b"/.kmsfs.tmp.1")
    os.mkdir(place + b"/.kmsfs.tmp.2")
    os.symlink("anything", place + b"/.kmsfs.tmp.2/.kmsfs")
    with open(place + b"/kmsfs.long." + b"A" * 43 + b".name", "wb"):
        pass
    with volume.core() as core:
        assert names_in(core, find(core, b"empty")) == []
        core.tree.rmdir(ROOT, b"empty")
    assert not os.path.lexists(place)


def test_rmdir_leaves_what_is_not_ours(volume: OfflineVolume) -> None:
    """A directory with entries is ENOTEMPTY, be they the user's or planted, and keeps its record."""
    planted = stored(volume, b"empty") + b"/planted"
    os.mkdir(planted)
    with volume.core() as core:
        for name in (b"full", b"empty"):
            with pytest.raises(OSError, match=os.strerror(errno.ENOTEMPTY)):
                core.tree.rmdir(ROOT, name)
        assert names_in(core, find(core, b"full")) == [b"inside"]
    assert os.path.lexists(record(volume, b"empty"))


def test_a_directory_that_cannot_be_removed_keeps_its_record(volume: OfflineVolume) -> None:
    """Where the store refuses rmdir at last, the record is put back: names sealed later are the same."""
    before = os.readlink(record(volume, b"empty"))
    place = stored(volume, b"empty")
    with volume.core() as core:
        directory = core.inodes.directory(find(core, b"empty"))
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            taken = core.directories.clear(fd)
            assert not os.path.lexists(place + b"/.kmsfs")
            core.directories.restore(fd, taken)
        finally:
            os.close(fd)
        assert core.directories.dir_id(directory)
    assert os.readlink(place + b"/.kmsfs") == before


PLANTED = {
    "a file": lambda path: open(path, "wb").close(),
    "a directory": os.mkdir,
    "a FIFO": os.mkfifo,
    "a symlink out of the tree": lambda path: os.symlink("/etc/passwd", path),
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("name", [b"planted", b"A" * 43, b"kmsfs.long." + b"A" * 43])
def test_planted_entries_are_not_listed(volume: OfflineVolume, name: bytes, kind: str) -> None:
    """An entry that nobody with the key has named is left out of listings and counted; the rest is listed."""
    PLANTED[kind](os.path.join(os.fsencode(volume.path), name))
    with volume.core() as core:
        assert names_in(core) == [b"empty", b"full", b"untouched"]
        assert core.volume.counters.integrity_errors == 1
        assert is_healthy(core)


@pytest.mark.parametrize("kind", ["a file", "a FIFO", "a symlink out of the tree"])
def test_planted_content_is_refused(volume: OfflineVolume, kind: str) -> None:
    """What is put in the place of a file gives an error when it is opened or read, never its own content."""
    path = stored(volume, b"untouched")
    os.unlink(path)
    PLANTED[kind](path)
    with volume.core() as core:
        nodeid = find(core, b"untouched")
        mode = core.attributes.getattr(nodeid).status.st_mode
        with pytest.raises(Exception, match=r"header|record|target|authenticate|Stale|symbolic"):
            core.tree.readlink(nodeid) if stat.S_ISLNK(mode) else core.open(nodeid, os.O_RDONLY)


def test_moved_and_swapped_files(volume: OfflineVolume) -> None:
    """A stored name in another directory is no entry of it."""
    inside = stored(volume, b"full", b"inside")
    os.rename(inside, os.path.join(os.fsencode(volume.path), os.path.basename(inside)))
    with volume.core() as core:
        assert names_in(core) == [b"empty", b"full", b"untouched"]
        with pytest.raises(FileNotFoundError):
            find(core, b"inside")


@pytest.mark.parametrize(
    "content", [None, b"", b"A" * 363, b"A" * 5000], ids=["missing", "empty", "wrong", "huge"]
)
def test_a_forged_sidecar_hides_the_name(volume: OfflineVolume, content: bytes | None) -> None:
    """A long name whose sidecar is missing or wrong is not listed; counted once a listing; others are."""
    volume.write_file(LONG, b"content")
    sidecar = stored(volume, LONG) + b".name"
    os.unlink(sidecar)
    if content is not None:
        with open(sidecar, "wb") as file:
            file.write(content)
    with volume.core() as core:
        assert LONG not in names_in(core)
        assert b"untouched" in names_in(core)
        assert core.volume.counters.integrity_errors == 2
        with pytest.raises(CorruptNameError):
            core.place_of(core.inodes[find(core, LONG)])


def test_a_listing_does_not_change_while_it_is_read(volume: OfflineVolume) -> None:
    """Names that were there all the time come once each, whatever is made or removed between two reads."""
    with volume.core() as core:
        names = [b"%03d" % number for number in range(50)] + [
            bytes([65 + number]) * 200 for number in range(20)
        ]
        for name in names:
            make(core, name)
        listing = core.listing(ROOT)
        seen, cookie = [], 0
        for turn in range(12):
            for name, entry, following in listing.read(cookie):
                cookie = following
                if entry is not None:
                    core.inodes.forget(entry.nodeid, 1)
                    seen.append(name)
                if len(seen) % 6 == 5:
                    break
            make(core, b"new %d" % turn)
            gone = names[turn] if turn % 2 else names[-1 - turn]
            core.tree.unlink(ROOT, gone)
        for name, entry, _ in listing.read(cookie):
            if entry is not None:
                core.inodes.forget(entry.nodeid, 1)
                seen.append(name)
        stayed = set(names) & set(names_in(core))
        assert len(seen) == len(set(seen))
        assert stayed <= set(seen)
        assert core.volume.counters.integrity_errors == 0


def test_a_listing_begins_anew_at_zero(volume: OfflineVolume) -> None:
    """Rewinding shows what is there now; a removed directory has nothing but its dots."""
    with volume.core() as core:
        listing = core.listing(find(core, b"empty"))
        assert [name for name, _, _ in listing.read(0)] == [b".", b".."]
        make(core, b"new", find(core, b"empty"))
        assert [name for name, _, _ in listing.read(0)] == [b".", b"..", b"new"]
        core.tree.unlink(find(core, b"empty"), b"new")
        core.tree.rmdir(ROOT, b"empty")
        assert [name for name, _, _ in listing.read(0)] == [b".", b".."]


@pytest.fixture
def deep_volume(tmp_path: Path) -> Iterator[OfflineVolume]:
    """A volume for a tree so deep that Python's own way to remove it does not reach its end."""
    path = tmp_path / "deep"
    path.mkdir()
    yield OfflineVolume(path)
    subprocess.run(["rm", "-rf", str(path)], check=True)


def test_deep_directories(deep_volume: OfflineVolume) -> None:
    """A tree deeper than the number of descriptors that are kept is walked, and changed at its end."""
    depth = 1100
    with deep_volume.core() as core:
        at = ROOT
        for _ in range(depth):
            at = mkdir(core, b"d", at)
        write(core, b"file", b"content", parent=at)
        assert len(os.listdir("/proc/self/fd")) < depth
    with deep_volume.core() as core:
        chain = [ROOT]
        for _ in range(depth):
            chain.append(find(core, b"d", chain[-1]))
        assert read(core, b"file", chain[-1]) == b"content"
        core.renaming.rename(chain[-1], b"file", chain[1], b"file", 0)
        with pytest.raises(FileNotFoundError):
            find(core, b"file", chain[-1])
        assert names_in(core, chain[1]) == [b"d", b"file"]


def test_plain_names(tmp_path: Path) -> None:
    """In a volume with plain names kmsfs's own names cannot be made, found or seen."""
    volume = OfflineVolume(tmp_path, names="plain")
    with volume.core() as core:
        write(core, b"readable", b"content")
        for name in (b".kmsfs", b".kmsfs-volume", b".kmsfsrc", b"kmsfs.long.x"):
            with pytest.raises(ReservedNameError):
                make(core, name)
            with pytest.raises(FileNotFoundError):
                find(core, name)
        with pytest.raises(ReservedNameError):
            core.renaming.rename(ROOT, b"readable", ROOT, b".kmsfs", 0)
        assert names_in(core) == [b"readable"]
    assert "readable" in os.listdir(tmp_path)


def test_modes_and_owners(volume: OfflineVolume) -> None:
    """What is made has the mode asked for and the owner who asked; a setgid directory hands on its group."""
    someone = type(ME)(1234, 5678)
    with volume.core() as core:
        shared = core.tree.mkdir(ROOT, b"shared", 0o2775, someone).nodeid
        assert core.attributes.getattr(shared).status.st_mode & 0o7777 == 0o2775
        entry, file = core.create(shared, b"file", 0o4755, os.O_RDWR, type(ME)(99, 98))
        core.files.release(file.chunks.inode)
        inner = core.tree.mkdir(shared, b"inner", 0o755, type(ME)(99, 98))
        assert (entry.status.st_uid, entry.status.st_gid) == (99, 5678)
        assert (inner.status.st_uid, inner.status.st_gid) == (99, 5678)
        assert stat.S_IMODE(inner.status.st_mode) == 0o2755
        assert stat.S_IMODE(core.attributes.getattr(entry.nodeid).status.st_mode) == 0o4755
