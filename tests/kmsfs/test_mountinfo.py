"""Reading the kernel's table of mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsfs import mountinfo

TABLE = b"""\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
90 22 0:57 / /srv/mail rw,nosuid,nodev shared:4 master:3 - fuse.kmsfs /srv/mail\\040enc rw,user_id=1000
91 22 0:58 / /mnt/a\\134b\\040c ro,relatime - fuse.kmsfs /c rw,user_id=0,group_id=0,allow_other
92 90 0:59 / /srv/mail rw - tmpfs tmpfs rw
"""


def test_parse() -> None:
    """Every field that is used is found, with any number of optional ones before the separator."""
    root, mail, other, _ = mountinfo.parse(TABLE)
    assert (root.mountpoint, root.device, root.filesystem, root.source) == ("/", "254:0", "ext4", "/dev/vda")
    assert not root.is_kmsfs
    assert mail.is_kmsfs
    assert (mail.mountpoint, mail.source, mail.owner_uid) == ("/srv/mail", "/srv/mail enc", 1000)
    assert {"nosuid", "nodev", "rw"} <= mail.options
    assert (other.mountpoint, other.owner_uid, "ro" in other.options) == ("/mnt/a\\b c", 0, True)


@given(st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_path_survives(name: bytes) -> None:
    """A mount point of any bytes is read back as it is, given the kernel's escapes of it."""
    # fs/proc_namespace.c escapes these with three octal digits; newer kernels the number sign too.
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in b"/" + name)
    line = b"90 22 0:57 / " + escaped + b" rw - fuse.kmsfs " + escaped + b" rw,user_id=5\n"
    (mount,) = mountinfo.parse(line)
    assert os.fsencode(mount.mountpoint) == b"/" + name
    assert os.fsencode(mount.source) == b"/" + name


def test_this_system() -> None:
    """The table of the running system is read whole, and knows the root directory."""
    assert mountinfo.mounted_at("/") is not None
    assert mountinfo.mounted_at("/no/such/mount") is None


def test_resolve(tmp_path: Path) -> None:
    """A path is spelled as the table would: absolute and without symlinks, its last part included."""
    (tmp_path / "real" / "mount").mkdir(parents=True)
    (tmp_path / "parent").symlink_to("real")
    (tmp_path / "link").symlink_to("real/mount")
    expected = str(tmp_path / "real" / "mount")
    assert mountinfo.resolve(f"{tmp_path}/parent/mount") == expected
    assert mountinfo.resolve(f"{tmp_path}/link/") == expected
    assert mountinfo.resolve(f"{tmp_path}/real/../parent/./mount") == expected


@pytest.mark.parametrize("path", ["/", "/proc"])
def test_resolve_mount_points(path: str) -> None:
    """What is mounted on is found as it is."""
    assert mountinfo.resolve(path) == path
