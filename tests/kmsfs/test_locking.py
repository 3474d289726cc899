"""The volume's lock."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsfs import locking

HOLDER = locking.Holder(4321, "here", "/mnt")


@pytest.fixture
def volume_fd(tmp_path: Path) -> Iterator[int]:
    """The directory of a volume's own files, with a lock file."""
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    locking.create_lock(fd)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("first_shared", "second_shared", "both"),
    [(False, False, False), (False, True, False), (True, False, False), (True, True, True)],
)
def test_who_may_share(volume_fd: int, *, first_shared: bool, second_shared: bool, both: bool) -> None:
    """Only read-only mounts share a volume, and the lock is free once they have let go."""
    with locking.locked(volume_fd, shared=first_shared):
        if both:
            with locking.locked(volume_fd, shared=second_shared):
                pass
        else:
            with pytest.raises(locking.VolumeLockedError), locking.locked(volume_fd, shared=second_shared):
                pass
        assert locking.is_locked(volume_fd)
        assert locking.is_held_exclusively(volume_fd) is not first_shared
    assert not locking.is_locked(volume_fd)


def test_holder_is_named(volume_fd: int) -> None:
    """Who is refused hears who holds the volume; afterwards nobody is named."""
    with locking.locked(volume_fd, shared=False) as lock_fd:
        with locking.named(lock_fd, HOLDER):
            assert locking.holder(volume_fd) == HOLDER
            with pytest.raises(locking.VolumeLockedError, match=r"process 4321 on here, mounted at '/mnt'"):
                locking.locked(volume_fd, shared=False).__enter__()
        assert locking.holder(volume_fd) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"pid": "x", "host": "h"}', b"\xff" * 9000])
def test_nonsense_names_nobody(volume_fd: int, tmp_path: Path, content: bytes) -> None:
    """Whatever somebody writes into the lock file, it can be locked and no nonsense is shown."""
    (tmp_path / "lock").write_bytes(content)
    with locking.locked(volume_fd, shared=False):
        assert locking.holder(volume_fd) is None


def test_lock_goes_with_its_process(volume_fd: int, tmp_path: Path) -> None:
    """The kernel drops the lock of a process that is killed; what it wrote about itself counts no more."""
    script = (
        "import os, sys; from kmsfs import locking;"
        "fd = os.open(sys.argv[1], os.O_PATH);"
        "held = locking.locked(fd, shared=False); lock_fd = held.__enter__();"
        "named = locking.named(lock_fd, locking.Holder(1, 'h', '/m')); named.__enter__();"
        "print('locked', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        assert locking.is_locked(volume_fd)
        process.kill()
        process.wait()
    assert not locking.is_locked(volume_fd)
    assert locking.holder(volume_fd) is None


def test_missing_lock_file_is_made(volume_fd: int, tmp_path: Path) -> None:
    """A volume restored without its lock file can be locked."""
    (tmp_path / "lock").unlink()
    assert not locking.is_locked(volume_fd)
    with locking.locked(volume_fd, shared=False):
        assert locking.is_locked(volume_fd)
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
