"""tar and rsync carry a tree of thousands of files, with links and odd names, onto the mount and back."""

from __future__ import annotations

from pathlib import Path

import pytest

import mounts
import trees
from programs import run

FILES = 2000


@pytest.fixture
def odd_tree(source: Path) -> Path:
    """Return a tree beside the mount that holds everything odd."""
    trees.make_odd_tree(source, FILES)
    return source


def test_tar_there_and_back(volume: mounts.Volume, odd_tree: Path, place: Path) -> None:
    """What tar unpacks on the mount equals its source, also after a remount, and packs up the same."""
    archive, copy, back = place / "tree.tar", volume.path / "copy", place / "back"
    expected = trees.snapshot(odd_tree)
    copy.mkdir()
    back.mkdir()
    run("tar", "--format=posix", "--xattrs", "--sparse", "-cf", archive, "-C", odd_tree, ".")
    run("tar", "--xattrs", "-xpf", archive, "-C", copy)
    assert trees.differences(trees.snapshot(copy), expected) == []
    volume.remount()
    assert trees.differences(trees.snapshot(copy), expected) == []
    run("tar", "--format=posix", "--xattrs", "--sparse", "-cf", archive, "-C", copy, ".")
    run("tar", "--xattrs", "-xpf", archive, "-C", back)
    assert trees.differences(trees.snapshot(back), expected) == []
    run("rm", "-rf", copy)
    assert list(volume.path.iterdir()) == []


def test_rsync_finds_nothing_left_to_do(volume: mounts.Volume, odd_tree: Path) -> None:
    """After rsync and a remount, a second run that reads every byte has nothing to transfer."""
    copy = volume.path / "copy"
    options = ["--archive", "--hard-links", "--xattrs", "--sparse", "--delete", "--itemize-changes"]
    run("rsync", *options, f"{odd_tree}/", f"{copy}/")
    expected = trees.without_special_times(trees.snapshot(odd_tree))
    copied = trees.snapshot(copy)
    assert trees.differences(trees.without_special_times(copied), expected) == []
    volume.remount()
    assert run("rsync", *options, "--checksum", "--dry-run", f"{odd_tree}/", f"{copy}/") == ""
    assert trees.differences(trees.snapshot(copy), copied) == []


def test_tree_under_plain_names(place: Path, agent_url: str, source: Path) -> None:
    """With plain names all works the same, but names stay readable below and those of kmsfs are refused."""
    trees.make_odd_tree(source, FILES, trees.FREE_NAMES)
    with mounts.volume(place, agent_url, init_options=["--plain-names"]) as volume:
        run("cp", "--archive", f"{source}/.", volume.path)
        expected = trees.snapshot(source)
        volume.remount()
        assert trees.differences(trees.snapshot(volume.path), expected) == []
        assert (volume.backing / " ").is_dir()
        with pytest.raises(PermissionError):
            (volume.path / ".kmsfs-of-mine").touch()
