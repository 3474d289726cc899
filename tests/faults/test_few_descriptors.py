"""A mount that may open few files: programs hear of it, and all goes on once they have closed some."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from backgrounds import Place

LIMIT = 150
MANY = 2 * LIMIT
TOO_MANY = {errno.EMFILE, errno.ENFILE}


@pytest.fixture
def volume(place: Place) -> Place:
    """A mount that may have few descriptors, with many files and many directories with a file in each."""
    place.init()
    place.starter = ["prlimit", f"--nofile={LIMIT}:{LIMIT}"]
    mounted = place.mount()
    assert mounted.returncode == 0, mounted.stderr
    for number in range(MANY):
        (place.mountpoint / f"file {number}").write_bytes(b"%d" % number)
        directory = place.mountpoint / f"directory {number}"
        directory.mkdir()
        (directory / "inner").write_bytes(b"%d" % number)
    return place


def check(top: Path) -> None:
    """All is there, and reads right."""
    assert len(os.listdir(top)) == 2 * MANY
    for number in range(MANY):
        assert (top / f"file {number}").read_bytes() == b"%d" % number
        assert os.listdir(top / f"directory {number}") == ["inner"]
        assert (top / f"directory {number}" / "inner").read_bytes() == b"%d" % number


def test_many_directories(volume: Place) -> None:
    """However many directories and files are looked at, a bounded number of descriptors is enough."""
    check(volume.mountpoint)
    volume.umount()
    volume.mount()
    check(volume.mountpoint)
    assert volume.status()["running"]["open_descriptors"] < LIMIT


def refused(operation: Callable[[], object]) -> bool:
    """Say whether an operation is refused for want of descriptors; any other failure is the test's."""
    try:
        operation()
    except OSError as error:
        if error.errno not in TOO_MANY:
            raise
        return True
    return False


def test_too_many_open_files(volume: Place) -> None:
    """A program that opens too many files is told so; what is open works on, and later everything does."""
    with ExitStack() as stack:
        opened: dict[int, BinaryIO] = {}

        def open_one(number: int) -> None:
            path = volume.mountpoint / f"file {number}"
            opened[number] = stack.enter_context(path.open("r+b", buffering=0))

        assert [number for number in range(MANY) if refused(partial(open_one, number))]
        assert len(opened) > LIMIT // 3
        for number in range(MANY):
            directory = volume.mountpoint / f"directory {number}"
            refused((directory / "made").mkdir)
            refused((directory / "touched").touch)
            refused(partial(os.rename, directory / "inner", directory / "renamed"))
            refused(partial(os.listdir, directory))
        for number, file in opened.items():
            assert file.read() == b"%d" % number
            file.write(b" and more")
            os.fsync(file.fileno())
    for number in range(MANY):
        directory = volume.mountpoint / f"directory {number}"
        for name in os.listdir(directory):
            if name == "made":
                (directory / name).rmdir()
            elif name == "renamed":
                (directory / name).rename(directory / "inner")
            elif name == "touched":
                (directory / name).unlink()
    for number in opened:
        assert (volume.mountpoint / f"file {number}").read_bytes() == b"%d and more" % number
        (volume.mountpoint / f"file {number}").write_bytes(b"%d" % number)
    check(volume.mountpoint)
    assert volume.umount().returncode == 0
    volume.starter = []
    verified = volume.kmsfs("verify", "--deep", volume.ciphertext)
    assert verified.returncode == 0, verified.stdout
