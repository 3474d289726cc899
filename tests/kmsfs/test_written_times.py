"""The times of a file that is written to and synced again and again: the kernel's, brought to the store."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from kmsfs.attributes import Changes
from offline import OfflineVolume, find, make, opened

if TYPE_CHECKING:
    from pathlib import Path

    from backgrounds import Place

PAGE = bytes(4096)
MOMENT_NS = 1_234_567_890_987_654_321


@pytest.fixture
def offline(tmp_path: Path) -> OfflineVolume:
    """An empty volume."""
    return OfflineVolume(tmp_path)


def test_who_syncs_again_and_again_asks_for_no_times(
    offline: OfflineVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first write, neither writing nor taking over the kernel's times looks at the store's."""
    with offline.core() as core:
        make(core, b"file")
        nodeid = find(core, b"file")
        with opened(core, b"file", os.O_RDWR) as file:
            file.write(0, PAGE)
            core.attributes.note_times(nodeid, MOMENT_NS)
            with monkeypatch.context() as patch:
                patch.setattr(os, "fstat", None)
                for count in range(1, 5):
                    file.write(0, PAGE)
                    entry = core.attributes.note_times(nodeid, MOMENT_NS + count)
                    core.waiting.fsync(file, data_only=True)
            assert (entry.nodeid, entry.size) == (nodeid, 4096)
            assert stat.S_ISREG(entry.status.st_mode)
            assert os.fstat(file.chunks.fd).st_mtime_ns == MOMENT_NS + 4


def test_only_a_whole_sync_brings_times(offline: OfflineVolume) -> None:
    """fdatasync(2) leaves what a write has made of the store's times; fsync(2) takes it back."""
    with offline.core() as core:
        make(core, b"file")
        nodeid = find(core, b"file")
        with opened(core, b"file", os.O_RDWR) as file:
            core.attributes.setattr(nodeid, Changes(mtime_ns=MOMENT_NS))
            file.write(0, PAGE)
            core.waiting.fsync(file, data_only=True)
            assert os.fstat(file.chunks.fd).st_mtime_ns > MOMENT_NS
            core.waiting.fsync(file, data_only=False)
            assert os.fstat(file.chunks.fd).st_mtime_ns == MOMENT_NS


def test_times_that_come_after_the_last_close(offline: OfflineVolume) -> None:
    """The kernel may say what they have become when the file is open no more."""
    with offline.core() as core:
        make(core, b"file")
        nodeid = find(core, b"file")
        core.files.close()
        entry = core.attributes.note_times(nodeid, MOMENT_NS)
        assert entry.status.st_mtime_ns == MOMENT_NS


def test_what_happens_between_syncs_is_seen(mounted: Place) -> None:
    """Mode, links and size hold through many syncs, and the times through a remount."""
    path, other = mounted.mountpoint / "log", mounted.mountpoint / "other"
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        for count in range(50):
            os.pwrite(fd, PAGE, count * 4096)
            os.fdatasync(fd)
            if count == 10:
                os.fchmod(fd, 0o640)
            if count == 20:
                os.link(path, other)
            if count == 30:
                os.utime(fd, ns=(1, MOMENT_NS))
                assert os.fstat(fd).st_mtime_ns == MOMENT_NS
        before = os.fstat(fd)
        assert (stat.S_IMODE(before.st_mode), before.st_nlink, before.st_size) == (0o640, 2, 50 * 4096)
        assert before.st_mtime_ns > MOMENT_NS
    finally:
        os.close(fd)
    assert mounted.umount().returncode == 0
    assert mounted.mount().returncode == 0
    after = path.stat()
    assert (after.st_mtime_ns, after.st_mode, after.st_nlink) == (before.st_mtime_ns, before.st_mode, 2)


def test_a_new_file_has_the_times_of_its_last_change(offline: OfflineVolume) -> None:
    """All three are one moment, not before any other change on the store: so the kernel's clock agrees."""
    with offline.core() as core:
        for number in range(5):
            name = b"file-%d" % number
            with opened(core, name, os.O_CREAT | os.O_RDWR) as file:
                status = core.attributes.getattr(find(core, name)).status
                assert status.st_mtime_ns == status.st_ctime_ns == status.st_atime_ns
                assert status.st_mtime_ns >= os.fstat(core.directories.dirfd(core.inodes.root)).st_mtime_ns
                file.write(0, PAGE)


def test_what_writing_does_to_a_new_files_times_is_taken_back(offline: OfflineVolume) -> None:
    """The kernel has the times that it was told when the file was made, until it says otherwise."""
    with offline.core() as core:
        with opened(core, b"file", os.O_CREAT | os.O_RDWR) as file:
            told = core.attributes.getattr(find(core, b"file")).status
            os.utime(file.chunks.fd, ns=(MOMENT_NS, MOMENT_NS))
            file.write(0, PAGE)
        after = core.attributes.getattr(find(core, b"file")).status
        assert (after.st_atime_ns, after.st_mtime_ns) == (told.st_atime_ns, told.st_mtime_ns)
