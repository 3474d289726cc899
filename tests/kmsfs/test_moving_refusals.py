"""What cannot be moved, or not kept: it is said, with its reason, and everything else goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from backgrounds import Place
from commands import run, succeed
from kmsfs import records
from kmsfs.cli.codes import ExitCode
from kmsfs.moving.batches import Problem
from kmsfs.moving.crew import Crew, WorkerEndedError
from kmsfs.moving.plainside import PlainReading, PlainSide
from kmsfs.moving.sides import own_rights
from kmsfs.moving.transfer import Transfer
from kmsfs.moving.volumeside import VolumeSide
from offline import OfflineVolume, mkdir, names_in, read, write
from transfers import move_in, move_out

NOWHERE = (0, 0)
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


def test_what_is_something_else_there(volume: OfflineVolume, source: Path, tmp_path: Path) -> None:
    """A directory is not put in the place of a file, nor a file in that of a directory, either way."""
    (source / "one").mkdir()
    (source / "one" / "below").write_bytes(b"below")
    (source / "two").write_bytes(b"two")
    with volume.core() as core:
        write(core, b"one", b"a file")
        mkdir(core, b"two")
    moved = move_in(volume, source)
    assert moved.said == {b"one": "Not a directory", b"two": "is a directory on the other side"}
    assert volume.read_file(b"good") == b"good"
    assert {problem.path for problem in moved.differences} == {b"one", b"two"}
    copy = tmp_path / "copy"
    (copy / "one").mkdir(parents=True)
    (copy / "two").write_bytes(b"another two")
    moved = move_out(volume, copy)
    assert moved.said == {b"one": "is a directory on the other side", b"two": "Not a directory"}
    assert (copy / "good").read_bytes() == b"good"


def test_names_and_targets_that_do_not_fit(tmp_path: Path, source: Path) -> None:
    """A name that kmsfs keeps for itself, and a target too long once sealed, are left out."""
    (tmp_path / "store").mkdir()
    volume = OfflineVolume(tmp_path / "store", names="plain")
    (source / ".kmsfs").write_bytes(b"")
    (source / "link").symlink_to("x" * (records.TARGET_SIZE_MAX + 1))
    moved = move_in(volume, source)
    assert moved.said.keys() == {b".kmsfs", b"link"}
    assert "keeps for itself" in moved.said[b".kmsfs"]
    assert volume.read_file(b"good") == b"good"


class Restless(PlainSide):
    """A plain side with one file that is written to each time that it has been read."""

    def open(self, directory: bytes, name: bytes) -> PlainReading:
        """Open a file; reading the restless one changes it."""
        reading = super().open(directory, name)
        if name == b"restless":
            with open(f"{self._top}/restless", "ab") as file:
                file.write(b"more")
        return reading


def copied(source: PlainSide, target: VolumeSide) -> list[Problem]:
    """Copy one side to the other; return what was not."""
    transfer = Transfer(source, target, own_rights(), 1)
    return list(transfer.copy())


def test_a_file_that_never_rests(volume: OfflineVolume, source: Path) -> None:
    """It is not copied, not even in part, and what an earlier copy had is left alone."""
    (source / "restless").write_bytes(b"at first")
    move_in(volume, source)
    with volume.core() as core:
        (source / "restless").write_bytes(b"at last")
        side = Restless(str(source), NOWHERE)
        (problem,) = copied(side, VolumeSide(core))
        side.close()
        assert (problem.path, "changes while it is read" in problem.what) == (b"restless", True)
        assert names_in(core) == [b"good", b"restless"]
        assert read(core, b"restless") == b"at first"
    assert not list(volume.path.glob(".kmsfs.tmp.*"))


class Shrinking(PlainSide):
    """A plain side whose files give less than their size, as some of the kernel's own do."""

    def open(self, directory: bytes, name: bytes) -> PlainReading:
        """Open a file that ends too early."""
        reading = super().open(directory, name)
        reading.facts = reading.facts._replace(size=reading.facts.size + 1)
        return reading


def test_a_file_that_ends_before_its_end(volume: OfflineVolume, source: Path) -> None:
    """Nothing is made up for what is missing."""
    side = Shrinking(str(source), NOWHERE)
    with volume.core() as core:
        assert [problem.path for problem in copied(side, VolumeSide(core))] == [b"good"]
        assert names_in(core) == []
    side.close()


def test_nothing_leads_out_of_a_tree(tmp_path: Path, source: Path) -> None:
    """A directory that became a symlink after it was listed is not entered; a file that did is not read."""
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "file").write_bytes(b"secret")
    (source / "directory").symlink_to(secret)
    (source / "link").symlink_to(secret / "file")
    side = PlainSide(str(source), NOWHERE)
    (facts,) = (facts for name, facts in side.entries(b"") if name == b"good")
    attempts = (
        lambda: side.open(b"directory", b"file"),
        lambda: side.open(b"", b"link"),
        lambda: list(side.entries(b"directory")),
        lambda: side.new_file(b"directory", b"new"),
        lambda: side.make(b"directory", b"new", facts._replace(mode=0o040700), b""),
        lambda: side.remove(b"directory", b"file"),
        lambda: side.dress(b"directory", b"file", facts, {}),
    )
    for attempt in attempts:
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            attempt()
    side.dress(b"", b"link", facts._replace(mode=0o120777), {})
    side.close()
    assert (secret / "file").stat().st_mode & 0o777 != facts.mode & 0o777 or os.listdir(secret) == ["file"]
    assert (secret / "file").read_bytes() == b"secret"


def test_a_file_that_became_something_else(source: Path) -> None:
    """A FIFO in the place of a file is no file, and nobody waits for it."""
    (source / "good").unlink()
    os.mkfifo(source / "good")
    side = PlainSide(str(source), NOWHERE)
    with pytest.raises(OSError, match="no regular file"):
        side.open(b"", b"good")
    side.close()


def test_the_volume_itself_is_left_out(place: Place) -> None:
    """A volume below the source is not copied into itself; a source in the volume is refused, and a copy."""
    place.init()
    (place.directory / "file").write_bytes(b"beside the volume")
    result = run(place, "import", place.directory, place.ciphertext)
    assert result.returncode == ExitCode.INCOMPLETE
    assert b"ciphertext: is the ciphertext directory of this volume, which is left out\n" in result.stderr
    assert succeed(place, "cat", place.ciphertext, "file") == b"beside the volume"
    inside = place.ciphertext / ".kmsfs-volume"
    assert run(place, "import", inside, place.ciphertext).returncode == ExitCode.USAGE
    for wanted in (place.ciphertext, place.ciphertext / "new" / "er"):
        result = run(place, "export", place.ciphertext, wanted)
        assert (result.returncode, b"lies in the ciphertext directory" in result.stderr) == (2, True)


def test_what_is_no_directory(place: Place) -> None:
    """Sources and targets that are no directories are refused before anything is done."""
    place.init()
    (place.directory / "file").write_bytes(b"content")
    (place.directory / "directory").mkdir()
    succeed(place, "put", place.ciphertext, "file")
    for arguments, code in (
        (("import", "file", place.ciphertext), ExitCode.USAGE),
        (("import", "absent", place.ciphertext), ExitCode.USAGE),
        (("import", "directory", f"{place.ciphertext}:file"), ExitCode.SYSTEM),
        (("import", "directory", f"{place.ciphertext}:absent/new"), ExitCode.SYSTEM),
        (("export", f"{place.ciphertext}:file", "copy"), ExitCode.SYSTEM),
        (("export", f"{place.ciphertext}:absent", "copy"), ExitCode.SYSTEM),
        (("export", place.ciphertext, "file"), ExitCode.USAGE),
        (("export", place.ciphertext, "absent/copy"), ExitCode.SYSTEM),
        (("export", "directory", "copy"), ExitCode.VOLUME),
    ):
        assert run(place, *arguments).returncode == code, arguments


def test_a_volume_in_use(place: Place) -> None:
    """A mounted volume is refused, both ways."""
    place.init()
    assert place.mount().returncode == 0
    (place.directory / "directory").mkdir()
    for arguments in (("import", "directory", place.ciphertext), ("export", place.ciphertext, "copy")):
        assert run(place, *arguments).returncode == ExitCode.IN_USE


def test_damage_is_not_copied(place: Place) -> None:
    """A file that does not authenticate is not there afterwards, nor is half of it; the rest is."""
    place.init()
    source, copy = place.directory / "source", place.directory / "copy"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(3 << 20))
    (source / "good").write_bytes(b"good")
    succeed(place, "import", source, place.ciphertext)
    stored = Path(os.fsdecode(succeed(place, "path", place.ciphertext, "large").rstrip(b"\n")))
    raw = bytearray(stored.read_bytes())
    raw[-1] ^= 1
    stored.write_bytes(raw)
    result = run(place, "export", place.ciphertext, copy)
    assert result.returncode == ExitCode.DAMAGED
    assert b"large: inode" in result.stderr
    assert os.listdir(copy) == ["good"]
    (place.ciphertext / "forged").write_bytes(b"")
    result = run(place, "export", "--json", place.ciphertext, copy)
    assert (result.returncode, b"names that do not authenticate" in result.stdout) == (4, True)
    assert b"forged" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
def test_a_full_store(place: Place) -> None:
    """The transfer ends with what to do; once there is room the same command has the rest."""
    place.ciphertext.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(place.ciphertext)]
    subprocess.run(mount, check=True)
    place.init()
    source = place.directory / "source"
    source.mkdir()
    for number in range(60):
        (source / f"file {number}").write_bytes(os.urandom(60_000))
    result = run(place, "import", source, place.ciphertext)
    assert (result.returncode, b"Make room where the copy goes" in result.stderr) == (11, True)
    grown = ["mount", "-o", "remount,size=64m", str(place.ciphertext)]
    subprocess.run(grown, check=True)
    report = succeed(place, "import", "--json", "--verify", source, place.ciphertext)
    assert b'"unchanged": 0' not in report
    assert b'"leftover"' not in succeed(place, "verify", "--json", "--deep", place.ciphertext)


def test_a_worker_that_ends() -> None:
    """A worker that is killed is noticed, and one that meets a bug says which."""

    def killed(_: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def mistaken(number: int) -> int:
        return number // 0

    def outcome(work: object) -> str:
        crew: Crew[int, int] = Crew([work, work])  # type: ignore[list-item] # - one of the two above
        try:
            list(crew.give(1))
            list(crew.wait())
        except (WorkerEndedError, AssertionError) as error:
            return str(error)
        finally:
            crew.stop()
        return "nothing"

    assert "has ended before its work was done" in outcome(killed)
    assert "ZeroDivisionError" in outcome(mistaken)
