"""Stores of a few megabytes, as disks have them: filesystems in images that lie in memory.

What is synced there costs no time, yet goes all the way that it would on a disk.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MEGABYTE = 1 << 20
PAGE = 4096
EXT4 = ("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-i", "4096")
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


class Ballast:
    """Takes the room of a store away and gives it back.

    Args:
        path: of a file that is to hold it, not there yet; where it lies it counts like the rest.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self, leave_pages: int) -> None:
        """Take all room but a few pages of 4 KiB."""
        with self._path.open("ab", buffering=0) as file:
            for size_bytes in (MEGABYTE, PAGE):
                with until_no_room():
                    while True:
                        file.write(bytes(size_bytes))
            file.truncate(max(file.tell() - leave_pages * PAGE, 0))
            os.fsync(file.fileno())

    def give(self, pages: int) -> None:
        """Give some pages back."""
        with self._path.open("ab", buffering=0) as file:
            file.truncate(max(file.tell() - pages * PAGE, 0))


class Limit:
    """Takes the room of a btrfs subvolume away, and gives it back, by a quota.

    Args:
        subvolume: its path.
    """

    def __init__(self, subvolume: Path) -> None:
        self._subvolume = subvolume

    def fill(self, leave_pages: int) -> None:
        """Take all room but a few pages of 4 KiB."""
        self._set(leave_pages)

    def give(self, pages: int) -> None:
        """Give some pages back."""
        self._set(pages)

    def _set(self, pages: int) -> None:
        # What is used is counted when it is durable.
        subprocess.run(["sync", "--file-system", self._subvolume], check=True)
        show = ["btrfs", "qgroup", "show", "-f", "--raw", self._subvolume]
        shown = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        group, used_bytes, *_ = shown.splitlines()[-1].split()
        # From outside, since changing a quota takes of that of where it is asked for.
        limit = ["btrfs", "qgroup", "limit", str(int(used_bytes) + pages * PAGE), group]
        subprocess.run([*limit, self._subvolume.parent], check=True)


class Crowd:
    """Takes the inodes of a store away and gives them back.

    Args:
        directory: an empty one to hold them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0

    def fill(self, leave: int) -> None:
        """Take all inodes but a few."""
        with until_no_room():
            while True:
                (self._directory / str(self._count)).touch()
                self._count += 1
        self.give(leave)

    def give(self, inodes: int) -> None:
        """Give some inodes back."""
        for _ in range(min(inodes, self._count)):
            self._count -= 1
            (self._directory / str(self._count)).unlink()


@contextmanager
def until_no_room() -> Iterator[None]:
    """End the body where the store has no more room."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
