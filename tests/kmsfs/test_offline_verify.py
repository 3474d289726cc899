"""The check of a whole volume: each thing that an adversary or a disk can do to it is found, and named."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backgrounds import Place
from commands import run
from kmsfs.cli.codes import ExitCode
from kmsfs.core import Core
from kmsfs.verifying import LEFTOVER, Problem, Tally, verify
from offline import ME, OfflineVolume, find, mkdir, write
from trees import below

CHUNK = 4096
RECORD = CHUNK + 40
HEADER_BYTES = 512
LONG = b"n" * 255

CONTENT_ATTACKS = runpy.run_path(str(Path(__file__).with_name("test_content_attacks.py")))
HEADER_ATTACKS = runpy.run_path(str(Path(__file__).with_name("test_header_attacks.py")))


def check(volume: OfflineVolume, path: bytes = b"", *, deep: bool = True) -> list[Problem]:
    """Return all problems of a volume."""
    with volume.core(read_only=True) as core:
        return list(verify(core, path, Tally(), deep=deep))


def kinds(problems: list[Problem]) -> list[tuple[str, bytes | None]]:
    """Return kinds and plain paths."""
    return sorted((problem.kind, problem.plain) for problem in problems)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with everything that there is to check."""
    made = OfflineVolume(tmp_path)
    with made.core() as core:
        directory = mkdir(core, b"directory")
        inner = mkdir(core, LONG, directory)
        write(core, b"file", os.urandom(300 * CHUNK + 5))
        write(core, LONG, b"below a long name", parent=inner)
        core.tree.symlink(directory, b"link", b"../file", ME)
        core.tree.link(find(core, b"file"), directory, b"second name")
        for name in (b"file", b"directory"):
            core.xattrs.set(find(core, name), b"user.note", b"value")
        mkdir(core, b"empty")
        core.tree.mknod(directory, b"fifo", 0o010600, 0, ME)
    return made


def at(volume: OfflineVolume, *names: bytes) -> Path:
    """Return where an entry lies."""
    with volume.core() as core:
        parent = 1
        for name in names[:-1]:
            parent = find(core, name, parent)
        return Path(os.fsdecode(volume.stored_path(core, names[-1], parent)))


def test_a_good_volume_has_no_problem(volume: OfflineVolume) -> None:
    """Everything is counted, hard links once, and nothing is found; nor is anything changed."""
    before = {path: path.lstat().st_ctime_ns for path in below(volume.path)}
    tally = Tally()
    with volume.core(read_only=True) as core:
        assert list(verify(core, b"", tally, deep=True)) == []
    assert (tally.directories, tally.files, tally.symlinks, tally.others) == (4, 2, 1, 1)
    assert tally.content_bytes == 300 * CHUNK + 5 + 17
    assert {path: path.lstat().st_ctime_ns for path in below(volume.path)} == before


def test_a_part_of_a_volume(volume: OfflineVolume) -> None:
    """Only what is below a path is checked; the paths of problems are from the top all the same."""
    at(volume, b"file").write_bytes(b"")
    assert check(volume, b"directory/" + LONG) == []
    (problem,) = check(volume, b"file")
    assert (problem.kind, problem.plain) == ("header", b"/file")
    assert os.path.join(os.fsencode(volume.path), problem.stored) == os.fsencode(at(volume, b"file"))
    with volume.core(read_only=True) as core, pytest.raises(FileNotFoundError):
        list(verify(core, b"absent", Tally(), deep=False))


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_every_attack_on_content_is_found(tmp_path: Path, *, sparse: bool) -> None:
    """Each change of a file's ciphertext that reads refuse is found, in that file alone."""
    changes: dict[str, Callable[[bytes, bytes], bytes]] = CONTENT_ATTACKS["CHANGES"]
    content: bytes = CONTENT_ATTACKS["CONTENT"]
    volume = OfflineVolume(tmp_path)
    for name in (b"file", b"other"):
        volume.write_file(name, content if name == b"file" else content[::-1])
        if sparse:
            with volume.core() as core:
                CONTENT_ATTACKS["truncate"](core, name, 20 * CHUNK)
                CONTENT_ATTACKS["truncate"](core, name, len(content))
    path, other = at(volume, b"file"), at(volume, b"other")
    raw = path.read_bytes()
    for name, change in changes.items():
        path.write_bytes(change(raw, other.read_bytes()))
        found = {(problem.kind, problem.plain) for problem in check(volume)}
        if sparse and name in CONTENT_ATTACKS["HOLES"]:
            assert found == set(), "the stated limit of format 1"
        else:
            assert found, name
            assert found <= {(kind, b"/file") for kind in ("content", "length", "header")}, name
    path.write_bytes(raw)
    assert check(volume) == []


def test_every_attack_on_a_header_is_found(tmp_path: Path) -> None:
    """Each change of a header is found without reading the content."""
    volume = OfflineVolume(tmp_path)
    content: bytes = HEADER_ATTACKS["CONTENT"]
    for name in (b"file", b"other"):
        volume.write_file(name, content)
    path, other = at(volume, b"file"), at(volume, b"other")
    raw = path.read_bytes()
    for name, change in HEADER_ATTACKS["CHANGES"].items():
        path.write_bytes(change(raw, other.read_bytes()))
        found = {problem.kind for problem in check(volume, deep=False)}
        assert found & {"header", "moved", "key"}, name
    path.write_bytes(raw)
    assert check(volume) == []


def test_bad_chunks_are_told_apart(volume: OfflineVolume) -> None:
    """Chunks in a row are one problem; what lies between bad ones is counted as good."""
    path = at(volume, b"file")
    with path.open("r+b") as file:
        for index in (0, 100, 101, 102, 256, 300):
            file.seek(HEADER_BYTES + index * RECORD + 24)
            file.write(b"????")
    tally = Tally()
    with volume.core(read_only=True) as core:
        found = [problem.detail for problem in verify(core, b"file", tally, deep=True)]
    assert found == ["chunk 0", "chunks 100 to 102", "chunk 256", "chunk 300"]
    assert tally.content_bytes == (300 - 5) * CHUNK


def renamed(path: Path, name: str) -> None:
    """Give an entry another stored name."""
    path.rename(path.with_name(name))


def replaced(path: Path, target: bytes) -> None:
    """Put another symlink in the place of one."""
    path.unlink()
    os.symlink(target, path)


def swapped(first: Path, second: Path) -> None:
    """Put two entries in each other's place."""
    first.rename(first.with_name("x"))
    second.rename(first)
    first.with_name("x").rename(second)


def spoiled_xattr(path: Path) -> None:
    """Put noise in the place of the one attribute's value."""
    (name,) = (name for name in os.listxattr(path) if name.startswith("user.kmsfs."))
    os.setxattr(path, name, b"x" * 60)


def sidecar(path: Path) -> Path:
    """Return the sidecar of a long name."""
    return path.with_name(path.name + ".name")


DAMAGE: dict[str, tuple[Callable[[OfflineVolume], Any], set[tuple[str, bytes | None]]]] = {
    "forged name": (lambda v: (v.path / "forged").write_bytes(b""), {("header", None), ("name", None)}),
    "renamed file": (lambda v: renamed(at(v, b"empty"), "A" * 43), {("name", None)}),
    "moved file": (
        lambda v: at(v, b"directory", LONG).rename(v.path / at(v, b"directory", LONG).name),
        {("name", None), (LEFTOVER, None)},
    ),
    "no sidecar": (lambda v: sidecar(at(v, b"directory", LONG)).unlink(), {("name", None)}),
    "another sidecar": (
        lambda v: replaced(sidecar(at(v, b"directory", LONG)), b"A" * 300),
        {("name", None)},
    ),
    "no record": (lambda v: (at(v, b"directory") / ".kmsfs").unlink(), {("record", b"/directory")}),
    "no record, empty": (lambda v: (at(v, b"empty") / ".kmsfs").unlink(), {(LEFTOVER, b"/empty")}),
    "record of noise": (
        lambda v: replaced(at(v, b"directory") / ".kmsfs", b"x" * 47),
        {("record", b"/directory")},
    ),
    "record of another": (
        lambda v: replaced(at(v, b"empty") / ".kmsfs", os.readlink(os.fsencode(v.path / ".kmsfs"))),
        {("moved", b"/empty"), ("copy", b"/empty")},
    ),
    "exchanged files": (
        lambda v: swapped(
            Path(os.fsdecode(v.write_file(b"1", b"1"))), Path(os.fsdecode(v.write_file(b"2", b"2")))
        ),
        {("moved", b"/1"), ("moved", b"/2")},
    ),
    "exchanged directories": (
        lambda v: swapped(at(v, b"directory"), at(v, b"empty")),
        {("moved", b"/directory"), ("moved", b"/empty")},
    ),
    "another target": (
        lambda v: replaced(at(v, b"directory", b"link"), b"/etc/passwd"),
        {("target", b"/directory/link")},
    ),
    "attribute of a file": (lambda v: spoiled_xattr(at(v, b"file")), {("xattr", b"/directory/second name")}),
    "attribute of a directory": (
        lambda v: spoiled_xattr(at(v, b"directory")),
        {("xattr", b"/directory")},
    ),
    "foreign name": (lambda v: (v.path / ".kmsfsrc").mkdir(), {("foreign", None)}),
    "temporary": (lambda v: (v.path / ".kmsfs.tmp.0123456789abcdef").mkdir(), {(LEFTOVER, None)}),
    "copied file": (
        lambda v: subprocess.run(["cp", "-a", at(v, b"file"), v.path / ("A" * 43)], check=True),
        {("copy", None), ("name", None), ("copy", b"/file"), ("copy", b"/directory/second name")},
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_of_structure_is_found(volume: OfflineVolume, name: str) -> None:
    """Each thing that can be done to the structure is found as what it is, and nothing else is."""
    attack, expected = DAMAGE[name]
    attack(volume)
    found = {(problem.kind, problem.plain) for problem in check(volume)}
    # Which name of a file with two is come to first is by chance.
    aliases = {b"/file": b"/directory/second name"}
    found = {(kind, aliases.get(plain or b"", plain)) for kind, plain in found}
    assert found
    assert found <= expected
    assert {kind for kind, _ in found} == {kind for kind, _ in expected}


def test_what_has_no_key_is_not_called_damaged(volume: OfflineVolume) -> None:
    """A file whose bucket key cannot be had is named as such."""
    volume.write_file(b"lost", b"content", current=1)
    volume.missing = {volume.bucket_keys[1].id: "the key is disabled"}
    volume.bucket_keys = (volume.bucket_keys[0], volume.bucket_keys[0])
    (problem,) = check(volume)
    assert (problem.kind, problem.plain) == ("key", b"/lost")
    assert "disabled" in problem.detail


# The command


@pytest.fixture
def filled(volume_place: Place) -> Place:
    """A volume under a real agent, not mounted, with a file and a directory."""
    assert volume_place.mount().returncode == 0
    (volume_place.mountpoint / "file").write_bytes(os.urandom(100_000))
    (volume_place.mountpoint / "directory").mkdir()
    assert volume_place.umount().returncode == 0
    return volume_place


@pytest.fixture
def volume_place(place: Place) -> Place:
    """A new volume under a real agent."""
    place.init()
    return place


def stored_file(place: Place) -> Path:
    """Return where the one file lies."""
    (path,) = (path for path in place.ciphertext.iterdir() if path.is_file() and not path.is_symlink())
    return path


def report(place: Place, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Run verify --json."""
    result = run(place, "verify", "--json", *arguments)
    assert result.returncode == code, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_the_command_tells_what_is_wrong(filled: Place) -> None:
    """Exit codes, plain paths and meanings, offline and beside a read-only mount, by either directory."""
    result = run(filled, "verify", "--deep", filled.ciphertext)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"2 directories, 1 files" in result.stdout
    assert b"100000 bytes of content" in result.stdout
    assert b"no problem" in result.stdout
    path = stored_file(filled)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([path.read_bytes()[-1] ^ 1]))
    assert report(filled, filled.ciphertext)["problems"] == []
    assert filled.mount("-o", "ro").returncode == 0
    for directory in (filled.ciphertext, filled.mountpoint):
        found = report(filled, "--deep", directory, code=ExitCode.PROBLEMS)
        (problem,) = found["problems"]
        assert (problem["path"], problem["stored_path"]) == ("/file", path.name)
        assert (problem["kind"], problem["detail"], problem["is_damage"]) == ("content", "chunk 24", True)
    result = run(filled, "verify", "--deep", filled.mountpoint, "file")
    assert result.returncode == ExitCode.PROBLEMS
    assert b"content: " in result.stdout
    assert b"  is /file\n" in result.stdout


def test_a_mount_for_writing_is_not_checked(filled: Place) -> None:
    """The refusal says to unmount, or to mount read-only."""
    assert filled.mount().returncode == 0
    result = run(filled, "verify", filled.mountpoint)
    assert result.returncode == ExitCode.IN_USE
    assert b"kmsfs umount" in result.stderr
    assert b"-o ro" in result.stderr
    assert filled.umount().returncode == 0
    assert filled.mount("-o", "ro").returncode == 0
    assert run(filled, "verify", "--repair", filled.mountpoint).returncode == ExitCode.IN_USE


def test_repair_removes_a_crashs_trace_and_nothing_else(filled: Place) -> None:
    """What recovery knows is put in order; damage stays as it is, and is reported."""
    path = stored_file(filled)
    (filled.ciphertext / ".kmsfs.tmp.0123456789abcdef").mkdir()
    (filled.ciphertext / ".kmsfsrc").touch()
    found = report(filled, filled.ciphertext, code=ExitCode.PROBLEMS)
    assert sorted(problem["kind"] for problem in found["problems"]) == ["foreign", "leftover"]
    found = report(filled, "--repair", filled.ciphertext, code=ExitCode.PROBLEMS)
    assert [problem["kind"] for problem in found["problems"]] == ["foreign"]
    assert (found["removed_leftovers"], found["repaired_files"]) == (1, 0)
    (filled.ciphertext / ".kmsfsrc").unlink()
    os.truncate(path, path.stat().st_size - 1)
    raw = path.read_bytes()
    found = report(filled, "--repair", filled.ciphertext, code=ExitCode.PROBLEMS)
    assert [problem["kind"] for problem in found["problems"]] == ["length"]
    assert path.read_bytes() == raw


def test_repair_after_a_crash_is_what_a_mount_does(filled: Place) -> None:
    """A file cut by a crash is listed before, and cut to what authenticates by --repair."""
    assert filled.mount().returncode == 0
    with (filled.mountpoint / "file").open("ab") as file:
        file.write(b"more")
        file.flush()
        os.fsync(file.fileno())
    filled.signal(signal.SIGKILL)
    assert filled.has_ended()
    path = stored_file(filled)
    os.truncate(path, path.stat().st_size - 1)
    found = report(filled, filled.ciphertext, code=ExitCode.PROBLEMS)
    assert [problem["kind"] for problem in found["problems"]] == ["length"]
    found = report(filled, "--deep", "--repair", filled.ciphertext)
    assert (found["problems"], found["repaired_files"]) == ([], 1)


def test_a_core_for_writing_may_be_checked_too(volume: OfflineVolume) -> None:
    """As --repair does: what a mount heals when it comes across it is healed."""
    (at(volume, b"empty") / ".kmsfs").unlink()
    with volume.core() as core:
        assert isinstance(core, Core)
        assert list(verify(core, b"", Tally(), deep=False)) == []
    assert check(volume) == []
