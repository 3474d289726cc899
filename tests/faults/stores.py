"""Stores of a few megabytes, as disks have them: filesystems in images that lie in memory.

What is synced there costs no time, yet goes all the way that it would on a disk.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MEGABYTE = 1 << 20
EXT4 = ("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-i", "4096", "-O", "^has_journal")
BTRFS = ("mkfs.btrfs", "-q", "--mixed")


@contextmanager
def disk(mountpoint: Path, megabytes: int, make: Sequence[str] = EXT4) -> Iterator[None]:
    """Mount a new filesystem on an existing directory.

    Args:
        mountpoint: where.
        megabytes: how large a disk.
        make: the command that makes the filesystem, but for the name of the image.
    """
    with tempfile.TemporaryDirectory(prefix="kmsfs-disk-", dir="/dev/shm") as directory:
        image = Path(directory) / "image"
        with image.open("wb") as file:
            file.truncate(megabytes * MEGABYTE)
        subprocess.run([*make, image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop,noatime", image, mountpoint], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", mountpoint], check=True)


def free_bytes(path: Path) -> int:
    """Return how much room a filesystem has for an ordinary user."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
