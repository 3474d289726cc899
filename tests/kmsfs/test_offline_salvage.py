"""Copying out of a damaged volume: what authenticates comes out whole, what does not is listed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from backgrounds import Place
from commands import run
from kmsfs.cli.codes import ExitCode
from kmsfs.salvaging import Loss, Salvaged, salvage
from offline import ME, OfflineVolume, find, mkdir, truncate, write
from trees import differences, make_odd_tree, snapshot

CHUNK = 4096
RECORD = CHUNK + 40
HEADER_BYTES = 512
CONTENT = os.urandom(10 * CHUNK + 5)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with a directory, files in it and a symlink."""
    (tmp_path / "store").mkdir()
    made = OfflineVolume(tmp_path / "store")
    with made.core() as core:
        directory = mkdir(core, b"directory")
        write(core, b"file", CONTENT, parent=directory)
        write(core, b"good", b"good content")
        core.tree.link(find(core, b"file", directory), directory, b"second")
        core.tree.symlink(directory, b"link", b"file", ME)
    return made


def at(volume: OfflineVolume, *names: bytes) -> Path:
    """Return where an entry lies."""
    with volume.core() as core:
        parent = 1
        for name in names[:-1]:
            parent = find(core, name, parent)
        return Path(os.fsdecode(volume.stored_path(core, names[-1], parent)))


def salvaged(volume: OfflineVolume, path: bytes = b"") -> tuple[Path, list[Loss], Salvaged]:
    """Salvage a volume; return the copy, what was lost and what was counted."""
    copy, tally = volume.path.with_name("copy"), Salvaged()
    with volume.core(read_only=True) as core:
        return copy, list(salvage(core, path, str(copy), tally)), tally


def spoil(path: Path, *chunks: int) -> None:
    """Change a byte of some chunks."""
    raw = bytearray(path.read_bytes())
    for index in chunks:
        raw[HEADER_BYTES + index * RECORD + 30] ^= 1
    path.write_bytes(raw)


def test_a_good_volume_comes_out_whole(place: Place) -> None:
    """A tree of everything that a directory may hold is copied with all its properties."""
    place.init()
    assert place.mount().returncode == 0
    make_odd_tree(place.mountpoint, 120)
    expected = snapshot(place.mountpoint)
    assert place.umount().returncode == 0
    copy = place.directory / "copy"
    result = run(place, "verify", "--json", "--salvage", copy, place.ciphertext)
    assert (result.returncode, result.stderr) == (0, b"")
    report = json.loads(result.stdout)
    assert (report["problems"], report["salvaged"]["lost"]) == ([], [])
    assert differences(snapshot(copy), expected) == []


def test_what_is_lost_of_a_file_is_a_hole(volume: OfflineVolume) -> None:
    """Chunks that do not authenticate are zeros in the copy and listed; all others are there."""
    spoil(at(volume, b"directory", b"file"), 0, 4, 5, 10)
    copy, losses, tally = salvaged(volume)
    expected = bytearray(CONTENT)
    for first, last in ((0, 1), (4, 6), (10, 11)):
        expected[first * CHUNK : last * CHUNK] = bytes(len(expected[first * CHUNK : last * CHUNK]))
    assert (copy / "directory" / "file").read_bytes() == expected
    assert (copy / "directory" / "second").samefile(copy / "directory" / "file")
    (path,) = {loss.path for loss in losses}
    assert path in (b"directory/file", b"directory/second")
    assert [loss.what.split(" do ")[0] for loss in losses] == [
        "bytes 0 to 4095",
        "bytes 16384 to 24575",
        "bytes 40960 to 40964",
    ]
    assert (tally.files, tally.lost_bytes) == (2, 3 * CHUNK + 5)


def test_a_cut_file_gives_what_is_left(volume: OfflineVolume) -> None:
    """A file that no mount opens, since it is too short, comes out up to where it was cut."""
    os.truncate(at(volume, b"directory", b"file"), HEADER_BYTES + 3 * RECORD + 7)
    copy, losses, _ = salvaged(volume)
    assert (copy / "directory" / "file").read_bytes() == CONTENT[: 3 * CHUNK] + bytes(7 * CHUNK + 5)
    assert [loss.what.split(" do ")[0] for loss in losses] == [f"bytes {3 * CHUNK} to {len(CONTENT) - 1}"]


def test_what_has_lost_its_name_keeps_that_of_the_store(volume: OfflineVolume) -> None:
    """Below a directory without record, files come out under the names of the store; symlinks are lost."""
    directory = at(volume, b"directory")
    (directory / ".kmsfs").unlink()
    stored = [path for path in directory.iterdir() if not path.is_symlink()]
    copy, losses, _ = salvaged(volume)
    assert sorted(os.listdir(copy / "directory")) == sorted(path.name for path in stored)
    assert {(copy / "directory" / path.name).read_bytes() for path in stored} == {CONTENT}
    assert sum("its name" in loss.what for loss in losses) == 3
    assert sum("all of it" in loss.what for loss in losses) == 1


def test_a_file_without_its_header_is_lost(volume: OfflineVolume) -> None:
    """Nothing is made up of it: it is listed under each of its names, and everything else is there."""
    spoil(path := at(volume, b"directory", b"file"), 0)
    path.write_bytes(bytes(HEADER_BYTES) + path.read_bytes()[HEADER_BYTES:])
    copy, losses, _ = salvaged(volume)
    assert sorted(loss.path for loss in losses) == [b"directory/file", b"directory/second"]
    assert os.listdir(copy / "directory") == ["link"]
    assert (copy / "good").read_bytes() == b"good content"


def test_holes_stay_holes(volume: OfflineVolume) -> None:
    """A hole takes no room in the copy."""
    with volume.core() as core:
        truncate(core, b"good", 1 << 30)
        write(core, b"good", b"end", offset=1 << 30)
    copy, losses, _ = salvaged(volume, b"good")
    status = (copy / "good").stat()
    assert (losses, status.st_size) == ([], (1 << 30) + 3)
    assert status.st_blocks * 512 < 1 << 20


def test_a_copy_is_made_into_nothing(volume: OfflineVolume) -> None:
    """A directory that holds something is refused, and left as it is."""
    copy = volume.path.with_name("copy")
    copy.mkdir()
    (copy / "precious").touch()
    with pytest.raises(OSError, match="not empty"):
        salvaged(volume)
    assert os.listdir(copy) == ["precious"]
    assert stat.S_ISREG((copy / "precious").stat().st_mode)


def test_the_command_says_what_is_lost(place: Place) -> None:
    """With a loss the exit code is that of problems; a copy within the ciphertext is refused."""
    place.init()
    assert place.mount().returncode == 0
    (place.mountpoint / "file").write_bytes(CONTENT)
    assert place.umount().returncode == 0
    (path,) = (path for path in place.ciphertext.iterdir() if path.is_file() and not path.is_symlink())
    spoil(path, 2)
    result = run(place, "verify", "--salvage", place.directory / "copy", place.ciphertext)
    assert result.returncode == ExitCode.PROBLEMS
    assert b"lost: file: bytes 8192 to 12287 do not authenticate\n" in result.stdout
    assert (place.directory / "copy" / "file").stat().st_size == len(CONTENT)
    inside = run(place, "verify", "--salvage", place.ciphertext / "copy", place.ciphertext)
    assert inside.returncode == ExitCode.USAGE


def test_what_was_moved_is_told(volume: OfflineVolume) -> None:
    """What somebody has exchanged comes out under the names that it has now, with a word."""
    with volume.core() as core:
        for name in (b"one", b"two"):
            write(core, b"inside", name, parent=mkdir(core, name))
            write(core, name + b".txt", name)
    for first, second in ((b"one", b"two"), (b"one.txt", b"two.txt")):
        here, there = at(volume, first), at(volume, second)
        here.rename(here.with_name("x"))
        there.rename(here)
        here.with_name("x").rename(there)
    copy, lost, _ = salvaged(volume)
    moved = {loss.path for loss in lost if loss.what.startswith("its place")}
    assert moved == {b"one", b"two", b"one.txt", b"two.txt"}
    assert (copy / "one.txt").read_bytes() == b"two"
    assert len(list((copy / "one").iterdir())) == 1
