"""The name space against a real directory: any order of calls by a kernel that remembers answers."""

import os
import stat
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kmsfs import backing
from kmsfs.errors import KmsfsError
from offline import ME, ROOT, OfflineVolume, names_in

NAMES = (b"a", b"b", b"long" * 60)
FLAGS = (0, 0, 0, backing.RENAME_NOREPLACE, backing.RENAME_EXCHANGE)
MAX_ENTRIES = 14
# What the kernel finds out by itself, before it asks a filesystem.
ANSWERED_ABOVE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

Path_ = tuple[bytes, ...]


class NameSpaceMachine(RuleBasedStateMachine):
    """The core beside a directory of the system's own; `dentries` is what the kernel would have cached."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="kms-")
        self.model = os.fsencode(self.directory.name) + b"/model"
        store = Path(self.directory.name) / "store"
        os.mkdir(self.model)
        store.mkdir()
        self.volume = OfflineVolume(store)
        self.mounted = self.volume.core()
        self.core = self.mounted.__enter__()
        self.dentries: dict[tuple[int, bytes], int] = {}
        self.lookups: Counter[int] = Counter()
        self.made = 0
        for above, target in ((b"a", b"to one"), (b"b", b"to another")):
            os.mkdir(self.real((above,)))
            self.learn(ROOT, above, self.core.tree.mkdir(ROOT, above, 0o755, ME).nodeid)
            os.symlink(target, self.real((above, b"a")))
            parent = self.nodeid((above,))
            self.learn(parent, b"a", self.core.tree.symlink(parent, b"a", target, ME).nodeid)

    # What the kernel does around the calls

    def real(self, path: Path_) -> bytes:
        """Return a path in the model."""
        return os.path.join(self.model, *path)

    def nodeid(self, path: Path_) -> int:
        """Find a path, asking only for what is not cached."""
        at = ROOT
        for name in path:
            if (at, name) not in self.dentries:
                self.learn(at, name, self.core.tree.lookup(at, name).nodeid)
            at = self.dentries[at, name]
        return at

    def learn(self, parent: int, name: bytes, nodeid: int) -> None:
        """Keep an answer."""
        self.dentries[parent, name] = nodeid
        self.lookups[nodeid] += 1

    def unlearn(self, parent: int, name: bytes) -> None:
        """Let go of a name, and of its inode with its last name."""
        nodeid = self.dentries.pop((parent, name))
        if nodeid not in self.dentries.values():
            self.core.inodes.forget(nodeid, self.lookups.pop(nodeid))

    def both(self, in_model: Callable[[], object], in_core: Callable[[], object]) -> bool:
        """Do a thing in both; the errors must be the same. True if it was done."""
        expected = found = None
        try:
            in_model()
        except ANSWERED_ABOVE:
            return False
        except OSError as error:
            expected = error.errno
        try:
            in_core()
        except (OSError, KmsfsError) as error:
            found = error.errno
        assert found == expected
        return expected is None

    # Drawing

    def entries(self) -> list[Path_]:
        """Return all paths of the model."""
        found = []
        for top, directories, files in os.walk(self.model):
            above = tuple(part for part in os.path.relpath(top, self.model).split(b"/") if part != b".")
            found += [(*above, name) for name in directories + files]
        return sorted(found)

    def draw(self, data: st.DataObject, label: str, kind: Callable[[int], bool]) -> Path_ | None:
        """Draw an existing entry of a kind."""
        paths = [path for path in self.entries() if kind(os.lstat(self.real(path)).st_mode)]
        return data.draw(st.sampled_from(paths), label) if paths else None

    def draw_new(self, data: st.DataObject) -> tuple[Path_, bytes]:
        """Draw a directory and a name in it, which may exist."""
        above = [(), *(path for path in self.entries() if stat.S_ISDIR(os.lstat(self.real(path)).st_mode))]
        return data.draw(st.sampled_from(above), "directory"), data.draw(st.sampled_from(NAMES), "name")

    # Rules

    def make(
        self, data: st.DataObject, in_model: Callable[[bytes], object], call: Callable[[int, bytes], int]
    ) -> None:
        """Make a new name in both."""
        above, name = self.draw_new(data)
        if len(self.entries()) >= MAX_ENTRIES:
            return
        parent = self.nodeid(above)
        made: list[int] = []
        if self.both(lambda: in_model(self.real((*above, name))), lambda: made.append(call(parent, name))):
            self.learn(parent, name, made[0])

    @rule(data=st.data())
    def mkdir(self, data: st.DataObject) -> None:
        self.make(data, os.mkdir, lambda parent, name: self.core.tree.mkdir(parent, name, 0o755, ME).nodeid)

    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        self.made += 1
        content = b"content %d" % self.made

        def in_model(path: bytes) -> None:
            with open(path, "xb") as file:
                file.write(content)

        def in_core(parent: int, name: bytes) -> int:
            entry, file = self.core.create(parent, name, 0o644, os.O_RDWR | os.O_EXCL, ME)
            file.write(0, content)
            self.core.files.release(entry.status.st_ino)
            return entry.nodeid

        self.make(data, in_model, in_core)

    @rule(data=st.data())
    def symlink(self, data: st.DataObject) -> None:
        self.made += 1
        target = b"target %d" % self.made
        self.make(
            data,
            lambda path: os.symlink(target, path),
            lambda parent, name: self.core.tree.symlink(parent, name, target, ME).nodeid,
        )

    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        source = self.draw(data, "source", stat.S_ISREG)
        if source is not None:
            nodeid = self.nodeid(source)
            self.make(
                data,
                lambda path: os.link(self.real(source), path),
                lambda parent, name: self.core.tree.link(nodeid, parent, name).nodeid,
            )

    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        path = self.draw(data, "path", lambda mode: not stat.S_ISDIR(mode))
        if path is not None:
            self.nodeid(path)
            parent = self.nodeid(path[:-1])
            assert self.both(
                lambda: os.unlink(self.real(path)), lambda: self.core.tree.unlink(parent, path[-1])
            )
            self.unlearn(parent, path[-1])

    @rule(data=st.data())
    def rmdir(self, data: st.DataObject) -> None:
        path = self.draw(data, "path", stat.S_ISDIR)
        if path is not None:
            self.nodeid(path)
            parent = self.nodeid(path[:-1])
            if self.both(lambda: os.rmdir(self.real(path)), lambda: self.core.tree.rmdir(parent, path[-1])):
                self.unlearn(parent, path[-1])

    @rule(data=st.data(), flags=st.sampled_from(FLAGS))
    def rename(self, data: st.DataObject, flags: int) -> None:
        source = self.draw(data, "source", lambda _: True)
        above, name = self.draw_new(data)
        new = (*above, name)
        if source is None or new[: len(source)] == source or source[: len(new)] == new:
            return
        old_parent, new_parent = self.nodeid(source[:-1]), self.nodeid(above)
        old_key, new_key = (old_parent, source[-1]), (new_parent, name)
        nodeid = self.nodeid(source)
        if os.path.lexists(self.real(new)) and self.nodeid(new) == nodeid:
            return
        old_fd, new_fd = (os.open(self.real(path), os.O_RDONLY) for path in (source[:-1], above))
        try:
            done = self.both(
                lambda: backing.rename(old_fd, source[-1], new_fd, name, flags),
                lambda: self.core.renaming.rename(*old_key, *new_key, flags),
            )
        finally:
            os.close(old_fd)
            os.close(new_fd)
        if not done:
            return
        if flags == backing.RENAME_EXCHANGE:
            self.dentries[old_key], self.dentries[new_key] = self.dentries[new_key], nodeid
            return
        if new_key in self.dentries:
            self.unlearn(*new_key)
        self.dentries[new_key] = self.dentries.pop(old_key)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        above = {parent for parent, _ in self.dentries}
        leaves = [key for key, nodeid in self.dentries.items() if nodeid not in above]
        if leaves:
            self.unlearn(*leaves[data.draw(st.integers(0, len(leaves) - 1), "leaf")])

    # What must hold

    def agrees(self, nodeid: int, path: Path_) -> None:
        """Require that an inode is what the model has at a path."""
        expected = os.lstat(self.real(path))
        entry = self.core.attributes.getattr(nodeid)
        assert stat.S_IFMT(entry.status.st_mode) == stat.S_IFMT(expected.st_mode)
        if stat.S_ISLNK(expected.st_mode):
            assert self.core.tree.readlink(nodeid) == os.readlink(self.real(path))
        elif stat.S_ISREG(expected.st_mode):
            assert (entry.status.st_nlink, entry.size) == (expected.st_nlink, expected.st_size)
            with open(self.real(path), "rb") as file:
                content = file.read()
            opened = self.core.open(nodeid, os.O_RDONLY)
            assert bytes(opened.read(0, 100)) == content
            self.core.files.release(opened.chunks.inode)
        else:
            assert names_in(self.core, nodeid) == sorted(os.listdir(self.real(path)))

    @invariant()
    def cached_names_hold(self) -> None:
        for path in self.entries():
            at: int | None = ROOT
            for name in path:
                at = None if at is None else self.dentries.get((at, name))
            if at is not None:
                self.agrees(at, path)

    def teardown(self) -> None:
        self.mounted.__exit__(None, None, None)
        with self.volume.core() as self.core:
            self.dentries.clear()
            self.agrees(ROOT, ())
            for path in self.entries():
                self.agrees(self.nodeid(path), path)
        check_store(os.fsencode(self.volume.path))
        self.directory.cleanup()


def check_store(store: bytes) -> None:
    """Require that nothing lies on the store but records, entries, and one sidecar for each long name."""
    for _, directories, files in os.walk(store):
        stored = {*directories, *files}
        assert b".kmsfs" in stored
        assert not [name for name in stored if name.startswith(b".kmsfs.")]
        long = {name for name in stored if name.startswith(b"kmsfs.long.")}
        sidecars = {name for name in long if name.endswith(b".name")}
        assert sidecars == {name + b".name" for name in long - sidecars}


TestNameSpace = NameSpaceMachine.TestCase
TestNameSpace.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
