"""What the mount wrote, the second reader reads from the backing directory alone, knowing only the format."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

import mounts
import trees
from decoder import Entry, decode
from decoding import volume_keys


def as_snapshot(entry: Entry) -> trees.Entry:
    """Return an entry of the second reader as the mount's tree shows it."""
    mode = entry.status.st_mode
    is_directory = stat.S_ISDIR(mode)
    return trees.Entry(
        mode=mode,
        uid=entry.status.st_uid,
        gid=entry.status.st_gid,
        mtime_ns=entry.status.st_mtime_ns,
        size_bytes=len(entry.content or entry.target or b""),
        link_count=0 if is_directory else entry.status.st_nlink,
        device=entry.status.st_rdev if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) else 0,
        linked_with=b"",
        content=entry.target or b"" if entry.content is None else trees.digest(entry.content),
        xattrs=tuple(sorted((name.decode(), value) for name, value in entry.xattrs.items())),
    )


@pytest.mark.parametrize("init_options", [[], ["--plain-names"], ["--chunk-size", "64K"]])
def test_reads_what_the_mount_wrote(place: Path, agent_url: str, init_options: list[str]) -> None:
    """Every path, type, mode, time, content, target and attribute agrees with what the mount showed."""
    with mounts.volume(place, agent_url, init_options=init_options) as volume:
        trees.make_odd_tree(volume.path, 500, trees.FREE_NAMES)
        shown = trees.without_links(trees.snapshot(volume.path))
        volume.unmount()
        read = {
            entry.path: as_snapshot(entry)
            for entry in decode(volume.backing, volume_keys(volume.backing, volume.agent_url))
            if entry.path
        }
    assert trees.differences(read, shown) == []
