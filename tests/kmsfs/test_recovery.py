"""Recovery: what it looks at, what it repairs and removes, what it leaves, and that it can be cut short."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kmsfs import backing
from kmsfs.errors import CorruptFileError, VolumeError
from kmsfs.recovery import SLACK_SECONDS, Recovered
from kmsfs.volumedir import root_directory
from kmsfs.walking import walk
from offline import ROOT, OfflineVolume, find, mkdir, opened, read, write
from trees import below

CHUNK = 4096
NOBODY = 65534
LONG = b"n" * 200


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[OfflineVolume]:
    """An empty volume."""
    yield OfflineVolume(tmp_path)
    # It goes as deep as a tree may be; shutil.rmtree does not.
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


@pytest.fixture
def broken(volume: OfflineVolume) -> bytes:
    """A file of three chunks whose last one is cut; where it lies."""
    path = volume.write_file(b"file", b"p" * 3 * CHUNK)
    os.truncate(path, os.stat(path).st_size - 1)
    return path


def counts(**changed: int) -> Recovered:
    """Return a result in which only what is named is not zero."""
    return Recovered(**{"checked": 0, "repaired": 0, "beyond_repair": 0, "removed": 0, **changed})


def test_a_sound_volume_is_left_alone(volume: OfflineVolume) -> None:
    """Where nothing is wrong, recovery changes no byte and no time."""
    with volume.core() as core:
        write(core, b"file", b"content")
        write(core, b"inner", b"content", parent=mkdir(core, b"directory"))
        write(core, LONG, b"content")
    before = snapshot(volume.path)
    assert volume.recover() == counts(checked=3)
    assert snapshot(volume.path) == before


def snapshot(path: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, size and time of change of everything below a directory."""
    return {
        str(entry): (status.st_ino, status.st_size, status.st_ctime_ns)
        for entry in [path, *below(path)]
        for status in [entry.lstat()]
    }


def test_repair_is_over_with_recovery(volume: OfflineVolume, broken: bytes) -> None:
    """A repaired file reads; cut once more without a crash, it is refused."""
    os.utime(broken, ns=(1_000_000_000, 2_000_000_000))
    assert volume.recover() == counts(checked=1, repaired=1)
    assert volume.read_file(b"file") == b"p" * 2 * CHUNK
    assert os.stat(broken).st_mtime_ns == 2_000_000_000
    assert volume.recover() == counts(checked=1)
    os.truncate(broken, 3000)
    with pytest.raises(CorruptFileError, match="truncated"):
        volume.read_file(b"file")


def test_only_files_that_changed_in_the_mount_are_looked_at(volume: OfflineVolume, broken: bytes) -> None:
    """A file whose inode is older than the mount, and than the slack, is left; opening it is refused."""
    changed = os.stat(broken).st_ctime
    in_use_since = changed + SLACK_SECONDS + 2
    assert volume.recover(in_use_since, now=in_use_since + 1) == counts()
    with pytest.raises(CorruptFileError):
        volume.read_file(b"file")
    in_use_since = changed + SLACK_SECONDS - 2
    assert volume.recover(in_use_since, now=in_use_since + 1) == counts(checked=1, repaired=1)


def test_a_clock_that_was_put_back_hides_nothing(volume: OfflineVolume, broken: bytes) -> None:
    """A mount that seems to begin in the future tells nothing: every file is looked at."""
    changed = os.stat(broken).st_ctime
    assert volume.recover(changed + 10 * SLACK_SECONDS, now=changed) == counts(checked=1, repaired=1)


def test_attributes_go_with_a_header_that_never_came(volume: OfflineVolume) -> None:
    """They are bound to the file's id, which was in it: none is left that cannot be read; others stay."""
    with volume.core() as core:
        path = volume.write_file(b"file", b"")
        core.xattrs.set(find(core, b"file"), b"user.note", b"value")
        if os.geteuid() == 0:
            os.setxattr(path, b"security.kept", b"value")
    os.truncate(path, 0)
    assert volume.recover() == counts(checked=1, repaired=1)
    assert [name for name in os.listxattr(path) if name.startswith("user.")] == []
    if os.geteuid() == 0:
        assert os.getxattr(path, b"security.kept") == b"value"


def leave_temporaries(volume: OfflineVolume) -> None:
    """Leave what a crash within mkdir or a rename leaves."""
    os.symlink("target", volume.path / ".kmsfs.tmp.link")
    (volume.path / ".kmsfs.tmp.directory").mkdir(0)
    (volume.path / ".kmsfs.tmp.prepared").mkdir()
    os.symlink("record", volume.path / ".kmsfs.tmp.prepared" / ".kmsfs")


def test_each_name_of_a_file_without_header_gets_a_file(volume: OfflineVolume) -> None:
    """Nobody can tell any more who gave it its names; tied to one, it could not be opened by the others."""
    with volume.core() as core:
        write(core, b"first", b"content")
        core.tree.link(find(core, b"first"), ROOT, b"second")
        core.tree.link(find(core, b"first"), mkdir(core, b"inner"), b"third")
        path = volume.stored_path(core, b"first")
    os.truncate(path, 0)
    os.chmod(path, 0o640)
    os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    assert volume.recover() == counts(checked=3, repaired=3)
    with volume.core() as core:
        for name, parent in ((b"first", ROOT), (b"second", ROOT), (b"third", find(core, b"inner"))):
            assert read(core, name, parent) == b""
            status = core.tree.lookup(parent, name).status
            assert (status.st_nlink, stat.S_IMODE(status.st_mode)) == (1, 0o640)
            assert status.st_mtime_ns == 2_000_000_000
            write(core, name, b"of " + name, parent=parent)
        assert [read(core, name) for name in (b"first", b"second")] == [b"of first", b"of second"]
    assert volume.recover() == counts(checked=3)


def test_names_given_before_the_header_came_are_kept(volume: OfflineVolume) -> None:
    """A file that was made, and got a second name while nothing had been written to it, is still one file."""
    with volume.core() as core, opened(core, b"first", os.O_CREAT | os.O_RDWR):
        core.tree.link(find(core, b"first"), ROOT, b"second")
        copy = volume.path.with_name("killed now")
        subprocess.run(["cp", "-a", volume.path, copy], check=True)
    subprocess.run(["rm", "-rf", volume.path], check=True)
    copy.rename(volume.path)
    assert volume.recover() == counts(checked=1)
    with volume.core() as core:
        write(core, b"first", b"content")
        assert read(core, b"second") == b"content"


def test_leftovers_are_removed(volume: OfflineVolume) -> None:
    """Temporaries and sidecars without entry go, in every directory; sidecars in use stay."""
    leave_temporaries(volume)
    with volume.core() as core:
        inside = mkdir(core, b"directory")
        write(core, LONG, b"kept", parent=inside)
        write(core, LONG + b"gone", b"gone", parent=inside)
        os.unlink(volume.stored_path(core, LONG + b"gone", inside))
    assert volume.recover() == counts(checked=1, removed=4)
    assert sum(path.suffix == ".name" for path in below(volume.path)) == 1
    assert not [path for path in below(volume.path) if path.name.startswith(".kmsfs.tmp.")]
    with volume.core() as core:
        assert read(core, LONG, find(core, b"directory")) == b"kept"


def test_a_temporary_that_holds_something_is_left(volume: OfflineVolume) -> None:
    """What has the name of a temporary and holds more than a record is not taken away."""
    kept = volume.path / ".kmsfs.tmp.kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"content")
    assert volume.recover() == counts()
    assert (kept / "file").read_bytes() == b"content"


PLANTED: dict[str, Callable[[Path], object]] = {
    "symlink out": lambda path: path.symlink_to("/etc/passwd"),
    "symlink to a directory": lambda path: path.symlink_to(path.parent.parent),
    "FIFO": os.mkfifo,
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_only_regular_files_are_opened(volume: OfflineVolume, kind: str) -> None:
    """What somebody has put in the tree that is no regular file is neither followed nor opened."""
    PLANTED[kind](volume.path / "planted")
    assert volume.recover() == counts()


@pytest.mark.usefixtures("broken")
def test_files_that_do_not_authenticate_stay(volume: OfflineVolume) -> None:
    """What no crash explains is counted and not touched, and does not keep others from being repaired."""
    planted = volume.path / "planted"
    planted.write_bytes(b"plain text")
    assert volume.recover() == counts(checked=2, repaired=1, beyond_repair=1)
    assert planted.read_bytes() == b"plain text"


def test_files_under_a_key_that_cannot_be_had_stay(volume: OfflineVolume, broken: bytes) -> None:
    """Without its key nothing can be said of a file: it is left as it is, and counted."""
    kept, gone = volume.bucket_keys[1], volume.bucket_keys[0]
    volume.bucket_keys = (kept, kept)
    volume.missing[gone.id] = "disabled"
    size = os.stat(broken).st_size
    assert volume.recover() == counts(checked=1, without_key=1)
    assert os.stat(broken).st_size == size


@pytest.mark.usefixtures("broken")
def test_links_are_one_file(volume: OfflineVolume) -> None:
    """A file with several names is looked at once."""
    with volume.core() as core:
        core.tree.link(find(core, b"file"), ROOT, b"other")
    assert volume.recover() == counts(checked=1, repaired=1)


def test_depth_costs_no_descriptors(volume: OfflineVolume) -> None:
    """A tree deeper than a process may have descriptors open, and than the stack, is recovered to its end."""
    with volume.core() as core:
        parent = ROOT
        for _ in range(1500):
            parent = mkdir(core, b"d", parent)
        write(core, b"file", b"p" * 3 * CHUNK, parent=parent)
        core.attributes.truncate(core.inodes[find(core, b"file", parent)], 3 * CHUNK)
        file = core.open(find(core, b"file", parent), os.O_RDWR)
        os.truncate(file.chunks.fd, 9000)
        core.files.release(file.chunks.inode)
    assert volume.recover() == counts(checked=1, repaired=1)


STEPS: dict[str, tuple[int, object, str]] = {
    "header of a cut file": (9000, backing, "pwrite_all"),
    "length of a cut file": (9000, backing, "truncate"),
    "times of a cut file": (9000, backing, "utimens_fd"),
    "length of an empty file": (0, backing, "truncate"),
    "header of an empty file": (0, backing, "pwrite_all"),
    "times of an empty file": (0, backing, "utimens_fd"),
    "sync": (9000, backing, "sync_filesystem"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", STEPS)
def test_cut_short_it_is_done_again(
    volume: OfflineVolume, monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool
) -> None:
    """Stopped before or after any step of a repair, recovery finishes at its next run."""
    size, owner, step = STEPS[name]
    os.truncate(volume.write_file(b"file", b"p" * 3 * CHUNK), size)
    with monkeypatch.context() as patched:
        interrupt(patched, owner, step, after=after)
        with pytest.raises(KeyboardInterrupt):
            volume.recover()
    volume.recover()
    assert volume.recover() == counts(checked=1)
    assert volume.read_file(b"file") == b"p" * (2 * CHUNK if size else 0)


def interrupt(patched: pytest.MonkeyPatch, owner: object, step: str, *, after: bool) -> None:
    """Interrupt the program before or after a step."""
    do = getattr(owner, step)

    def interrupted(*arguments: object) -> None:
        if after:
            do(*arguments)
        raise KeyboardInterrupt

    patched.setattr(owner, step, interrupted)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE])
def test_what_passes_ends_recovery(
    volume: OfflineVolume, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """On a full store recovery is not over: it fails, and repairs the file once there is room."""
    with monkeypatch.context() as patched:
        fail(patched, number)
        with pytest.raises(OSError, match=os.strerror(number)):
            volume.recover()
    assert volume.recover() == counts(checked=1, repaired=1)


@pytest.mark.usefixtures("broken")
def test_what_does_not_pass_costs_one_file(volume: OfflineVolume, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the store cannot write to any more is left, and counted."""
    fail(monkeypatch, errno.EIO)
    assert volume.recover() == counts(checked=1, beyond_repair=1)


def fail(patched: pytest.MonkeyPatch, number: int) -> None:
    """Let every write fail."""

    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    patched.setattr(backing, "pwrite_all", failing)


def test_directories_moved_meanwhile_are_noticed(volume: OfflineVolume) -> None:
    """A directory that is moved while the walk is in it does not lead the walk elsewhere."""
    with volume.core() as core:
        inner = mkdir(core, b"inner", mkdir(core, b"outer"))
        write(core, b"file", b"content", parent=inner)
    elsewhere = volume.path / "elsewhere"
    elsewhere.mkdir()
    with root_directory(str(volume.path)) as root_fd:
        entries = walk(root_fd)
        found = next(found for found in entries if stat.S_ISREG(found.status.st_mode))
        Path(f"/proc/self/fd/{found.dirfd}").readlink().rename(elsewhere / "moved")
        with pytest.raises(VolumeError, match="another program"):
            list(entries)


def test_progress_reaches_log_and_service_manager(
    volume: OfflineVolume,
    broken: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Recovery says how far it is, names what it repairs by inode, and asks systemd for time."""
    told: list[str] = []
    monkeypatch.setattr("kmsfs.pulse.notify_manager", told.append)
    with caplog.at_level("INFO", logger="kmsfs"):
        volume.recover()
    assert told
    assert all(text.startswith("EXTEND_TIMEOUT_USEC=") for text in told)
    assert f"inode {os.stat(broken).st_ino} is repaired" in caplog.text
    assert "recovery: 0 files checked so far" in caplog.text


OWNER_SCRIPT = """
import os, sys
from pathlib import Path
# What lies where only root may read has to be imported before.
from offline import OfflineVolume
os.setgid(65534)
os.setuid(65534)
volume = OfflineVolume(Path(sys.argv[1]))
path = volume.write_file(b"file", b"p" * 9000)
other = volume.write_file(b"sound", b"content")
os.truncate(path, 9000)
os.chmod(path, 0o444)
os.chmod(other, 0)
os.mkdir(sys.argv[1] + "/closed")
os.rename(path, sys.argv[1] + "/closed/file")
os.chmod(sys.argv[1] + "/closed", 0)
print(volume.recover())
print(oct(os.stat(sys.argv[1] + "/closed").st_mode), oct(os.stat(other).st_mode))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_owner_s_modes_are_in_nobody_s_way(short_directory: Path) -> None:
    """Where the mode keeps even its owner out of a file or directory, recovery gets in, and mode stays."""
    place = short_directory / "volume"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    short_directory.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-c", OWNER_SCRIPT, str(place)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [str(counts(checked=2, repaired=1)), "0o40000 0o100000"]
