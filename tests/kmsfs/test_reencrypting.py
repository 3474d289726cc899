"""Files written anew under new data keys, on the core: what stays, and what is left as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import finish
from kmsfs import header
from kmsfs.core import Core
from kmsfs.jobs import Call
from kmsfs.keyring import PolicyKeys
from kmsfs.reencrypting import Tally, reencrypt_files
from kmsfs.verifying import Tally as Checked
from kmsfs.verifying import verify
from kmsfs.volume import Policy
from offline import KEY_ARN, ROOT, OfflineVolume, find, make, mkdir, names_in, opened, read, truncate, write

CHUNK = 4096
CONTENT = os.urandom(300 * CHUNK + 7)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume with a file and a directory with another one."""
    made = OfflineVolume(tmp_path)
    with made.core() as core:
        write(core, b"file", CONTENT)
        write(core, b"inner", CONTENT[:9], parent=mkdir(core, b"directory"))
    return made


def reencrypt(core: Core, name: bytes = b"", *, recursive: bool = True) -> tuple[Tally, list[str]]:
    """Give an entry of the root directory, or all of it, new data keys; return why files were left."""
    tally = Tally()
    nodeid = find(core, name) if name else ROOT
    return tally, [left.reason for left in finish(reencrypt_files(core, nodeid, tally, recursive=recursive))]


def identity(path: bytes) -> bytes:
    """Return the id of a file, which its data key comes with."""
    with open(path, "rb") as file:
        return header.parse(file.read(512)).file_id


def plain_attributes(path: bytes) -> list[tuple[str, bytes]]:
    """Return the extended attributes of a file on the store that are not sealed."""
    names = sorted(name for name in os.listxattr(path) if not name.startswith("user."))
    return [(name, os.getxattr(path, name)) for name in names]


def problems(volume: OfflineVolume) -> list[object]:
    """Return what a check of all content finds."""
    with volume.core(read_only=True) as core:
        return list(verify(core, b"", Checked(), deep=True))


def test_the_file_is_another_and_the_same(volume: OfflineVolume) -> None:
    """Key and id are new; content, mode, owner, times, attributes and holes are what they were."""
    with volume.core() as core:
        node = find(core, b"file")
        truncate(core, b"file", 900 * CHUNK)
        core.xattrs.set(node, b"user.note", b"value")
        core.xattrs.set(node, b"user." + b"n" * 160, b"")
        path = volume.stored_path(core, b"file")
        if os.geteuid() == 0:
            os.chown(path, 12, 34)
        os.chmod(path, 0o4700)
        if shutil.which("setfacl"):
            subprocess.run(["setfacl", "-m", "u:1:rw,g:2:r", path], check=True)
        was, attributes = identity(path), plain_attributes(path)
        os.utime(path, ns=(10**9 + 1, 10**9 + 2))
        os.utime(volume.path, ns=(5, 6))
        before, blocks = os.stat(path), os.stat(path).st_blocks
        tally, left = reencrypt(core)
        assert left == []
        assert (tally.reencrypted, tally.seen_files, tally.total_files) == (2, 2, 2)
        assert tally.seen_bytes == tally.total_bytes
        after = os.stat(path)
        assert os.stat(volume.path).st_mtime_ns == 6
        kept = ("st_mode", "st_uid", "st_gid", "st_atime_ns", "st_mtime_ns", "st_size", "st_nlink")
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        assert after.st_blocks == blocks
        assert plain_attributes(path) == attributes
        assert after.st_ino != before.st_ino
        assert identity(path) != was
        assert core.attributes.getattr(node).status.st_ino == after.st_ino
        assert core.xattrs.get(node, b"user.note") == b"value"
        assert read(core, b"file") == CONTENT + bytes(900 * CHUNK - len(CONTENT))
    with volume.core() as core:
        node = find(core, b"file")
        assert sorted(name for name in core.xattrs.list(node) if name.startswith(b"user.")) == [
            b"user." + b"n" * 160,
            b"user.note",
        ]
        assert core.xattrs.get(node, b"user.note") == b"value"
        assert read(core, b"inner", find(core, b"directory")) == CONTENT[:9]
    assert problems(volume) == []


def test_only_what_is_asked_for(volume: OfflineVolume) -> None:
    """A file alone, a directory without what is below, and what was made since a moment is left."""
    with volume.core() as core:
        paths = [
            volume.stored_path(core, b"file"),
            volume.stored_path(core, b"inner", find(core, b"directory")),
        ]
        before = [identity(path) for path in paths]
        assert reencrypt(core, b"file")[0].reencrypted == 1
        assert [identity(path) == was for path, was in zip(paths, before, strict=True)] == [False, True]
        before = [identity(path) for path in paths]
        tally, left = reencrypt(core, recursive=False)
        assert (tally.reencrypted, left) == (1, [])
        assert [identity(path) == was for path, was in zip(paths, before, strict=True)] == [False, True]
        tally = Tally()
        assert finish(reencrypt_files(core, ROOT, tally, since_ns=1)) == []
        assert (tally.recent, tally.reencrypted) == (2, 0)


def test_a_file_gets_the_policy_of_its_directory(volume: OfflineVolume) -> None:
    """Its chunks get that policy's size, its key is wrapped by that policy's."""
    policies = (*volume.description.policies, Policy(1, KEY_ARN, chunk_shift=16))
    volume.description = replace(volume.description, policies=policies)
    with volume.core() as core:
        core.volume.keyring.put(PolicyKeys(1, volume.bucket_keys, volume.bucket_keys[1]))
        core.directories.policy(core.inodes.root)
        core.inodes.root.policy = 1
        path = volume.stored_path(core, b"file")
        tally, left = reencrypt(core, b"file")
        assert (tally.reencrypted, left) == (1, [])
        with open(path, "rb") as file:
            clear = header.parse(file.read(512))
        assert (clear.chunk_shift, clear.reference) == (16, volume.bucket_keys[1].id)
        assert read(core, b"file") == CONTENT


def test_what_is_left_as_it_is(volume: OfflineVolume) -> None:
    """A file with two names, one that is open, one that is damaged: told with the reason, nothing changed."""
    with volume.core() as core:
        for name in (b"linked", b"open", b"damaged"):
            write(core, name, CONTENT)
        core.tree.link(find(core, b"linked"), ROOT, b"linked too")
        path = volume.stored_path(core, b"damaged")
        with open(path, "r+b") as file:
            file.seek(200 * CHUNK)
            file.write(b"?")
    with volume.core() as core:
        with opened(core, b"open", os.O_RDWR) as file:
            tally, left = reencrypt(core)
            file.write(0, b"goes on")
        assert tally.reencrypted == 2
        assert sorted(reason.split()[0] for reason in left) == ["a", "has", "inode"]
        assert read(core, b"open") == b"goes on" + CONTENT[7:]
        assert read(core, b"linked too") == CONTENT
        assert names_in(core) == sorted(
            [b"damaged", b"directory", b"file", b"linked", b"linked too", b"open"]
        )
        assert not [name for name in os.listdir(volume.path) if name.startswith(".kmsfs.tmp.")]


def test_a_file_that_changes_meanwhile(volume: OfflineVolume) -> None:
    """What programs do to a file while it is written anew is not lost: it is left as they have made it."""
    changes = {
        b"written": lambda core, name: write(core, name, b"new", offset=5),
        b"renamed": lambda core, name: core.renaming.rename(ROOT, name, ROOT, b"renamed away", 0),
        b"removed": lambda core, name: core.tree.unlink(ROOT, name),
        b"replaced": lambda core, name: core.renaming.rename(ROOT, b"another", ROOT, name, 0),
    }
    with volume.core() as core:
        write(core, b"another", b"another")
        for name, change in changes.items():
            write(core, name, CONTENT)
            steps = reencrypt_files(core, find(core, name), Tally())
            left, is_changed = [], False
            for step in steps:
                if isinstance(step, Call):
                    if not is_changed:
                        change(core, name)
                    is_changed = True
                    step.work()
                elif step is not None:
                    left.append(step.reason)
            assert left == ["changed meanwhile; do it again"], name
        assert read(core, b"written") == CONTENT[:5] + b"new" + CONTENT[8:]
        assert read(core, b"renamed away") == CONTENT
        assert read(core, b"replaced") == b"another"
        assert names_in(core) == sorted([b"directory", b"file", b"renamed away", b"replaced", b"written"])
    assert problems(volume) == []


def test_a_job_that_is_given_up_leaves_nothing(volume: OfflineVolume) -> None:
    """Whoever asked goes away in the middle: the temporary goes too, the file is the old one."""
    with volume.core() as core:
        path = volume.stored_path(core, b"file")
        was, files = identity(path), sorted(os.listdir(volume.path))
        steps = reencrypt_files(core, find(core, b"file"), Tally())
        while sorted(os.listdir(volume.path)) == files:
            next(steps)
        steps.close()
        assert sorted(os.listdir(volume.path)) == files
        assert identity(path) == was
        assert read(core, b"file") == CONTENT
        make(core, b"and on")


def test_the_room_of_the_old_one_is_free(volume: OfflineVolume) -> None:
    """A program that knows the file by its number keeps that number, not the old content on the store."""
    with volume.core() as core:
        entry = core.tree.lookup(ROOT, b"file")
        assert reencrypt(core, b"file")[0].reencrypted == 1
        node = core.inodes[entry.nodeid]
        assert os.fstat(node.former_fd).st_size == 0
        assert os.fstat(node.former_fd).st_nlink == 0
        assert core.attributes.getattr(entry.nodeid).size == len(CONTENT)
        file = core.open(entry.nodeid, os.O_RDONLY)
        assert bytes(file.read(0, 9)) == CONTENT[:9]
        core.files.release(file.chunks.inode)
