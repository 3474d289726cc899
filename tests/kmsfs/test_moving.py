"""Moving trees in and out: both commands under a real agent, compared with mounts and with the originals."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backgrounds import Place
from commands import run, succeed
from kmsfs.cli.codes import ExitCode
from transfers import run_until
from trees import FREE_NAMES, ODD_NAMES, differences, make_odd_tree, snapshot

FILES = 150
HALF_BYTES = 1 << 16


@pytest.fixture
def source(short_directory: Path) -> Path:
    """A tree with everything odd in it."""
    made = short_directory / "source"
    made.mkdir(0o750)
    make_odd_tree(made, FILES, FREE_NAMES)
    os.utime(made, ns=(1, 123_456_789_987_654_321))
    return made


def times(path: Path) -> tuple[int, int]:
    """Return mode and time of a directory itself, which a snapshot leaves out."""
    status = path.stat()
    return status.st_mode, status.st_mtime_ns


def counts(output: bytes) -> dict[str, Any]:
    """Return the numbers of a report."""
    found: dict[str, Any] = json.loads(output)["copied"]
    return found


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--plain-names", "--chunk-size", "64K"),
        ("--no-bindings", "--chunk-size", "1M"),
        ("--mode", "direct"),
    ],
    ids=["default", "plain names", "large chunks", "direct"],
)
def test_round_trip(place: Place, source: Path, options: tuple[str, ...]) -> None:
    """What goes in is there on a mount, and what comes out is as it went in, in every respect."""
    place.init(*options)
    succeed(place, "import", "--verify", source, f"{place.ciphertext}:some")
    assert place.mount("-o", "ro").returncode == 0
    assert differences(snapshot(place.mountpoint / "some"), snapshot(source)) == []
    assert times(place.mountpoint / "some") == times(source)
    # A mount that only reads does not mind.
    succeed(place, "export", "--verify", f"{place.ciphertext}:some", place.directory / "copy")
    assert differences(snapshot(place.directory / "copy"), snapshot(source)) == []
    assert times(place.directory / "copy") == times(source)


def test_customers_keys(place: Place, source: Path) -> None:
    """A volume under a key of one's own takes and gives with that key; a directory under another has none."""
    for name in ("key", "other"):
        (place.directory / name).write_bytes(os.urandom(32))
        (place.directory / name).chmod(0o600)
    key, both = ("--customer-key-file", "key"), ("--customer-key-file", "key", "--customer-key-file", "other")
    place.init("--mode", "customer", "--customer-key-file", str(place.directory / "key"))
    (place.directory / "empty").mkdir()
    succeed(place, "import", *key, "empty", f"{place.ciphertext}:closed")
    succeed(place, "policy", "set", *both, f"{place.ciphertext}:closed", "--mode", "customer")
    result = run(place, "import", *key, source, f"{place.ciphertext}:closed")
    assert result.returncode == ExitCode.INCOMPLETE
    assert succeed(place, "import", *both, "--verify", source, f"{place.ciphertext}:closed")
    succeed(place, "export", *both, "--verify", place.ciphertext, "copy")
    assert differences(snapshot(place.directory / "copy" / "closed"), snapshot(source)) == []


def test_report(place: Place, source: Path) -> None:
    """The report counts everything once, whatever the number of jobs; a summary says the same in words."""
    place.init()
    expected = snapshot(source)
    kinds = [stat.S_IFMT(entry.mode) for entry in expected.values()]
    firsts = len({entry.linked_with for entry in expected.values() if stat.S_ISREG(entry.mode)})
    report = json.loads(succeed(place, "import", "--json", "--jobs", "3", source, place.ciphertext))
    assert (report["problems"], report["cannot_keep"], report["differences"]) == ([], {}, None)
    assert report["copied"] == {
        "directories": kinds.count(stat.S_IFDIR) + 1,
        "files": firsts,
        "symlinks": kinds.count(stat.S_IFLNK),
        "links": kinds.count(stat.S_IFREG) - firsts,
        "others": sum(kind not in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK) for kind in kinds),
        "unchanged": 0,
        "content": sum(
            entry.size_bytes
            for name, entry in expected.items()
            if stat.S_ISREG(entry.mode) and entry.linked_with == name
        ),
    }
    words = succeed(place, "export", "--jobs", "1", place.ciphertext, place.directory / "copy").decode()
    assert words.startswith(f"copied {firsts} files, ")


def test_what_is_there_stays(place: Place, source: Path) -> None:
    """A second transfer copies nothing; after changes it copies what is new, and puts attributes right."""
    place.init()
    first = counts(succeed(place, "import", "--json", source, place.ciphertext))
    again = counts(succeed(place, "import", "--json", source, place.ciphertext))
    assert again["unchanged"] == sum(first[kind] for kind in ("files", "symlinks", "links", "others"))
    assert again["files"] == again["symlinks"] == again["links"] == again["others"] == again["content"] == 0
    names = sorted(os.listdir(source / "named oddly"))
    changed, attributed, removed = (source / "named oddly" / name for name in names[:3])
    changed.write_bytes(b"other content")
    attributed.chmod(0o604)
    os.setxattr(attributed, "user.more", b"value")
    removed.unlink()
    removed.symlink_to("a link by now")
    (source / "new").mkdir(0o555)
    (source / "new" / "file").write_bytes(b"new")
    report = counts(succeed(place, "import", "--json", "--verify", source, place.ciphertext))
    assert (report["files"], report["symlinks"]) == (2, 1)
    assert place.mount("-o", "ro").returncode == 0
    assert differences(snapshot(place.mountpoint), snapshot(source)) == []


def test_content_is_looked_at_where_asked_for(place: Place) -> None:
    """A change behind the back of size and time is found by --checksum, and by --verify."""
    place.init()
    source, copy = place.directory / "source", place.directory / "copy"
    source.mkdir()
    for name in ("one", "two"):
        (source / name).write_bytes(b"before")
    succeed(place, "import", source, place.ciphertext)
    succeed(place, "export", place.ciphertext, copy)
    status = (source / "one").stat()
    (source / "one").write_bytes(b"behind")
    os.utime(source / "one", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(succeed(place, "import", "--json", source, place.ciphertext))["files"] == 0
    result = run(place, "import", "--verify", source, place.ciphertext)
    assert (result.returncode, result.stderr) == (ExitCode.PROBLEMS, b"one: has other content\n")
    assert counts(succeed(place, "import", "--json", "--checksum", source, place.ciphertext))["files"] == 1
    assert succeed(place, "cat", place.ciphertext, "one") == b"behind"
    assert run(place, "export", "--verify", place.ciphertext, copy).returncode == ExitCode.PROBLEMS
    succeed(place, "export", "--checksum", "--verify", place.ciphertext, copy)
    assert (copy / "one").read_bytes() == b"behind"


def is_whole(found: Path, source: Path) -> bool:
    """Say whether all files that stand under their names are as their originals."""
    expected = snapshot(source)
    there = {
        name: entry
        for name, entry in snapshot(found).items()
        if stat.S_ISREG(entry.mode) and not name.rpartition(b"/")[2].startswith(b".kmsfs.part.")
    }
    return all(
        replace(entry, link_count=0, linked_with=b"")
        == replace(expected[name], link_count=0, linked_with=b"")
        for name, entry in there.items()
    )


def is_under_way(top: Path, part: str, wanted: int) -> bool:
    """Say whether a file is half there, beside so many entries that are whole."""
    count, is_half = 0, False
    for directory, _, names in os.walk(top):
        parts = [name for name in names if name.startswith(part)]
        count += len(names) - len(parts)
        for name in parts:
            try:
                is_half = is_half or os.lstat(os.path.join(directory, name)).st_size > HALF_BYTES
            except FileNotFoundError:
                continue
    return is_half and count >= wanted


def count_below(top: Path) -> int:
    """Return how many entries that are no directories there are."""
    return sum(len(names) for _, _, names in os.walk(top))


@pytest.fixture
def large(source: Path) -> Path:
    """The same tree with some files that take a while."""
    for number in range(12):
        (source / f"large {number}").write_bytes(os.urandom(6 << 20))
    return source


def test_import_goes_on_after_being_killed(place: Place, large: Path) -> None:
    """However often it is killed, every file in the volume is whole, and the last attempt has all."""
    place.init()
    arguments: list[str | Path] = ["import", large, place.ciphertext]
    for number in range(3):
        wanted = count_below(place.ciphertext) + 1

        def is_half_way(wanted: int = wanted) -> bool:
            return is_under_way(place.ciphertext, ".kmsfs.tmp.", wanted)

        code = run_until(place, arguments, is_half_way, signal.SIGKILL)
        # On a fast machine nothing large may be left for the last times.
        assert code == -signal.SIGKILL or (number and code is None)
        found = place.directory / f"found {number}"
        assert run(place, "export", place.ciphertext, found).returncode == 0
        assert is_whole(found, large)
    report = counts(succeed(place, "import", "--json", "--verify", large, place.ciphertext))
    assert report["unchanged"] >= 1
    assert place.mount("-o", "ro").returncode == 0
    assert differences(snapshot(place.mountpoint), snapshot(large)) == []
    assert place.umount().returncode == 0
    assert b'"problems": []' in succeed(place, "verify", "--deep", "--json", place.ciphertext)


def test_export_goes_on_after_being_killed(place: Place, large: Path) -> None:
    """However often it is killed, every file under its name is whole; the last attempt leaves no others."""
    place.init()
    succeed(place, "import", large, place.ciphertext)
    copy = place.directory / "copy"
    for number in range(3):
        wanted = count_below(copy) + 1

        def is_half_way(wanted: int = wanted) -> bool:
            return is_under_way(copy, ".kmsfs.part.", wanted)

        code = run_until(place, ["export", place.ciphertext, copy], is_half_way, signal.SIGKILL)
        assert code == -signal.SIGKILL or (number and code is None)
        assert is_whole(copy, large)
    (copy / ".kmsfs.part.0.0").write_bytes(b"of an export that was killed")
    report = counts(succeed(place, "export", "--json", "--verify", place.ciphertext, copy))
    assert report["unchanged"] >= 1
    assert differences(snapshot(copy), snapshot(large)) == []


def test_interrupted(place: Place, large: Path) -> None:
    """Ctrl-C ends it with its own code and all its processes, and leaves nothing half done."""
    place.init()
    succeed(place, "import", large, place.ciphertext)
    copy = place.directory / "copy"
    code = run_until(
        place,
        ["export", place.ciphertext, copy],
        lambda: is_under_way(copy, ".kmsfs.part.", 1),
        signal.SIGINT,
    )
    assert code == ExitCode.INTERRUPTED
    assert not list(copy.rglob(".kmsfs.part.*"))


def test_a_worker_is_killed(place: Place, large: Path) -> None:
    """The command ends and says so; what the worker had half done is cleared up by the next one."""
    place.init()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kmsfs", "import", large, place.ciphertext],
        cwd=place.directory,
        env=place.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            while not is_under_way(place.ciphertext, ".kmsfs.tmp.", 1):
                assert process.poll() is None
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, b"a worker process has ended" in errors) == (ExitCode.SYSTEM, True)
    succeed(place, "import", "--verify", large, place.ciphertext)
    assert b'"problems": []' in succeed(place, "verify", "--json", place.ciphertext)


def test_names_are_not_dirtied(place: Place) -> None:
    """Names that are legal and odd go in and out, from and to a directory whose own name is odd."""
    place.init()
    source = place.directory / "a:b \udcff"
    source.mkdir()
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(source), name), "wb") as file:
            file.write(name)
    succeed(place, "import", source, f"{place.ciphertext}:x:y")
    succeed(place, "export", f"{place.ciphertext}:x:y", place.directory / "copy")
    assert differences(snapshot(place.directory / "copy"), snapshot(source)) == []
