"""Copies of the ciphertext, made with ordinary tools while the volume is mounted and written to.

What was quiet and synced when the copy was made reads right from it. What was being written may be refused,
but never reads as anything that was not written there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import trees
from backgrounds import Place
from trees import below

BLOCK = 512
BUSY_BYTES = 200_000
QUIET_FILES = 120
PAST_NS = 1_600_000_000_123_456_789

# Every block of a busy file says which file and which block it is, and the version; all of it is rewritten,
# cut and replaced again and again.
WRITER = f"""
import itertools, os, random, sys

top, chance = sys.argv[1], random.Random(1)
for version in itertools.count():
    number = chance.randrange(6)
    blocks = chance.randrange({BUSY_BYTES} // {BLOCK})
    start = chance.randrange(blocks + 1)
    content = b"".join(
        (b"%02d:%06d:%05d;" % (number, block, version)) * ({BLOCK} // 16) for block in range(start, blocks)
    )
    fd = os.open(top + "/busy %d" % number, os.O_CREAT | os.O_RDWR, 0o600)
    os.pwrite(fd, content, start * {BLOCK})
    if chance.random() < 0.3:
        os.ftruncate(fd, chance.randrange(blocks + 1) * {BLOCK})
    if chance.random() < 0.3:
        os.fsync(fd)
    os.close(fd)
    if chance.random() < 0.1:
        name = top + "/moving %d" % chance.randrange(4)
        if os.path.exists(name):
            os.rename(name, top + "/busy directory/" + "n" * chance.randrange(1, 255))
        else:
            open(name, "wb").write(content)
    if not version:
        print(flush=True)
"""

_PACK = 'mkdir "{to}" && tar -C "{from}" --format=posix --xattrs -c . '
_UNPACK = 'tar -C "{to}" --xattrs --xattrs-include="*" -x'
COPIES = {
    "rsync": ["rsync", "-aHX", "{from}/", "{to}"],
    "tar": ["bash", "-c", f"{_PACK} | {_UNPACK}"],
    "cp": ["cp", "-a", "--reflink=auto", "{from}", "{to}"],
}
GONE_MEANWHILE = {"rsync": {0, 23, 24}, "tar": {0, 1, 2}, "cp": {0, 1}}
"""How the tools end where files come and go while they work: they have copied the rest."""


@contextmanager
def writing(top: Path) -> Iterator[None]:
    """Have a program write below a directory all the while."""
    (top / "busy directory").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", WRITER, top], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"\n"
        try:
            yield
            assert writer.poll() is None
        finally:
            writer.kill()


def check_busy(path: Path, number: int) -> None:
    """Every block of a busy file that can be read is of this file and at its place, or was never written."""
    size = path.stat().st_size
    fd = os.open(path, os.O_RDONLY)
    try:
        for start in range(0, size, BLOCK):
            try:
                content = os.pread(fd, BLOCK, start)
            except OSError:
                continue
            for at in range(0, len(content) - 15, 16):
                cell = content[at : at + 16]
                if any(cell):
                    assert cell.startswith(b"%02d:%06d:" % (number, start // BLOCK)), f"{path} at {start}"
    finally:
        os.close(fd)


@pytest.mark.parametrize("tool", COPIES)
def test_copy_while_written(place: Place, tool: str) -> None:
    """A copy made by an ordinary tool mounts, and has all that was quiet; the rest is refused or right."""
    place.init()
    assert place.mount().returncode == 0
    quiet = place.mountpoint / "quiet"
    quiet.mkdir()
    trees.make_odd_tree(quiet, QUIET_FILES)
    # rsync takes a link that it has made in the same second for one of the right time.
    for path in (*below(quiet), quiet):
        os.utime(path, ns=(PAST_NS, PAST_NS), follow_symlinks=False)
    expected = trees.snapshot(quiet)
    copy = place.directory / "copy"
    words = {"from": place.ciphertext, "to": copy}
    with writing(place.mountpoint / "busy"):
        done = subprocess.run(
            [word.format(**words) for word in COPIES[tool]], capture_output=True, text=True, check=False
        )
        assert done.returncode in GONE_MEANWHILE[tool], done.stderr
    assert place.umount().returncode == 0
    place.ciphertext = copy
    mounted = place.mount()
    assert mounted.returncode == 0, mounted.stderr
    assert trees.differences(trees.snapshot(quiet), expected) == []
    for number in range(6):
        path = place.mountpoint / "busy" / f"busy {number}"
        if path.exists():
            try:
                check_busy(path, number)
            except OSError:
                continue
    assert place.umount().returncode == 0
    verified = place.kmsfs("verify", "--deep", place.ciphertext, "quiet")
    assert verified.returncode == 0, verified.stdout + verified.stderr
