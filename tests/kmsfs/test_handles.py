"""Handles of files, as a server of NFS keeps them: name_to_handle_at(2), open_by_handle_at(2) on a mount."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from backgrounds import Place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="open_by_handle_at(2) is for root")

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
MAX_HANDLE = 128


class Handle(ctypes.Structure):
    """A struct file_handle."""

    _fields_ = (
        ("size", ctypes.c_uint),
        ("kind", ctypes.c_int),
        ("value", ctypes.c_ubyte * MAX_HANDLE),
    )


def handle_of(path: Path) -> Handle:
    """Return what a server would give its clients."""
    handle, mount = Handle(MAX_HANDLE), ctypes.c_int()
    failed = LIBC.name_to_handle_at(AT_FDCWD, bytes(path), ctypes.byref(handle), ctypes.byref(mount), 0)
    assert not failed, os.strerror(ctypes.get_errno())
    return handle


def open_handle(mountpoint: Path, handle: Handle) -> int:
    """Open what a client comes back with, to be read."""
    root = os.open(mountpoint, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd: int = LIBC.open_by_handle_at(root, ctypes.byref(handle), os.O_RDONLY)
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return fd
    finally:
        os.close(root)


def content(mountpoint: Path, handle: Handle) -> bytes:
    """Return what a file holds."""
    with open(open_handle(mountpoint, handle), "rb") as file:
        return file.read()


def drop_caches() -> None:
    """Have the kernel forget every entry that nobody uses."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as control:
        control.write("2")


@pytest.fixture
def mounted(place: Place) -> Place:
    """A new volume, mounted as for NFS."""
    place.init()
    assert place.mount("-o", "noforget").returncode == 0
    return place


def test_handles_outlive_the_kernels_memory(mounted: Place) -> None:
    """A file deep in the tree, and a directory, are found by handle after the kernel has dropped them."""
    deep = mounted.mountpoint / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"content")
    file, directory = handle_of(deep / "file"), handle_of(deep)
    drop_caches()
    assert content(mounted.mountpoint, file) == b"content"
    drop_caches()
    fd = open_handle(mounted.mountpoint, directory)
    try:
        assert os.listdir(fd) == ["file"]
        assert os.stat("..", dir_fd=fd).st_ino == (mounted.mountpoint / "a").stat().st_ino
    finally:
        os.close(fd)


def test_handles_follow_a_rename_and_end_with_the_file(mounted: Place) -> None:
    """A handle is of the file, not of its name; without any name it is stale."""
    path = mounted.mountpoint / "file"
    path.write_bytes(b"content")
    handle = handle_of(path)
    path.rename(mounted.mountpoint / "renamed")
    drop_caches()
    assert content(mounted.mountpoint, handle) == b"content"
    drop_caches()
    (mounted.mountpoint / "renamed").unlink()
    drop_caches()
    with pytest.raises(OSError, match="Stale file handle") as refused:
        content(mounted.mountpoint, handle)
    assert refused.value.errno == errno.ESTALE
