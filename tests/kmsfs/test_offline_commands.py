"""ls, cat, put and path on volumes that are not mounted, under a real agent, compared with mounts."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from backgrounds import Place
from commands import run, succeed
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.targets import Target, split

LONG_NAME = b"n" * 255
ODD_NAMES = (b"two\nlines", b"caf\xc3\xa9", b"\xff not UTF-8", LONG_NAME, b"a:b")


@pytest.fixture
def filled(volume: Place) -> Place:
    """A volume, not mounted, with a file in the root, odd names in a directory, and what is no file."""
    assert volume.mount().returncode == 0
    (volume.mountpoint / "file").write_bytes(bytes(range(256)) * 5000)
    directory = volume.mountpoint / "directory"
    directory.mkdir(0o750)
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(directory), name), "wb") as file:
            file.write(name)
    (volume.mountpoint / "link").symlink_to("directory/caf\xe9")
    os.mkfifo(volume.mountpoint / "fifo")
    assert volume.umount().returncode == 0
    return volume


def condition(volume: Place) -> str:
    """Return what the volume says of how it was left."""
    return str(volume.status(volume.ciphertext)["volume"]["condition"])


def test_ls_lists_what_the_mount_lists(filled: Place) -> None:
    """Names, sizes, types and links are those of a mount, in the root and below."""
    found = json.loads(succeed(filled, "ls", "--json", filled.ciphertext))
    below = json.loads(succeed(filled, "ls", "--json", f"{filled.ciphertext}:/directory/"))
    assert filled.mount("-o", "ro").returncode == 0
    for entries, directory in ((found, filled.mountpoint), (below, filled.mountpoint / "directory")):
        assert [entry["name"] for entry in entries] == sorted(os.listdir(directory), key=os.fsencode)
        for entry in entries:
            status = (directory / entry["name"]).lstat()
            assert entry["mtime_ns"] == status.st_mtime_ns
            assert (int(entry["mode"], 8), entry["links"]) == (stat.S_IMODE(status.st_mode), status.st_nlink)
            assert entry["size_bytes"] == status.st_size or entry["type"] == "directory"
    kinds = {entry["name"]: (entry["type"], entry["target"]) for entry in found}
    assert kinds == {
        "file": ("file", None),
        "directory": ("directory", None),
        "link": ("symlink", "directory/caf\xe9"),
        "fifo": ("fifo", None),
    }


def test_ls_prints_names_as_they_are(filled: Place) -> None:
    """To a pipe a name is its bytes; the long form shows mode, size and target; one file is one line."""
    assert succeed(filled, "ls", f"{filled.ciphertext}:directory") == b"\n".join([*sorted(ODD_NAMES), b""])
    lines = succeed(filled, "ls", "-l", filled.ciphertext).splitlines()
    assert [line[:10] for line in lines] == [b"drwxr-x---", b"prw-r--r--", b"-rw-r--r--", b"lrwxrwxrwx"]
    assert b" 1280000 " in lines[2]
    assert lines[3].endswith("link -> directory/caf\xe9".encode())
    assert succeed(filled, "ls", f"{filled.ciphertext}:file") == b"file\n"


def test_cat_prints_the_content(filled: Place) -> None:
    """A file comes out whole, under any name; the volume is as clean as before."""
    assert succeed(filled, "cat", filled.ciphertext, "/file") == bytes(range(256)) * 5000
    for name in ODD_NAMES:
        assert succeed(filled, "cat", filled.ciphertext, b"directory/" + name) == name
    assert condition(filled) == "clean"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("absent", "absent: No such file"),
        ("file/below", "Not a directory"),
        ("directory", "is not a regular file"),
        ("link", "is not a regular file"),
        ("fifo", "is not a regular file"),
        ("x" * 256, "at most 255 bytes"),
    ],
)
def test_what_is_no_file_is_refused(filled: Place, path: str, words: str) -> None:
    """Both cat and put say what is wrong, change nothing, and leave the volume clean."""
    before = sorted(entry.name for entry in filled.ciphertext.iterdir())
    commands = ["cat"] if path == "absent" else ["cat", "put"]
    for command in commands:
        result = run(filled, command, filled.ciphertext, path, words=b"content")
        assert result.returncode in (ExitCode.SYSTEM, ExitCode.DAMAGED)
        assert words in result.stderr.decode()
    assert sorted(entry.name for entry in filled.ciphertext.iterdir()) == before
    assert condition(filled) == "clean"


def test_nothing_is_printed_that_does_not_authenticate(filled: Place) -> None:
    """The output of cat ends before a changed chunk, and ls leaves a forged name out; both say so."""
    stored = Path(os.fsdecode(succeed(filled, "path", filled.ciphertext, "file").rstrip(b"\n")))
    raw = bytearray(stored.read_bytes())
    raw[-1] ^= 1
    stored.write_bytes(raw)
    result = run(filled, "cat", filled.ciphertext, "file")
    assert result.returncode == ExitCode.DAMAGED
    assert result.stdout == (bytes(range(256)) * 5000)[: len(result.stdout)] != b""
    (filled.ciphertext / "forged").write_bytes(b"")
    result = run(filled, "ls", filled.ciphertext)
    assert result.returncode == ExitCode.DAMAGED
    assert result.stdout == b"directory\nfifo\nfile\nlink\n"
    assert b"does not authenticate: b'forged'" in result.stderr


def test_put_writes_a_file(filled: Place) -> None:
    """A new file is there on the next mount; one that was there keeps mode, links and attributes."""
    assert filled.mount().returncode == 0
    file = filled.mountpoint / "file"
    file.chmod(0o640)
    os.setxattr(file, "user.note", b"kept")
    os.link(file, filled.mountpoint / "second")
    before = file.stat()
    assert filled.umount().returncode == 0
    content = os.urandom(3_000_001)
    succeed(filled, "put", filled.ciphertext, "file", words=b"short")
    succeed(filled, "put", filled.ciphertext, b"directory/" + b"m" * 255, words=content)
    assert condition(filled) == "clean"
    assert filled.mount().returncode == 0
    after = file.stat()
    assert (after.st_mode, after.st_nlink, os.getxattr(file, "user.note")) == (before.st_mode, 2, b"kept")
    assert after.st_mtime_ns > before.st_mtime_ns
    assert (filled.mountpoint / "second").read_bytes() == b"short"
    assert (filled.mountpoint / "directory" / ("m" * 255)).read_bytes() == content


def test_paths_lead_there_and_back(filled: Place) -> None:
    """Where path says that a file lies, its inode lies; --reverse gives the plain path back."""
    plain = [b"/file", b"/directory", b"/link", b"/directory/" + LONG_NAME, b"/directory/caf\xc3\xa9"]
    stored = succeed(filled, "path", filled.ciphertext, *plain).splitlines()
    assert filled.mount("-o", "ro").returncode == 0
    for there, here in zip(stored, plain, strict=True):
        assert os.lstat(there).st_ino == os.lstat(os.fsencode(filled.mountpoint) + here).st_ino
    inside = [os.path.relpath(path, os.fsencode(filled.ciphertext)) for path in stored]
    near = [os.path.relpath(path, os.fsencode(filled.directory)) for path in stored]
    for named in (stored, inside, near):
        # A name of the store may begin with a hyphen.
        found = succeed(filled, "path", "--reverse", "--", filled.ciphertext, *named)
        assert found.splitlines() == plain


def test_path_refuses_what_has_no_plain_name(filled: Place) -> None:
    """What is kmsfs's own, forged, absent or elsewhere has no plain path."""
    (filled.ciphertext / "forged").write_bytes(b"")
    for named, code in (
        (".kmsfs", ExitCode.SYSTEM),
        ("forged", ExitCode.DAMAGED),
        ("absent", ExitCode.SYSTEM),
        ("/etc/passwd", ExitCode.USAGE),
    ):
        assert run(filled, "path", "--reverse", filled.ciphertext, named).returncode == code


def test_reading_shares_the_volume_and_writing_does_not(filled: Place) -> None:
    """Beside a read-only mount there is reading, beside one for writing nothing; it says what to do."""
    assert filled.mount("-o", "ro").returncode == 0
    assert succeed(filled, "ls", f"{filled.ciphertext}:file") == b"file\n"
    assert run(filled, "put", filled.ciphertext, "new").returncode == ExitCode.IN_USE
    assert filled.umount().returncode == 0
    assert filled.mount().returncode == 0
    for command in (["ls"], ["cat", "file"], ["put", "file"], ["path", "file"]):
        result = run(filled, command[0], filled.ciphertext, *command[1:])
        assert result.returncode == ExitCode.IN_USE
        assert b"kmsfs umount" in result.stderr
    assert (filled.mountpoint / "file").stat().st_size == 1_280_000


def test_a_crashed_volume_is_read_with_a_warning_and_recovered_for_writing(filled: Place) -> None:
    """After a killed mount reading says so and changes nothing; put recovers the volume first."""
    filled.mount()
    filled.signal(signal.SIGKILL)
    assert filled.has_ended()
    result = run(filled, "cat", filled.ciphertext, "directory/a:b")
    assert (result.returncode, result.stdout) == (0, b"a:b")
    assert b"not unmounted cleanly" in result.stderr
    assert condition(filled) == "not unmounted cleanly"
    assert b"recovered" not in run(filled, "put", filled.ciphertext, "new", words=b"new").stderr
    assert condition(filled) == "clean"
    assert succeed(filled, "cat", filled.ciphertext, "new") == b"new"


def test_without_the_agents_key_nothing_is_read(filled: Place) -> None:
    """A directory that is no volume, and an agent that is not there, have exit codes of their own."""
    assert run(filled, "ls", filled.directory).returncode == ExitCode.VOLUME
    nowhere = f"unix://{filled.directory}/nowhere"
    assert run(filled, "cat", "--agent", nowhere, filled.ciphertext, "file").returncode == ExitCode.NO_AGENT


def test_the_longest_volume_before_a_colon_counts(tmp_path: Path) -> None:
    """DIR and PATH may both have colons; where there is no volume the first colon parts them."""
    for name in ("a", "a:b"):
        (tmp_path / name / ".kmsfs-volume").mkdir(parents=True)
    here = str(tmp_path)
    assert split(f"{here}/a") == Target(f"{here}/a", b"")
    assert split(f"{here}/a:b") == Target(f"{here}/a:b", b"")
    assert split(f"{here}/a:b:c:d") == Target(f"{here}/a:b", b"c:d")
    assert split(f"{here}/a:c:") == Target(f"{here}/a", b"c:")
    assert split("none:c:d") == Target("none", b"c:d")
