"""What the kernel knows: places of inodes, references to them, and how many are kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsfs.core import Core
from kmsfs.inodes import ROOT_INODE, Directory, Inodes, Node
from offline import ME, ROOT, OfflineVolume, find, make, mkdir, opened, read_all, write

STALE = "Stale file handle"


@pytest.fixture
def root() -> Directory:
    """A root directory."""
    return Directory(ROOT_INODE, None, b"")


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    """An empty volume."""
    with OfflineVolume(tmp_path).core() as core:
        yield core


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_the_last_place_seen_is_the_one_that_counts(root: Directory) -> None:
    """An inode with several names is found at the one last seen, and at another one when that goes."""
    node = Node(7, root, b"a")
    node.place(root, b"b")
    node.place(root, b"c")
    node.place(root, b"a")
    assert (node.parent, node.stored) == (root, b"a")
    assert sorted(stored for _, stored in node.others) == [b"b", b"c"]
    assert node.leave(root, b"a")
    assert node.leave(root, b"c")
    assert node.stands_at(root, b"b")
    assert not node.leave(root, b"b")


def test_a_place_that_is_not_its_own_is_no_loss(root: Directory) -> None:
    """Leaving a place where it was never seen changes nothing."""
    node = Node(7, root, b"a")
    assert node.leave(root, b"elsewhere")
    assert node.stands_at(root, b"a")


def test_moving_keeps_the_other_names(root: Directory) -> None:
    """When one of two names moves, the inode is found by both the new and the other."""
    for moved, other in ((b"a", b"b"), (b"b", b"a")):
        node = Node(7, root, b"a")
        node.place(root, b"b")
        node.move(root, moved, root, b"new")
        assert node.stands_at(root, b"new")
        assert node.others == [(root, other)]


def test_references_are_counted(root: Directory) -> None:
    """An inode is known until the kernel has given back as many references as it took."""
    inodes = Inodes(root)
    for _ in range(3):
        inodes.remember(7, root, b"a", is_directory=False)
    inodes.forget(7, 2)
    assert inodes[7].stored == b"a"
    inodes.forget(7, 1)
    assert inodes.known(7) is None
    with pytest.raises(OSError, match=STALE):
        inodes[7]


def test_forgetting_the_unknown_does_nothing(root: Directory) -> None:
    """Neither a number never given nor the root can be forgotten."""
    inodes = Inodes(root)
    inodes.forget(99, 1)
    inodes.forget(ROOT_INODE, 1 << 30)
    assert inodes[ROOT_INODE] is root


def test_a_file_is_no_directory(root: Directory) -> None:
    """What is looked up as a directory and is none is ENOTDIR."""
    inodes = Inodes(root)
    inodes.remember(7, root, b"a", is_directory=False)
    with pytest.raises(NotADirectoryError):
        inodes.directory(7)


def test_a_forgotten_directory_comes_back_as_the_same_place(root: Directory) -> None:
    """A name seen in a directory stays good when the kernel forgets the directory and it moves later."""
    inodes = Inodes(root)
    directory = inodes.remember(7, root, b"d", is_directory=True)
    assert isinstance(directory, Directory)
    node = inodes.remember(8, directory, b"a", is_directory=False)
    inodes.forget(7, 1)
    assert inodes.remember(7, root, b"moved", is_directory=True) is directory
    assert node.parent is directory
    assert directory.stands_at(root, b"moved")
    inodes.forget(7, 1)
    assert inodes.known(7) is None


def test_the_oldest_are_to_be_forgotten(root: Directory) -> None:
    """Over the bound, the oldest are named once, and again only after the table has grown by a quarter."""
    inodes = Inodes(root, bound=100)
    for number in range(2, 101):
        inodes.remember(number, root, b"%d" % number, is_directory=False)
    assert inodes.excess() == []
    inodes.remember(101, root, b"101", is_directory=False)
    assert len(inodes) == 101
    excess = inodes.excess()
    assert [node.nodeid for node in excess] == list(range(2, 27))
    assert inodes.excess() == []
    for node in excess:
        inodes.forget(node.nodeid, node.lookups)
    assert len(inodes) == 76
    for number in range(200, 225):
        inodes.remember(number, root, b"%d" % number, is_directory=False)
    assert [node.nodeid for node in inodes.excess()][:2] == [27, 28]


def test_what_cannot_be_forgotten_is_not_asked_for_again(root: Directory) -> None:
    """Inodes in use are passed over when the next ones are asked for."""
    inodes = Inodes(root, bound=100)
    for number in range(2, 102):
        inodes.remember(number, root, b"%d" % number, is_directory=False)
    first = {node.nodeid for node in inodes.excess()}
    for number in range(200, 230):
        inodes.remember(number, root, b"%d" % number, is_directory=False)
    second = {node.nodeid for node in inodes.excess()}
    assert second
    assert first.isdisjoint(second)


def test_hard_links_are_one_inode(core: Core) -> None:
    """Two names give one number; each goes by itself, and the file lives until the last."""
    write(core, b"a", b"content")
    nodeid = find(core, b"a")
    assert core.tree.link(nodeid, ROOT, b"b").nodeid == nodeid
    assert core.attributes.getattr(nodeid).status.st_nlink == 2
    core.tree.unlink(ROOT, b"b")
    assert core.attributes.getattr(nodeid).status.st_nlink == 1
    with opened(core, b"a", os.O_RDONLY) as file:
        core.tree.unlink(ROOT, b"a")
        assert core.attributes.getattr(nodeid).status.st_nlink == 0
        assert read_all(file) == b"content"


def test_the_other_name_goes_first(core: Core) -> None:
    """When the name by which a file was found goes, it is found by the other."""
    write(core, b"a", b"content")
    nodeid = find(core, b"a")
    inner = mkdir(core, b"d")
    core.tree.link(nodeid, inner, b"b")
    core.tree.unlink(inner, b"b")
    core.tree.link(nodeid, inner, b"b")
    core.tree.unlink(ROOT, b"a")
    assert core.attributes.getattr(nodeid).status.st_nlink == 1
    with opened(core, b"b", os.O_RDWR, inner) as file:
        assert read_all(file) == b"content"


def test_an_unlinked_file_is_kept_for_who_has_it(core: Core) -> None:
    """A file without a name can be opened, read, written, cut and described while the kernel knows it."""
    write(core, b"a", b"content")
    nodeid = find(core, b"a")
    core.tree.unlink(ROOT, b"a")
    file = core.open(nodeid, os.O_RDWR)
    assert read_all(file) == b"content"
    file.write(7, b" and more")
    assert core.attributes.getattr(nodeid).size == 16
    core.files.release(file.chunks.inode)
    core.inodes.forget(nodeid, 1)
    assert core.inodes.known(nodeid) is None


def test_an_unlinked_file_gives_its_room_back(core: Core) -> None:
    """When the last handle of a file without name closes, its descriptors close: the store can free it."""
    make(core, b"warm")
    before = open_descriptors()
    write(core, b"a", b"content")
    nodeid = find(core, b"a")
    file = core.open(nodeid, os.O_RDWR)
    core.tree.unlink(ROOT, b"a")
    core.files.release(file.chunks.inode)
    core.inodes.forget(nodeid, 1)
    assert open_descriptors() == before


def test_nothing_stays_open(tmp_path: Path) -> None:
    """Whatever was looked up, opened, renamed and unlinked: after the mount no descriptor is left."""
    before = open_descriptors()
    volume = OfflineVolume(tmp_path)
    with volume.core() as core:
        inner = mkdir(core, b"d")
        for name in (b"a", b"b", b"c"):
            write(core, name, b"content")
            find(core, name)
        link = core.tree.symlink(ROOT, b"l", b"target", ME).nodeid
        core.renaming.rename(ROOT, b"l", inner, b"l", 0)
        core.renaming.rename(inner, b"l", ROOT, b"m", 0)
        assert core.tree.readlink(link) == b"target"
        core.tree.unlink(ROOT, b"m")
        core.renaming.rename(ROOT, b"a", ROOT, b"b", 0)
        core.tree.unlink(ROOT, b"c")
        core.tree.rmdir(ROOT, b"d")
    assert open_descriptors() == before


def test_a_bounded_number_of_closed_files_stays_open(core: Core) -> None:
    """Files that programs have closed do not use up descriptors."""
    before = open_descriptors()
    for number in range(200):
        make(core, b"%d" % number)
    assert open_descriptors() - before <= 70


def test_something_else_in_its_place_is_stale(core: Core, tmp_path: Path) -> None:
    """An inode whose place on the store was taken by another behind our back is ESTALE, never the other."""
    write(core, b"a", b"content of a")
    write(core, b"b", b"content of b")
    core.files.close()
    nodeid, _ = find(core, b"a"), find(core, b"b")
    stored = [core.directories.stored_name(core.inodes.root, name).name for name in (b"a", b"b")]
    os.rename(os.fsencode(tmp_path) + b"/" + stored[1], os.fsencode(tmp_path) + b"/" + stored[0])
    for operation in (
        lambda: core.attributes.getattr(nodeid),
        lambda: core.open(nodeid, os.O_RDONLY),
        lambda: core.xattrs.list(nodeid),
    ):
        with pytest.raises(OSError, match=STALE):
            operation()
