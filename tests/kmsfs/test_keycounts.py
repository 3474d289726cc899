"""The counts of files under each key: what is counted, what is not, and when a count misses nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from backgrounds import Place
from commands import succeed
from kmsfs.keycounts import Counts, count, rows
from kmsfs.volume import BucketKeyEntry, Policy
from kmsfs.wrapping import Mode
from offline import KEY_ARN, OfflineVolume, find, mkdir, write

MATERIAL = "5a" * 32


def counts_of(volume: OfflineVolume) -> Counts:
    """Count the files of a volume."""
    counts = Counts()
    root_fd = os.open(volume.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in count(root_fd, counts):
            pass
    finally:
        os.close(root_fd)
    return counts


def described(volume: OfflineVolume) -> None:
    """Let the description hold both bucket keys of a volume, and a policy without files."""
    entries = tuple(
        BucketKeyEntry(key.id, 0, b"blob", MATERIAL if index else None, "2026-01-31T23:59:59Z")
        for index, key in enumerate(volume.bucket_keys)
    )
    policies = (*volume.description.policies, Policy(1, KEY_ARN, "direct"))
    volume.description = replace(volume.description, bucket_keys=entries, policies=policies)


def test_files_are_counted_once_under_their_key(tmp_path: Path) -> None:
    """Each file under the key that its header names, links once; keys without files are there, too."""
    volume = OfflineVolume(tmp_path)
    described(volume)
    for number in range(3):
        volume.write_file(b"%d" % number, b"content")
    with volume.core(current=1) as core:
        inner = mkdir(core, b"directory")
        write(core, b"n" * 255, b"", parent=inner)
        core.tree.link(find(core, b"n" * 255, inner), inner, b"again")
    (tmp_path / ".kmsfs.tmp.0123456789abcdef").touch()
    counts = counts_of(volume)
    table = rows(counts, volume.description)
    assert [(row.policy, row.mode, row.key_material_id, row.files) for row in table] == [
        (0, "bucket", None, 3),
        (0, "bucket", MATERIAL, 1),
        (1, "direct", None, 0),
    ]
    assert [row.bucket_key_id for row in table] == [key.id.hex() for key in volume.bucket_keys] + [None]
    assert counts.is_complete
    assert counts_of(volume) == counts


def test_what_cannot_be_told_is_told(tmp_path: Path) -> None:
    """Damaged headers, headers of keys that the volume does not have, files without any: none is hidden."""
    volume = OfflineVolume(tmp_path)
    described(volume)
    raw = Path(os.fsdecode(volume.write_file(b"file", b"content"))).read_bytes()
    (tmp_path / ("A" * 43)).write_bytes(b"x" * 600)
    (tmp_path / ("B" * 43)).write_bytes(raw[:48] + b"another bucketid" + raw[64:])
    (tmp_path / ("C" * 43)).touch()
    counts = counts_of(volume)
    assert (counts.unreadable, counts.unwritten) == (1, 1)
    assert not counts.is_complete
    assert rows(counts, volume.description)[-1] == (
        (None, "bucket", None, None, b"another bucketid".hex(), 1)
    )
    assert {stands.mode for stands in counts.files} == {Mode.BUCKET}


@pytest.mark.parametrize("options", [(), ("-o", "ro")], ids=["rw", "ro"])
def test_the_command_counts(volume: Place, options: tuple[str, ...]) -> None:
    """Without the agent's help, mounted or not; certain where no program can have moved a file meanwhile."""
    assert volume.mount().returncode == 0
    (volume.mountpoint / "directory").mkdir()
    for number in range(5):
        (volume.mountpoint / "directory" / f"{number}").write_bytes(b"content")
    assert volume.umount().returncode == 0
    assert volume.mount(*options).returncode == 0
    assert b"5" in succeed(volume, "status", "--keys", volume.mountpoint)
    for path in (volume.mountpoint, volume.ciphertext):
        (found,) = json.loads(succeed(volume, "status", "--keys", "--json", path))
        (row,) = found["files"]["under"]
        (key,) = found["volume"]["bucket_keys"]
        assert (row["files"], row["policy"], row["mode"]) == (5, 0, "bucket")
        assert row["bucket_key_id"] == key["id"]
        assert row["key_material_id"] == key["key_material_id"]
        assert found["files"]["is_certain"] == bool(options)
    assert volume.umount().returncode == 0
    (found,) = json.loads(succeed(volume, "status", "--keys", "--json", volume.ciphertext))
    assert found["files"]["is_certain"]
