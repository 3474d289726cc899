"""stress-ng's filesystem stressors, two processes of each, with their own verification switched on.

The list is every filesystem stressor that passes on tmpfs and works below --temp-path; not getdent and io,
which walk and sync the whole machine.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mounts import Volume
from programs import run

STRESSORS = """
    access aio aiol chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fanotify
    fcntl fiemap file-ioctl filename flock fpunch fsize fstat handle hdd inode-flags inotify
    iomix lease link locka lockf lockofd mknod mmap msync open readahead rename revio seek
    sendfile splice symlink sync-file touch utime xattr
"""
NEED_ROOT = {"chown", "fanotify", "handle"}


@pytest.mark.parametrize("stressor", STRESSORS.split())
def test_stressor(volume: Volume, stressor: str) -> None:
    """The stressor ends without an error of its verification, and the mount still works."""
    if stressor in NEED_ROOT and os.geteuid() != 0:
        pytest.skip("needs root")
    directory = volume.path / "stress"
    directory.mkdir()
    options: list[str | Path] = ["--temp-path", directory, "--timeout", "1", "--verify", "--oomable"]
    run("stress-ng", f"--{stressor}", "2", *options)
    assert list(directory.iterdir()) == []
    volume.remount()
    assert list(directory.iterdir()) == []
