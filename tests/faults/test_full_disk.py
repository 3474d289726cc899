"""Disks without room: of blocks, of inodes, of a quota. Each change is done or refused, and nothing is lost.

The disks are real ones and really full, by a file beside the volume.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

import stores
from backgrounds import Place
from deeds import CHANGES, Model, Outcome, attempt, look, model_of, wrongs

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts disks")

TURNS = int(os.environ.get("KMSFS_FAULT_TURNS", "1"))
# What the kernel could not write behind a program's back, it tells of as EIO if it was for a quota.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
PLENTY = 150
"""Pages, or inodes, that preparing a deed never takes."""


@contextmanager
def blocks(top: Path) -> Iterator[tuple[Path, stores.Ballast]]:
    """A small ext4; yields where a volume may lie, and what takes the room."""
    with stores.disk(top, 64):
        yield top / "ciphertext", stores.Ballast(top / "ballast")


@contextmanager
def inodes(top: Path) -> Iterator[tuple[Path, stores.Crowd]]:
    """An ext4 with few inodes."""
    with stores.disk(top, 64, (*stores.EXT4, "-N", "2500")):
        (top / "crowd").mkdir()
        yield top / "ciphertext", stores.Crowd(top / "crowd")


@contextmanager
def quota(top: Path) -> Iterator[tuple[Path, stores.Limit]]:
    """A btrfs, of which the volume may have little; it never writes in place, either."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("btrfs-progs is not installed")
    with stores.disk(top, 256, stores.BTRFS):
        volume = top / "volume"
        for command in (("quota", "enable", top), ("subvolume", "create", volume)):
            subprocess.run(["btrfs", *command], check=True, capture_output=True)
        yield volume / "ciphertext", stores.Limit(volume)


KINDS = {"blocks": blocks, "inodes": inodes, "quota": quota}


@pytest.mark.parametrize("kind", KINDS)
def test_changes_without_room(place: Place, native: Path, kind: str) -> None:
    """What finds no room is refused with the store's error; there is what was, or what was to be."""
    top = place.directory / "disk"
    top.mkdir()
    with ExitStack() as stack:
        place.ciphertext, room = stack.enter_context(KINDS[kind](top))
        place.init()
        assert place.mount().returncode == 0
        chance = Random(kind)  # noqa: S311 - chooses how full the disk is
        done: list[tuple[Path, Model, Outcome]] = []
        for name, deed in CHANGES.items():
            (native / name).mkdir()
            model = model_of(deed, native / name)
            for turn in range(TURNS):
                directory = place.mountpoint / f"{name} {turn}"
                directory.mkdir()
                deed.prepare(str(directory))
                leave = chance.choice([0, 0, 1, 2, 3, 8])
                room.fill(leave)
                outcome = attempt(deed, model, directory)
                assert outcome.error is None or outcome.error.errno in NO_ROOM, outcome
                found = look(directory)
                said = wrongs(found, model, outcome)
                assert not said, f"{name}, {leave} left: {said} after {outcome}"
                done.append((directory, model, outcome))
                room.give(PLENTY)
        assert [outcome for _, _, outcome in done if outcome.error is not None]
        assert place.status()["running"]["counters"]["integrity_errors"] == 0
        umounted = place.umount()
        assert umounted.returncode == 0, umounted.stderr
        # An empty directory may have lost its record; the next use of it would write a new one, too.
        place.kmsfs("verify", "--repair", place.ciphertext)
        verified = place.kmsfs("verify", "--deep", place.ciphertext)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert place.mount().stderr == ""
        for directory, model, outcome in done:
            assert not wrongs(look(directory), model, outcome), directory


@pytest.mark.parametrize("kind", KINDS)
def test_mounts_without_room(place: Place, kind: str) -> None:
    """On a full disk a volume can be unmounted, mounted, read and made room on, or it says what it lacks."""
    top = place.directory / "disk"
    top.mkdir()
    with ExitStack() as stack:
        place.ciphertext, room = stack.enter_context(KINDS[kind](top))
        place.init()
        place.mount()
        for name in ("kept", "surplus"):
            (place.mountpoint / name).write_bytes(bytes(1 << 20))
        room.fill(0)
        umounted = place.umount()
        assert umounted.returncode == 0, umounted.stderr
        room.fill(0)
        mounted = place.mount()
        if mounted.returncode:
            assert "No space" in mounted.stderr or "quota" in mounted.stderr
            room.give(20)
            assert place.mount().returncode == 0
        assert (place.mountpoint / "kept").read_bytes() == bytes(1 << 20)
        (place.mountpoint / "surplus").unlink()
        # The kernel lets go of what was removed while it asks for other things.
        for _ in range(20):
            os.statvfs(place.mountpoint)
        (place.mountpoint / "new").write_bytes(b"there is room")
        umounted = place.umount()
        assert umounted.returncode == 0, umounted.stderr
        verified = place.kmsfs("verify", "--deep", place.ciphertext)
        assert verified.returncode == 0, verified.stdout + verified.stderr
