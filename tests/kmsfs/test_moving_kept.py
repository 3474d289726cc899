"""What is kept of all that moves: any tree, links, holes, depth, and what an ordinary user may not keep."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backgrounds import Place
from commands import succeed
from kmsfs.cli.transfer import progress
from kmsfs.moving.tally import Count, Tallies
from kmsfs.moving.transfer import Totals
from offline import OfflineVolume, find, mkdir, truncate, write
from transfers import move_in, move_out
from trees import differences, snapshot

CHUNK = 4096


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """An empty volume."""
    (tmp_path / "store").mkdir()
    return OfflineVolume(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with one good file."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "good").write_bytes(b"good")
    return tmp_path / "source"


names = st.binary(min_size=1, max_size=40).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
names = names.filter(lambda name: name not in (b".", b".."))
lengths = st.sampled_from([0, 1, 511, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]) | st.integers(0, 5 * CHUNK)
pieces = st.lists(st.tuples(st.integers(0, 20 * CHUNK), lengths), max_size=4)
kinds = st.sampled_from(["file", "file", "directory", "symlink", "link", "fifo"])
entries = st.lists(
    st.tuples(kinds, names, pieces, st.integers(-(2**40), 2**60), st.integers(0, 0o7777), st.integers(0)),
    max_size=12,
)


def grow(top: Path, plan: list[tuple[str, bytes, list[tuple[int, int]], int, int, int]]) -> None:
    """Make the tree that a plan describes; what cannot be, such as a second entry of a name, is left out."""
    directories, files, made = [os.fsencode(top)], list[bytes](), list[tuple[bytes, int, int]]()
    for kind, name, content, time_ns, mode, number in plan:
        path = os.path.join(directories[number % len(directories)], name)
        if os.path.lexists(path):
            continue
        if kind == "directory":
            os.mkdir(path)
            directories.append(path)
        elif kind == "symlink":
            os.symlink(name * 3, path)
            continue
        elif kind == "link" and files:
            os.link(files[number % len(files)], path)
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            with open(path, "xb") as file:
                for offset, length in content:
                    file.seek(offset)
                    file.write(os.urandom(length))
                file.truncate(max((offset + length for offset, length in content), default=0) + number % 9999)
            os.setxattr(path, "user.number", b"%d" % number)
            files.append(path)
        made.append((path, time_ns, mode))
    for path, time_ns, mode in reversed(made):
        os.chmod(path, mode | (0o700 if stat.S_ISDIR(os.lstat(path).st_mode) else 0o600))
        os.utime(path, ns=(time_ns, time_ns))


@settings(max_examples=25, deadline=None)
@given(plan=entries, chunk_shift=st.sampled_from([12, 16]))
def test_any_tree(
    plan: list[tuple[str, bytes, list[tuple[int, int]], int, int, int]], chunk_shift: int
) -> None:
    """Whatever the tree, it comes out as it went in, and the comparison at the end finds it so too."""
    with tempfile.TemporaryDirectory() as name:
        source, store, copy = (Path(name, part) for part in ("source", "store", "copy"))
        source.mkdir()
        store.mkdir()
        grow(source, plan)
        volume = OfflineVolume(store, chunk_shift=chunk_shift)
        assert move_in(volume, source)[:2] == ([], [])
        again = move_in(volume, source)
        assert (again.problems, again.counts["content"]) == ([], 0)
        assert move_out(volume, copy)[:2] == ([], [])
        assert differences(snapshot(copy), snapshot(source)) == []


def test_attributes_that_cannot_be_kept(volume: OfflineVolume, source: Path) -> None:
    """They are counted, and the file is there without them."""
    if os.geteuid() == 0:
        os.setxattr(source / "good", "trusted.mark", b"value")
        assert move_in(volume, source).lost == {"extended attribute trusted.mark": 1}
    os.setxattr(source / "good", b"user." + b"n" * 250, b"value")
    moved = move_in(volume, source)
    assert moved.problems == []
    assert f"extended attribute user.{'n' * 250}" in moved.lost
    assert volume.read_file(b"good") == b"good"


def test_what_is_lost_of_a_symlink(volume: OfflineVolume, source: Path, tmp_path: Path) -> None:
    """One with names in several directories becomes several, for a volume ties each to its directory."""
    (source / "below").mkdir()
    (source / "link").symlink_to("good")
    os.link(source / "link", source / "below" / "link", follow_symlinks=False)
    moved = move_in(volume, source)
    assert (moved.problems, moved.differences) == ([], [])
    assert moved.lost == {"hard link of a symbolic link": 1}
    move_out(volume, tmp_path / "copy")
    assert os.readlink(tmp_path / "copy" / "below" / "link") == "good"


def test_a_first_name_that_cannot_be_copied(volume: OfflineVolume, source: Path) -> None:
    """Of an inode with several names, the ones that can be copied are one inode."""
    for number in range(4):
        os.link(source / "good", source / f"name {number}")
    with volume.core() as core:
        mkdir(core, b"good")
        mkdir(core, b"name 2")
    moved = move_in(volume, source)
    assert moved.said.keys() == {b"good", b"name 2"}
    with volume.core() as core:
        assert len({find(core, name) for name in (b"name 0", b"name 1", b"name 3")}) == 1
        assert core.tree.lookup(1, b"name 0").status.st_nlink == 3


def test_holes(volume: OfflineVolume, source: Path, tmp_path: Path) -> None:
    """Holes of a source take no room in the volume, and none in the copy, wherever they begin and end."""
    with open(source / "sparse", "wb") as file:
        for offset in (0, 5 * CHUNK + 7, 1 << 28, (1 << 28) + 3 * CHUNK):
            file.seek(offset)
            file.write(os.urandom(CHUNK + 100))
        file.truncate(1 << 30)
    (source / "nothing but hole").touch()
    os.truncate(source / "nothing but hole", 1 << 30)
    assert move_in(volume, source)[:2] == ([], [])
    copy = tmp_path / "copy"
    assert move_out(volume, copy)[:2] == ([], [])
    for name in ("sparse", "nothing but hole"):
        assert (copy / name).stat().st_blocks * 512 < 1 << 20
    assert sum(path.lstat().st_blocks for path in volume.path.iterdir()) * 512 < 1 << 21
    result = subprocess.run(["cmp", source / "sparse", copy / "sparse"], check=False)
    assert result.returncode == 0


def test_a_volumes_own_holes(volume: OfflineVolume, tmp_path: Path) -> None:
    """Holes that programs made in the volume come out as holes, with the content around them."""
    with volume.core() as core:
        write(core, b"file", b"begin")
        truncate(core, b"file", 1 << 30)
        write(core, b"file", b"middle", offset=(1 << 29) + 100)
    assert move_out(volume, tmp_path / "copy")[:2] == ([], [])
    status = (tmp_path / "copy" / "file").stat()
    assert (status.st_size, status.st_blocks * 512 < 1 << 20) == (1 << 30, True)
    with open(tmp_path / "copy" / "file", "rb") as file:
        assert file.read(5) == b"begin"
        file.seek((1 << 29) + 100)
        assert file.read(7) == b"middle\0"


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory that may become deeper than pytest could clear away."""
    (tmp_path / "deep").mkdir()
    yield tmp_path / "deep"
    subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)


def test_deeper_than_descriptors(deep: Path) -> None:
    """A tree of more levels than may be open at a time, and than a path may name, goes in and out."""
    depth = 1200
    (deep / "store").mkdir()
    volume = OfflineVolume(deep / "store")
    fd = os.open(deep, os.O_RDONLY)
    for name in ("source", *("level",) * depth):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    moved = move_in(volume, deep / "source")
    assert moved[:2] == ([], [])
    assert moved.counts["directories"] == depth + 1
    assert move_out(volume, deep / "copy")[:2] == ([], [])
    found = subprocess.run(["find", deep / "copy", "-name", "bottom"], check=True, capture_output=True)
    assert found.stdout.count(b"/level") == depth


def test_an_ordinary_user(tmp_path: Path) -> None:
    """What may not be read is left out; owners are theirs; what would run as somebody else does not."""
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    source, store = tmp_path / "source", tmp_path / "store"
    (source / "closed").mkdir(parents=True)
    (source / "closed" / "file").touch()
    for name, mode in (("open", 0o4755), ("mine", 0o4755), ("unreadable", 0o600), ("read-only", 0o444)):
        (source / name).write_bytes(name.encode())
        (source / name).chmod(mode)
    os.setxattr(source / "read-only", "user.mark", b"value")
    os.mknod(source / "device", 0o020666, os.makedev(1, 3))
    (source / "sealed").mkdir(0o755)
    (source / "sealed" / "file").write_bytes(b"sealed")
    store.mkdir()
    for name in ("sealed", "sealed/file", "mine", "read-only"):
        os.chown(source / name, 65534, 65534)
    os.chown(source / "mine", 65534, 65534)
    (source / "mine").chmod(0o4755)
    (source / "sealed").chmod(0o500)
    (source / "closed").chmod(0o700)
    for path in (store, *tmp_path.parents, tmp_path):
        path.chmod(path.stat().st_mode | 0o755)
    os.chown(store, 65534, 65534)
    os.chown(tmp_path, 65534, 65534)
    pid = os.fork()
    if not pid:
        os._exit(_as_nobody(store, source, tmp_path / "copy"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _as_nobody(store: Path, source: Path, copy: Path) -> int:
    """Import, import again and export as another user; return 0 if all was as it should be."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    volume = OfflineVolume(store)
    moves = [move_in(volume, source) for _ in range(2)]
    out = move_out(volume, copy)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in copy.iterdir()}
    wanted = {"open": 0o755, "mine": 0o4755, "read-only": 0o444, "sealed": 0o500}
    left_out = {b"closed", b"unreadable", b"device"}
    checks = (
        all(moved.said.keys() == left_out for moved in moves),
        all({problem.path for problem in moved.differences} <= left_out for moved in moves),
        all(moved.lost.keys() == {"owner"} for moved in moves),
        out[:2] == ([], []),
        {name: modes[name] for name in wanted} == wanted,
        os.getxattr(copy / "read-only", "user.mark") == b"value",
        (copy / "sealed" / "file").read_bytes() == b"sealed",
    )
    return 0 if all(checks) else 10 + checks.index(False)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")
def test_root_without_the_right_to_give_away(place: Place) -> None:
    """A copy that stays root's does not run as root in the place of its owner, in the volume or outside."""
    place.init()
    source, copy = place.directory / "source", place.directory / "copy"
    source.mkdir()
    (source / "program").write_bytes(b"")
    os.chown(source / "program", 65534, 65534)
    (source / "program").chmod(0o6755)
    weakened = ["setpriv", "--bounding-set=-chown", "--inh-caps=-chown", sys.executable, "-P", "-m", "kmsfs"]
    for arguments in (("import", source, place.ciphertext), ("export", place.ciphertext, copy)):
        if arguments[0] == "export":
            succeed(place, "import", "--checksum", source, place.ciphertext)
        result = subprocess.run(
            [*weakened, *arguments], env=place.environ, capture_output=True, check=False, cwd=place.directory
        )
        assert (result.returncode, b"cannot be kept here: owner" in result.stderr) == (0, True)
        if arguments[0] == "import":
            (found,) = json.loads(succeed(place, "ls", "--json", place.ciphertext))
            assert (found["mode"], found["uid"]) == ("0755", 0)
    status = (copy / "program").stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o755, 0)


def test_how_far_it_is() -> None:
    """The line on a terminal has files, bytes, rate and time left; small files count for the time too."""
    tallies = Tallies(2)
    assert progress(tallies, None, 1, "copied") == "counting"
    totals = Totals(2_000, 3_000_000)
    assert progress(tallies, totals, 0, "copied") == "copied 0 of 2,000 files, 0 bytes of 3.0 MB, 0 bytes/s"
    for row in (0, 1):
        tallies.row(row).add(Count.ENTRIES, 500)
        tallies.row(row).add(Count.PASSED, 750_000)
    line = "copied 1,000 of 2,000 files, 1.5 MB of 3.0 MB, 500.0 kB/s, 0:00:03 left"
    assert progress(tallies, totals, 3, "copied") == line
    assert progress(tallies, totals._replace(entries=0, content_bytes=0), 3, "copied").endswith(
        "0:00:00 left"
    )
