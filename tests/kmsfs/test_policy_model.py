"""Policies of directories against a model, while trees grow, move and are given others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

import offline
from kmsfs import policies
from kmsfs.core import Core
from kmsfs.jobs import Call, Job
from kmsfs.mkfs import VolumePlan, make_volume
from kmsfs.opening import open_volume
from kmsfs.policies import SetPolicy
from local_keys import LocalKeys

Steps = tuple[str, ...]
Wish = tuple[str, int]

OWN: Wish = ("bucket", 12)
names = st.sampled_from("abc")
wishes = st.tuples(st.sampled_from(["bucket", "direct"]), st.sampled_from([12, 16, 20]))


def run(job: Job) -> Iterator[None]:
    """Run a job step by step; None each time that others may do something."""
    for step in job:
        if isinstance(step, Call):
            step.work()
        else:
            yield


class PolicyMachine(RuleBasedStateMachine):
    """A volume beside what its directories and files should be.

    `directories` has what each directory should make files with, `files` what each was made with.
    """

    paths = Bundle("paths")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        # Every step of a job is one at which others may do something.
        self.stack.enter_context(patch("kmsfs.jobs._SLICE_SECONDS", 0))
        self.top = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        self.keys = LocalKeys()
        make_volume(str(self.top / "volume"), self.keys.client(), VolumePlan())
        self.directories: dict[Steps, Wish] = {(): OWN}
        self.files: dict[Steps, tuple[Wish, int]] = {}
        self.opened = ExitStack()
        self.open()

    def open(self) -> None:
        """Open the volume."""
        volume = self.opened.enter_context(open_volume(str(self.top / "volume"), self.keys.client()))
        self.core = Core(volume)
        self.opened.callback(self.core.close)

    @initialize(target=paths)
    def root(self) -> Steps:
        return ()

    @rule(target=paths, parent=paths, name=names)
    def mkdir(self, parent: Steps, name: str) -> Steps:
        path = (*parent, name)
        if parent in self.directories and path not in self.directories and path not in self.files:
            offline.mkdir(self.core, name.encode(), self.node(parent))
            self.directories[path] = self.directories[parent]
        return path

    @rule(parent=paths, name=names, size=st.sampled_from([0, 1, 4096, 70_000]))
    def make_file(self, parent: Steps, name: str, size: int) -> None:
        path = (*parent, f"file {name}")
        if parent in self.directories and path not in self.files:
            offline.write(self.core, path[-1].encode(), bytes(size), parent=self.node(parent))
            self.files[path] = (self.directories[parent], size)

    @rule(source=consumes(paths), target_parent=paths, name=names, target=paths)
    def rename(self, source: Steps, target_parent: Steps, name: str) -> Steps:
        path = (*target_parent, name)
        is_into_itself = target_parent[: len(source)] == source
        if not source or source not in self.directories or target_parent not in self.directories:
            return ()
        if is_into_itself or path in self.directories:
            return source
        old, new = self.node(source[:-1]), self.node(target_parent)
        self.core.renaming.rename(old, source[-1].encode(), new, name.encode(), 0)
        self.directories = {moved(each, source, path): wish for each, wish in self.directories.items()}
        self.files = {moved(each, source, path): made for each, made in self.files.items()}
        return path

    @rule(path=paths, wish=wishes, meanwhile=st.lists(st.tuples(paths, names), max_size=3))
    def give(self, path: Steps, wish: Wish, meanwhile: list[tuple[Steps, str]]) -> None:
        """Set a policy while directories are made below; those must not be missed."""
        if path not in self.directories:
            return
        before, old = dict(self.directories), self.directories[path]
        made: list[tuple[Steps, str]] = []
        for _ in run(self.job(path, wish)):
            if meanwhile:
                parent, name = meanwhile.pop()
                child = (*parent, name)
                if parent in before and child not in before and (parent, name) not in made:
                    offline.mkdir(self.core, name.encode(), self.node(parent))
                    made.append((parent, name))
        for each, now in before.items():
            self.directories[each] = wish if each[: len(path)] == path and now == old else now
        for parent, name in made:
            self.directories[*parent, name] = self.directories[parent]

    @rule(path=paths, wish=wishes, count=st.integers(0, 8))
    def give_interrupted(self, path: Steps, wish: Wish, count: int) -> None:
        """Set a policy, end it somewhere, and do it again: that is as if it had been done once."""
        if path not in self.directories:
            return
        job = self.job(path, wish)
        for _, _ in zip(range(count), run(job), strict=False):
            pass
        job.close()
        self.give(path, wish, [])

    @rule()
    def reopen(self) -> None:
        """Close the volume and open it; check all that is in it."""
        self.opened.close()
        self.open()
        for path, wish in self.directories.items():
            found = self.core.xattrs.encryption(self.node(path))
            assert (found.mode, found.chunk_shift) == wish, path
        for path, (wish, size) in self.files.items():
            entry = self.core.tree.lookup(self.node(path[:-1]), path[-1].encode())
            assert entry.size == size
            found = self.core.xattrs.encryption(entry.nodeid)
            assert (found.mode, found.chunk_shift) == wish, path
            assert offline.read(self.core, path[-1].encode(), self.node(path[:-1])) == bytes(size)

    def job(self, path: Steps, wish: Wish) -> Job:
        """Return the job that gives a directory a policy."""
        mode, chunk_shift = wish
        asked = {"path": "/".join(path), "mode": mode, "chunk_shift": chunk_shift}
        return policies.set_policy(self.core, SetPolicy(**asked))  # type: ignore[arg-type] # mode is one of two

    def node(self, path: Steps) -> int:
        """Return a directory's number."""
        nodeid = offline.ROOT
        for name in path:
            nodeid = offline.find(self.core, name.encode(), nodeid)
        return nodeid

    def teardown(self) -> None:
        with self.stack, self.opened:
            self.reopen()
            assert not self.core.volume.live.turn.locked()


def moved(path: Steps, source: Steps, target: Steps) -> Steps:
    """Return where something is after a rename."""
    return target + path[len(source) :] if path[: len(source)] == source else path


TestPolicies = PolicyMachine.TestCase
TestPolicies.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
