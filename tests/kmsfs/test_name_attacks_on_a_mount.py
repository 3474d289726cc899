"""What programs on a mount see of names, directories and links that somebody has tampered with on the store.

Each row has a directory of its own in one volume; all are attacked between two mounts.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from backgrounds import Place, user_of
from trees import below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents import RunningAgent

LONG, LONGER = "l" * 200, "l" * 220
FILES = ("file", "other", "untouched", LONG, LONGER, "d1/inner", "d2/inner")
SECRET = b"content of the machine outside of the volume"


class Stored:
    """The entries of one row's directory, where they lie on the store, by their plain paths."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths = paths

    def __getitem__(self, name: str) -> Path:
        return self._paths[name]

    def record(self, name: str) -> Path:
        """Return where the record of a directory lies."""
        return self[name] / ".kmsfs"

    def sidecar(self, name: str) -> Path:
        """Return where the sidecar of a long name lies."""
        return self[name].with_name(self[name].name + ".name")


def swap(first: Path, second: Path) -> None:
    """Put two entries in each other's place."""
    spare = first.with_name("spare")
    first.rename(spare)
    second.rename(first)
    spare.rename(second)


def relink(path: Path, target: str | Path) -> None:
    """Put a symlink in the place of whatever is there."""
    path.unlink()
    path.symlink_to(target)


def overwrite(path: Path, content: bytes) -> None:
    """Put other content in the place of a file's, or of a symlink."""
    if path.is_symlink():
        path.unlink()
    path.write_bytes(content)


def move_attribute(source: Path, target: Path) -> None:
    """Put the value of the one attribute of a file on another file."""
    (name,) = (name for name in os.listxattr(source) if name.startswith("user.kmsfs."))
    os.setxattr(target, name, os.getxattr(source, name))


class Row(NamedTuple):
    """One attack.

    Attributes:
        attack: what is done on the store.
        expected: what programs see, by plain path, as `seen` says it.
    """

    attack: Callable[[Stored], object]
    expected: dict[str, str]


ROWS: dict[str, Row] = {
    "nothing": Row(lambda _: None, {}),
    "files exchanged": Row(lambda s: swap(s["file"], s["other"]), {"file": "EIO", "other": "EIO"}),
    "files exchanged across directories": Row(
        lambda s: swap(s["file"], s["d1/inner"]), {"file": "EIO", "d1/inner": "EIO"}
    ),
    "files of one name exchanged": Row(
        lambda s: swap(s["d1/inner"], s["d2/inner"]), {"d1/inner": "EIO", "d2/inner": "EIO"}
    ),
    "a file over another": Row(lambda s: s["file"].rename(s["other"]), {"file": "gone", "other": "EIO"}),
    "a file copied over another": Row(
        lambda s: overwrite(s["other"], s["file"].read_bytes()), {"other": "EIO"}
    ),
    "a forged hard link": Row(
        lambda s: (s["other"].unlink(), s["other"].hardlink_to(s["file"])), {"file": "EIO", "other": "EIO"}
    ),
    "a padded name": Row(lambda s: s["file"].rename(f"{s['file']}="), {"file": "gone"}),
    "a name with a bit more": Row(lambda s: s["file"].rename(f"{s['file']}A"), {"file": "gone"}),
    "a name of another spelling": Row(
        lambda s: s["file"].rename(s["file"].with_name(s["file"].name[:-1] + "B")), {"file": "gone"}
    ),
    "a file in another directory": Row(
        lambda s: s["file"].rename(s["d1"] / s["file"].name), {"file": "gone", "d1/file": "gone"}
    ),
    "directories exchanged": Row(lambda s: swap(s["d1"], s["d2"]), {"d1": "EIO", "d2": "EIO"}),
    "a directory over another": Row(
        lambda s: (shutil.rmtree(s["d2"]), s["d1"].rename(s["d2"])), {"d1": "gone", "d2": "EIO"}
    ),
    "a directory copied over another": Row(
        lambda s: (shutil.rmtree(s["d2"]), shutil.copytree(s["d1"], s["d2"], symlinks=True)), {"d2": "EIO"}
    ),
    "an empty directory over another": Row(
        lambda s: (shutil.rmtree(s["d2"]), s["empty"].rename(s["d2"])), {"empty": "gone", "d2": "EIO"}
    ),
    "a record of another directory": Row(
        lambda s: relink(s.record("d2"), s.record("d1").readlink()), {"d2": "EIO"}
    ),
    "an empty record": Row(lambda s: overwrite(s.record("d2"), b""), {"d2": "EIO"}),
    "no record": Row(lambda s: s.record("d2").unlink(), {"d2": "EIO"}),
    "no sidecar": Row(lambda s: s.sidecar(LONG).unlink(), {LONG: "unlisted"}),
    "a wrong sidecar": Row(lambda s: relink(s.sidecar(LONG), "A" * 300), {LONG: "unlisted"}),
    "sidecars exchanged": Row(
        lambda s: swap(s.sidecar(LONG), s.sidecar(LONGER)), {LONG: "unlisted", LONGER: "unlisted"}
    ),
    "long names exchanged": Row(lambda s: swap(s[LONG], s[LONGER]), {LONG: "EIO", LONGER: "EIO"}),
    "a link's target from another directory": Row(
        lambda s: relink(s["link"], s["d1/link"].readlink()), {"link": "EIO"}
    ),
    "a link's target from its own directory": Row(
        lambda s: relink(s["link"], s["link2"].readlink()), {"link": "link to elsewhere"}
    ),
    "an attribute of another file": Row(
        lambda s: move_attribute(s["file"], s["other"]), {"other": "attribute EIO"}
    ),
    "plain text in a file's place": Row(lambda s: overwrite(s["file"], SECRET * 100), {"file": "EIO"}),
    "a link out of the tree in a file's place": Row(
        lambda s: relink(s["file"], s["file"].parents[4] / "outside"), {"file": "EIO"}
    ),
    "a link out of the tree in a directory's place": Row(
        lambda s: (shutil.rmtree(s["d2"]), s["d2"].symlink_to("/")), {"d2": "EIO"}
    ),
    "a FIFO in a file's place": Row(lambda s: (s["file"].unlink(), os.mkfifo(s["file"])), {"file": "a FIFO"}),
    "a file with a name of its own": Row(
        lambda s: (s["file"].parent / "planted").write_bytes(SECRET), {"planted": "gone"}
    ),
    "a FIFO with a name of its own": Row(
        lambda s: os.mkfifo(s["file"].parent / "planted"), {"planted": "gone"}
    ),
    "a directory with a name of its own": Row(
        lambda s: (s["file"].parent / "planted").mkdir(), {"planted": "gone"}
    ),
}


def seen(path: Path) -> str:
    """Say what a program gets of an entry, in a word."""
    if path.name not in os.listdir(path.parent):
        return "unlisted" if os.path.lexists(path) else "gone"
    try:
        return USES[stat.S_IFMT(path.lstat().st_mode)](path)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def read(path: Path) -> str:
    """Read a file, which says where it was written, and its attribute."""
    assert path.read_bytes() == place_of(path), "not what was written there"
    try:
        os.getxattr(path, "user.note")
    except OSError as error:
        return f"attribute {errno.errorcode[error.errno or 0]}"
    return "read"


def place_of(path: Path) -> bytes:
    """Return what a file holds."""
    return str(path).partition("/mount/")[2].encode()


USES: dict[int, Callable[[Path], str]] = {
    stat.S_IFREG: read,
    stat.S_IFDIR: lambda path: f"directory of {len(os.listdir(path))}",
    stat.S_IFLNK: lambda path: f"link to {path.readlink()}",
    stat.S_IFIFO: lambda _: "a FIFO",
}


@pytest.fixture(scope="module")
def attacked(shared_agent: RunningAgent) -> Iterator[tuple[Place, dict[str, dict[str, str]]]]:
    """A volume mounted after all attacks; and what was seen of each row's entries before them."""
    with tempfile.TemporaryDirectory(prefix="kms-", dir="/tmp") as directory:
        place = Place(Path(directory), user_of(shared_agent))
        (place.directory / "outside").write_bytes(SECRET)
        place.init()
        try:
            assert place.mount().returncode == 0
            before, inodes = {}, {}
            for number, row in enumerate(ROWS):
                top = place.mountpoint / f"{number}"
                furnish(top)
                paths = [path for path in below(top) if not path.is_symlink() or path.parent != top]
                paths += [top / "link", top / "link2"]
                before[row] = {str(path.relative_to(top)): seen(path) for path in paths}
                inodes[row] = {str(path.relative_to(top)): path.lstat().st_ino for path in paths}
            assert place.umount().returncode == 0
            at = {path.lstat().st_ino: path for path in below(place.ciphertext)}
            for row, (attack, _) in ROWS.items():
                attack(Stored({name: at[inode] for name, inode in inodes[row].items()}))
            assert place.mount().returncode == 0
            yield place, before
            assert place.umount().returncode == 0
        finally:
            place.discard()


def furnish(top: Path) -> None:
    """Make what each row attacks."""
    for path in (top, top / "d1", top / "d2", top / "empty"):
        path.mkdir()
    for name in FILES:
        (top / name).write_bytes(place_of(top / name))
        os.setxattr(top / name, "user.note", name.encode())
    (top / "link").symlink_to("file")
    (top / "link2").symlink_to("elsewhere")
    (top / "d1/link").symlink_to("inner")


@pytest.mark.parametrize("name", ROWS)
def test_what_programs_see(attacked: tuple[Place, dict[str, dict[str, str]]], name: str) -> None:
    """What was tampered with is refused or left out, as the row says; all the rest is as it was."""
    place, before = attacked
    top = place.mountpoint / f"{list(ROWS).index(name)}"
    expected = ROWS[name].expected
    refused = {path for path, what in expected.items() if what in {"EIO", "gone"}}
    rest = {
        path: what
        for path, what in before[name].items()
        if path not in expected and not any(path.startswith(f"{above}/") for above in refused)
    }
    found = {path: seen(top / path) for path in {**rest, **expected}}
    assert without_counts(found) == without_counts({**rest, **expected})
    refusals = {path for path, what in expected.items() if what == "EIO"}
    assert place.status()["running"]["counters"]["integrity_errors"] >= len(refusals)


def without_counts(found: dict[str, str]) -> dict[str, str]:
    """Leave out how many entries directories have that can be listed."""
    return {path: what for path, what in found.items() if not what.startswith("directory of")}
