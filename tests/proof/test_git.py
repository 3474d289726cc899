"""git works on the mount as anywhere: many small files, renames into place, mapped packs, lock files."""

from __future__ import annotations

from pathlib import Path

import trees
from mounts import Volume
from programs import run

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {
    "GIT_AUTHOR_NAME": "Proof",
    "GIT_AUTHOR_EMAIL": "proof@example.org",
    "GIT_COMMITTER_NAME": "Proof",
    "GIT_COMMITTER_EMAIL": "proof@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def git(directory: Path, *arguments: str | Path) -> str:
    """Run git in a directory, with nobody's configuration."""
    return run("git", "-c", "safe.directory=*", *arguments, directory=directory, environment=IDENTITY)


def test_clone_commit_collect_and_check(volume: Volume) -> None:
    """A clone of this repository takes commits and branches, is packed, and is whole after a remount."""
    clone = volume.path / "clone"
    git(volume.path, "clone", "--no-hardlinks", ROOT, clone)
    for number in range(5):
        (clone / f"added-{number}.txt").write_text("a line\n" * number * 1000)
        git(clone, "add", "--all")
        git(clone, "commit", "--message", f"Add file {number}")
    git(clone, "checkout", "-b", "side", "HEAD~3")
    git(clone, "mv", "README.md", "renamed.md")
    git(clone, "commit", "--all", "--message", "Rename")
    git(clone, "checkout", "-")
    git(clone, "merge", "--no-edit", "side")
    git(clone, "gc", "--aggressive", "--prune=now")
    git(clone, "fsck", "--full", "--strict")
    head = git(clone, "rev-parse", "HEAD")
    before = trees.snapshot(clone)
    volume.remount()
    assert trees.differences(trees.snapshot(clone), before) == []
    git(clone, "fsck", "--full", "--strict")
    assert git(clone, "rev-parse", "HEAD") == head
    assert git(clone, "status", "--porcelain") == ""


def test_work_tree_equals_one_beside_the_mount(volume: Volume, source: Path) -> None:
    """A clone on the mount and one beside it hold the same work tree."""
    for parent in (volume.path, source):
        git(parent, "clone", ROOT, parent / "clone")
    git(
        volume.path,
        "diff",
        "--no-index",
        "--exit-code",
        source / "clone" / "tests",
        volume.path / "clone" / "tests",
    )
