"""What a mount knows of damage: each thing once, where it lies, and never more than there is room for."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from kmsfs import reporting
from kmsfs.counters import Counters
from kmsfs.errors import (
    CorruptAttributeError,
    CorruptFileError,
    CorruptNameError,
    CorruptRecordError,
    CorruptTargetError,
    KeyUnavailableError,
    KmsfsError,
    MovedDirectoryError,
    NameTooLongError,
    ReservedNameError,
    VolumeError,
)
from kmsfs.inodes import ROOT_INODE, Directory, Inodes
from kmsfs.reporting import Reports, failure, printable
from offline import ME, ROOT, OfflineVolume

if TYPE_CHECKING:
    from kmsfs.core import Core

NOW = 1_800_000_000.0


def reports() -> tuple[Reports, Counters, Inodes]:
    """Return reports of a mount that has looked up `d/f`."""
    inodes = Inodes(Directory(ROOT_INODE, None, b""))
    above = inodes.remember(10, inodes.root, b"d", is_directory=True)
    assert isinstance(above, Directory)
    inodes.remember(11, above, b"f", is_directory=False)
    counters = Counters()
    return Reports(inodes, counters, lambda: NOW), counters, inodes


def seen(made: Reports) -> list[tuple[str, str, str]]:
    """Return what was listed."""
    return [(each.path, each.kind, each.detail) for each in made.recent]


@pytest.mark.parametrize(
    ("error", "nodeid", "expected"),
    [
        (CorruptFileError(11, 3, "tag"), None, ("d/f", "content", "chunk 3: tag")),
        (CorruptFileError(11, None, "header: no"), None, ("d/f", "header", "header: no")),
        (CorruptFileError(11, None, "truncated"), None, ("d/f", "length", "truncated")),
        (CorruptFileError(11, None, "moved"), 10, ("d/f", "moved", "moved")),
        (CorruptFileError(99, None, "extended"), None, ("inode 99", "length", "extended")),
        (CorruptRecordError("bad"), 10, ("d", "record", "bad")),
        (CorruptRecordError("bad"), ROOT_INODE, (".", "record", "bad")),
        (CorruptRecordError("bad"), None, ("inode 0", "record", "bad")),
        (CorruptRecordError("bad"), 12345, ("inode 0", "record", "bad")),
        (CorruptNameError("worse"), 10, ("d", "name", "worse")),
        (MovedDirectoryError("it was"), 10, ("d", "moved", "it was")),
        (CorruptTargetError("bad"), 11, ("d/f", "target", "bad")),
        (CorruptAttributeError("bad"), 11, ("d/f", "xattr", "bad")),
    ],
)
def test_where_it_lies(error: KmsfsError, nodeid: int | None, expected: tuple[str, str, str]) -> None:
    """The error knows best whose it is, else the request; the path is the store's."""
    made, counters, _ = reports()
    made.report(error, nodeid)
    assert seen(made) == [expected]
    assert (counters.integrity_errors, counters.damaged_entries) == (1, 1)


def test_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same file is counted each time, and listed, logged and told once."""
    made, counters, _ = reports()
    with caplog.at_level(logging.ERROR):
        for chunk in range(5):
            made.report(CorruptFileError(11, chunk, "tag"))
    assert (counters.integrity_errors, counters.damaged_entries) == (5, 1)
    assert [record.message for record in caplog.records] == ["damaged: d/f: content: chunk 0: tag"]
    assert len(made.untold) == 1


def test_an_entry_without_a_node() -> None:
    """A name that no key has given is told of by its directory and itself."""
    made, counters, inodes = reports()
    for _ in range(2):
        made.report_entry(inodes.directory(10), b"x\x1b[31m", CorruptNameError("no"))
        made.report_entry(inodes.root, b"y", CorruptNameError("no"))
    assert seen(made) == [("d/x\\x1b[31m", "name", "no"), ("y", "name", "no")]
    assert (counters.integrity_errors, counters.damaged_entries) == (4, 2)


def test_a_file_without_a_name() -> None:
    """An unlinked file that is still open is told of by its inode number."""
    made, _, inodes = reports()
    node = inodes[11]
    node.fd = os.open("/dev/null", os.O_PATH)
    try:
        made.report(CorruptFileError(11, 0, "tag"))
    finally:
        os.close(node.fd)
    assert seen(made) == [("inode 11", "content", "chunk 0: tag")]


def test_what_is_no_damage(caplog: pytest.LogCaptureFixture) -> None:
    """Users' own mistakes are nothing; a key that cannot be had is counted, and logged once a reason."""
    made, counters, _ = reports()
    with caplog.at_level(logging.ERROR):
        made.report(NameTooLongError("n"), 11)
        made.report(ReservedNameError("n"), 11)
        for _ in range(3):
            made.report(KeyUnavailableError("disabled"), 11)
            made.report(VolumeError("is full"), 11)
    assert (counters.integrity_errors, counters.key_errors) == (0, 3)
    assert [record.message for record in caplog.records] == ["a key cannot be had: disabled", "is full"]
    assert not made.untold


def test_bounds(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is damaged all over fills neither memory nor the log."""
    monkeypatch.setattr(reporting, "MAX_LISTED", 40)
    monkeypatch.setattr(reporting, "MAX_UNTOLD", 30)
    made, counters, _ = reports()
    with caplog.at_level(logging.ERROR):
        for inode in range(100, 200):
            made.report(CorruptFileError(inode, 0, "tag"))
            made.report(KeyUnavailableError(str(inode)))
    assert (counters.integrity_errors, counters.damaged_entries) == (100, 40)
    assert len(made.recent) == reporting.MAX_RECENT
    assert (len(made.untold), made.untold_dropped) == (30, 10)
    assert made.recent[-1].path == "inode 139"
    assert sum("more is damaged" in record.message for record in caplog.records) == 1
    summary = made.summary()
    assert (summary["untold"], summary["dropped"]) == (30, 10)


def test_what_is_shown_prints() -> None:
    """Only printable ASCII, no two names alike, and a long path by its end."""
    assert printable(b"a\\x1b") == "a\\x5cx1b" != printable(b"a\x1b")
    assert printable(bytes(range(256))).isascii()
    assert printable(bytes(range(256))).isprintable()
    long = failure(b"d/" * 2000 + b"end", "content", "ü" * 500, NOW)
    assert len(long.path) == 1024
    assert long.path.startswith("...")
    assert long.path.endswith("d/end")
    assert len(long.detail) == 256


async def test_waiting() -> None:
    """Whoever waits goes on when there is something to tell, at once if there is already."""
    made, _, _ = reports()
    early, late = trio.Event(), trio.Event()
    made.raise_when_untold(early)
    assert not early.is_set()
    made.report(CorruptFileError(11, 0, "tag"))
    await early.wait()
    made.raise_when_untold(late)
    await late.wait()


def refused(core: Core, nodeid: int) -> KmsfsError:
    """Return what the core says of listing a directory's entry."""
    with pytest.raises(KmsfsError) as caught:
        core.tree.lookup(nodeid, b"any")
    assert caught.value.errno == errno.EIO
    return caught.value


def test_a_record_is_its_directorys(tmp_path: Path) -> None:
    """A directory whose record is damaged is named, whichever request met it."""
    volume = OfflineVolume(tmp_path)
    with volume.core() as core:
        core.inodes.forget(core.tree.mkdir(ROOT, b"d", 0o700, ME).nodeid, 1)
        stored = volume.stored_path(core, b"d")
    record = Path(os.fsdecode(stored)) / ".kmsfs"
    sealed = os.readlink(record)
    record.unlink()
    record.symlink_to(sealed[:-1] + ("A" if sealed[-1] != "A" else "Q"))
    with volume.core() as core:
        entry = core.tree.lookup(ROOT, b"d")
        core.reports.report(refused(core, entry.nodeid), ROOT)
        (found,) = core.reports.recent
        assert (found.path, found.kind) == (Path(os.fsdecode(stored)).name, "record")
        core.inodes.forget(entry.nodeid, 1)
