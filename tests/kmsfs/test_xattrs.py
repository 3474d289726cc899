"""Extended attributes: sealed, bound to their inode and name, and left alone where they are not ours."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsfs.core import Core
from kmsfs.errors import CorruptRecordError, NameTooLongError
from offline import ME, ROOT, OfflineVolume, find, make, mkdir, write

VALUES = (b"", b"v", b"\0" * 100, os.urandom(1000))


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """An empty volume."""
    return OfflineVolume(tmp_path)


@pytest.fixture
def core(volume: OfflineVolume) -> Iterator[Core]:
    """The core on it, with two files and a directory."""
    with volume.core() as core:
        make(core, b"file")
        write(core, b"other", b"content")
        mkdir(core, b"directory")
        yield core


@pytest.mark.parametrize("name", [b"file", b"other", b"directory"])
def test_what_is_set_is_got(core: Core, volume: OfflineVolume, name: bytes) -> None:
    """Attributes come back, are replaced, listed and removed; on the store they are sealed."""
    nodeid = find(core, name)
    for number, value in enumerate(VALUES):
        core.xattrs.set(nodeid, b"user.attribute %d" % number, b"to be replaced")
        core.xattrs.set(nodeid, b"user.attribute %d" % number, value)
    for number, value in enumerate(VALUES):
        assert core.xattrs.get(nodeid, b"user.attribute %d" % number) == value
    assert sorted(core.xattrs.list(nodeid)) == [
        b"user.attribute %d" % number for number in range(len(VALUES))
    ]
    stored = os.listxattr(volume.stored_path(core, name))
    assert all(attribute.startswith("user.kmsfs.") for attribute in stored)
    assert not any("attribute" in attribute for attribute in stored)
    core.xattrs.remove(nodeid, b"user.attribute 1")
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        core.xattrs.get(nodeid, b"user.attribute 1")


def test_root_has_attributes(core: Core) -> None:
    """So has the root of the mount."""
    core.xattrs.set(ROOT, b"user.a", b"value")
    assert core.xattrs.get(ROOT, b"user.a") == b"value"


def test_attributes_stay_with_a_renamed_file(core: Core) -> None:
    """A rename, to another directory too, keeps them."""
    nodeid = find(core, b"file")
    core.xattrs.set(nodeid, b"user.a", b"value")
    core.renaming.rename(ROOT, b"file", find(core, b"directory"), b"renamed", 0)
    assert core.xattrs.get(nodeid, b"user.a") == b"value"


def test_attributes_of_an_unlinked_file(core: Core) -> None:
    """A file that has lost its name keeps them while it is open."""
    nodeid = find(core, b"other")
    core.xattrs.set(nodeid, b"user.a", b"value")
    file = core.open(nodeid, os.O_RDWR)
    core.tree.unlink(ROOT, b"other")
    assert core.xattrs.get(nodeid, b"user.a") == b"value"
    core.files.release(file.chunks.inode)


def test_values_do_not_move(core: Core, volume: OfflineVolume) -> None:
    """A value put on another file, or under another name, or changed, is refused."""
    one, two = find(core, b"file"), find(core, b"other")
    for nodeid in (one, two):
        core.xattrs.set(nodeid, b"user.a", b"value a")
        core.xattrs.set(nodeid, b"user.b", b"value b")
    path, other = volume.stored_path(core, b"file"), volume.stored_path(core, b"other")
    stored = [volume.records.seal_xattr_name(name) for name in (b"user.a", b"user.b")]
    own = os.getxattr(path, stored[0])
    for forged in (
        os.getxattr(other, stored[0]),
        os.getxattr(path, stored[1]),
        own[:-1],
        own + b"\0",
        bytes([own[0] ^ 1]) + own[1:],
        own[:39],
        b"",
        b"value a",
    ):
        os.setxattr(path, stored[0], forged)
        with pytest.raises(CorruptRecordError):
            core.xattrs.get(one, b"user.a")
    os.setxattr(path, stored[0], own)
    assert core.xattrs.get(one, b"user.a") == b"value a"


def test_forged_names_are_refused_and_foreign_ones_left_out(core: Core, volume: OfflineVolume) -> None:
    """A name that looks like ours and is not makes listing an error; one that does not is not shown."""
    nodeid, path = find(core, b"file"), volume.stored_path(core, b"file")
    core.xattrs.set(nodeid, b"user.a", b"value")
    os.setxattr(path, b"user.plain", b"planted")
    assert core.xattrs.list(nodeid) == [b"user.a"]
    os.setxattr(path, b"user.kmsfs." + b"A" * 43, b"planted")
    with pytest.raises(CorruptRecordError):
        core.xattrs.list(nodeid)


def test_limits(core: Core) -> None:
    """Names have a length that still fits when sealed; other namespaces are not supported."""
    nodeid = find(core, b"file")
    core.xattrs.set(nodeid, b"user." + b"n" * 160, b"value")
    with pytest.raises(NameTooLongError):
        core.xattrs.set(nodeid, b"user." + b"n" * 161, b"value")
    for name in (b"user.", b"trusted.a", b"system.posix_acl_access", b"plain"):
        with pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)):
            core.xattrs.set(nodeid, name, b"value")


def test_symlinks_have_none(core: Core) -> None:
    """POSIX has no user attributes on symlinks."""
    nodeid = core.tree.symlink(ROOT, b"link", b"target", ME).nodeid
    with pytest.raises(PermissionError):
        core.xattrs.set(nodeid, b"user.a", b"value")


def test_security_passes_through(core: Core, volume: OfflineVolume) -> None:
    """The kernel's own attributes lie on the store as they are."""
    nodeid = find(core, b"file")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    file = core.open(nodeid, os.O_RDWR)
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        core.xattrs.get(nodeid, b"security.capability")
    core.xattrs.set(nodeid, b"security.capability", capability)
    assert core.xattrs.get(nodeid, b"security.capability") == capability
    assert os.getxattr(volume.stored_path(core, b"file"), "security.capability") == capability
    assert b"security.capability" in core.xattrs.list(nodeid)
    core.xattrs.remove(nodeid, b"security.capability")
    core.files.release(file.chunks.inode)


def test_a_capability_known_to_be_absent(core: Core) -> None:
    """A new file has no capability; one that is set is seen at once, and its end when the store was asked."""
    name = b"security.capability"
    make(core, b"new")
    nodeid = find(core, b"new")
    assert core.xattrs.is_known_absent(nodeid, name)
    assert not core.xattrs.is_known_absent(nodeid, b"security.other")
    core.xattrs.set(nodeid, name, bytes.fromhex("0100000200040000000000000000000000000000"))
    assert not core.xattrs.is_known_absent(nodeid, name)
    core.xattrs.remove(nodeid, name)
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        core.xattrs.get(nodeid, name)
    assert core.xattrs.is_known_absent(nodeid, name)
