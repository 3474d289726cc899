"""What the mount wrote, the second reader reads from the backing directory alone, knowing only the format.

The test is its keeper of keys: it asks the agent to decrypt the key blobs of the volume description.
"""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

import mounts
import trees
from agent.api.operations import DECRYPT
from agent.api.shapes.cryptographic import DecryptRequest
from agent.client import AgentClient
from decoder import Entry, Keys, decode


def keys_of(volume: mounts.Volume) -> Keys:
    """Return the keys of a volume, decrypted by its agent."""
    path = volume.backing / ".kmsfs-volume" / "volume.yaml"
    description: dict[str, Any] = yaml.safe_load(path.read_text())
    context = {"kmsfs:volume": description["volume_id"]}
    with AgentClient(volume.agent_url) as client:

        def decrypt(blob: str, context: dict[str, str]) -> bytes:
            request = DecryptRequest(ciphertext_blob=base64.b64decode(blob), encryption_context=context)
            plaintext = client.call(DECRYPT, request).plaintext
            assert plaintext is not None
            return plaintext

        bucket_keys = {
            bytes.fromhex(entry["id"]): decrypt(
                entry["blob"], {**context, "kmsfs:policy": str(entry["policy"])}
            )
            for entry in description["bucket_keys"]
        }
        return Keys(decrypt(description["volume_key_blob"], context), bucket_keys)


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
            entry.path: as_snapshot(entry) for entry in decode(volume.backing, keys_of(volume)) if entry.path
        }
    assert trees.differences(read, shown) == []
