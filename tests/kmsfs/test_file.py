"""Regular files as bytes: whatever is done to them, they are what a byte array would be."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kmsfs.core import Core
from kmsfs.file import File
from offline import ME, ROOT, OfflineVolume, find, opened, read, read_all, truncate, write

MAX_CHUNKS = 5
RULES = settings(max_examples=40, stateful_step_count=30, deadline=None)


class FileMachine(RuleBasedStateMachine):
    """One file against a byte array."""

    chunk_shift = 12

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="kms-")
        self.volume = OfflineVolume(Path(self.directory.name), chunk_shift=self.chunk_shift)
        self.model = bytearray()
        self.core, self.file = self.mount(create=True)

    def mount(self, *, create: bool = False) -> tuple[Core, File]:
        """Open the volume, and the file in it."""
        self.mounted = self.volume.core()
        core = self.mounted.__enter__()
        if create:
            return core, core.create(ROOT, b"file", 0o644, os.O_RDWR, ME)[1]
        return core, core.open(find(core, b"file"), os.O_RDWR)

    @property
    def limit(self) -> int:
        """How large the file becomes at most."""
        return MAX_CHUNKS << self.chunk_shift

    def place(self, data: st.DataObject, label: str) -> int:
        """Draw an offset, often at or beside the edge of a chunk or the end of the file."""
        edges = [index << self.chunk_shift for index in range(MAX_CHUNKS + 1)] + [len(self.model)]
        near = st.builds(
            lambda edge, by: min(max(edge + by, 0), self.limit), st.sampled_from(edges), st.integers(-2, 2)
        )
        return data.draw(st.one_of(near, st.integers(0, self.limit)), label)

    @rule(data=st.data(), fill=st.integers(0, 255))
    def write(self, data: st.DataObject, fill: int) -> None:
        start, end = sorted((self.place(data, "start"), self.place(data, "end")))
        content = bytes([fill]) * (end - start)
        assert self.file.write(start, content) == len(content)
        if content:
            self.model.extend(bytes(max(start - len(self.model), 0)))
            self.model[start:end] = content

    @rule(data=st.data(), keep_size=st.booleans())
    def allocate(self, data: st.DataObject, *, keep_size: bool) -> None:
        start, end = sorted((self.place(data, "start"), self.place(data, "end")))
        self.file.allocate(start, max(end - start, 1), keep_size=keep_size)
        if not keep_size:
            self.model.extend(bytes(max(start + max(end - start, 1) - len(self.model), 0)))

    @rule(data=st.data())
    def zero(self, data: st.DataObject) -> None:
        start, end = sorted((self.place(data, "start"), self.place(data, "end")))
        self.file.zero(start, end - start)
        cut = min(end, len(self.model))
        if start < cut:
            self.model[start:cut] = bytes(cut - start)

    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        content = os.urandom(data.draw(st.integers(1, 1 << self.chunk_shift), "length"))
        if len(self.model) + len(content) <= self.limit:
            self.file.write(len(self.model), content)
            self.model += content

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        size = self.place(data, "size")
        self.file.truncate(size)
        self.model = self.model[:size].ljust(size, b"\0")

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        start, end = sorted((self.place(data, "start"), self.place(data, "end")))
        assert bytes(self.file.read(start, end - start)) == self.model[start:end]

    @precondition(lambda self: self.model)
    @rule()
    def read_whole(self) -> None:
        assert read_all(self.file) == self.model

    @rule()
    def reopen(self) -> None:
        self.mounted.__exit__(None, None, None)
        self.core, self.file = self.mount()
        assert read_all(self.file) == self.model

    @rule()
    def close_and_open(self) -> None:
        self.core.files.release(self.file.chunks.inode)
        self.file = self.core.open(find(self.core, b"file"), os.O_RDWR)

    @invariant()
    def sizes_agree(self) -> None:
        assert self.file.size == len(self.model)
        backing = os.fstat(self.file.chunks.fd).st_size
        assert backing == self.file.chunks.backing_size or (backing == 0 and not self.model)
        assert self.core.attributes.getattr(find(self.core, b"file")).size == len(self.model)

    def teardown(self) -> None:
        self.mounted.__exit__(None, None, None)
        assert self.volume.read_file(b"file") == self.model
        self.directory.cleanup()


class LargeChunkMachine(FileMachine):
    """The same with chunks of 64 KiB."""

    chunk_shift = 16


TestFileOfSmallChunks = FileMachine.TestCase
TestFileOfSmallChunks.settings = RULES
TestFileOfLargeChunks = LargeChunkMachine.TestCase
TestFileOfLargeChunks.settings = settings(RULES, max_examples=15)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """An empty volume."""
    return OfflineVolume(tmp_path)


def test_reads_end_with_the_file(volume: OfflineVolume) -> None:
    """A read beyond the end gives less, or nothing."""
    volume.write_file(b"file", b"0123456789")
    with volume.core() as core, opened(core, b"file", os.O_RDONLY) as file:
        assert bytes(file.read(8, 100)) == b"89"
        assert file.read(10, 1) == b""
        assert file.read(1 << 40, 1) == b""


def test_nothing_written_changes_nothing(volume: OfflineVolume) -> None:
    """A write of no bytes does not even extend the file."""
    with volume.core() as core, opened(core, b"file", os.O_CREAT | os.O_RDWR) as file:
        assert file.write(100, b"") == 0
        assert file.size == 0


def test_a_hole_takes_no_room(volume: OfflineVolume) -> None:
    """A hole and one byte take a few blocks; growing and cutting inside the hole seals nothing."""
    path = volume.write_file(b"file", b"")
    with volume.core() as core:
        write(core, b"file", b"!", offset=1 << 28)
        assert os.stat(path).st_blocks * 512 < 1 << 16
        for size in (1 << 27, (1 << 27) + 4097, (1 << 27) + 12_345, (1 << 27) + 11_111, (1 << 20) + 1):
            truncate(core, b"file", size)
            assert os.stat(path).st_blocks * 512 <= 1 << 13
            with opened(core, b"file", os.O_RDONLY) as file:
                assert bytes(file.read(size - 5000, 6000)) == bytes(5000)


@pytest.mark.parametrize("size", [(1 << 62) + 1, (1 << 63) - 1])
def test_no_file_is_larger_than_a_header_can_say(volume: OfflineVolume, size: int) -> None:
    """Growing over 2**62 bytes is EFBIG, by truncate and by write, and the file stays as it was."""
    volume.write_file(b"file", b"content")
    with volume.core() as core, opened(core, b"file", os.O_RDWR) as file:
        with pytest.raises(OSError, match="too large"):
            file.truncate(size)
        with pytest.raises(OSError, match="too large"):
            file.write(size - 1, b"!")
    assert volume.read_file(b"file") == b"content"


def test_truncating_at_open(volume: OfflineVolume) -> None:
    """O_TRUNC empties an existing file."""
    volume.write_file(b"file", b"p" * 10_000)
    with volume.core() as core, opened(core, b"file", os.O_CREAT | os.O_RDWR | os.O_TRUNC) as file:
        assert file.size == 0
    assert volume.read_file(b"file") == b""


def test_every_opening_writes_under_a_salt_of_its_own(volume: OfflineVolume) -> None:
    """A file opened again is written under a new salt, in header and chunks."""
    path = volume.write_file(b"file", b"one")
    salts = set()
    for _ in range(3):
        with volume.core() as core:
            write(core, b"file", b"two")
        with open(path, "rb") as backing:
            raw = backing.read()
        salts.add(raw[512:524])
    assert len(salts) == 3


def test_bucket_keys_live_side_by_side(volume: OfflineVolume) -> None:
    """Files of an older bucket key are read beside files of the newest."""
    volume.write_file(b"old", b"under the first", current=0)
    volume.write_file(b"new", b"under the second", current=1)
    with volume.core(current=1) as core:
        assert read(core, b"old") == b"under the first"
        assert read(core, b"new") == b"under the second"
